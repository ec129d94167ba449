"""Recomputes cases of device-tests/examples/cases.rs, a JSON object a line on standard input, from the issuer's
master key to the issuer's answer. Nothing here is ours but the order of the bytes:

  3DES  pyemv (over pyca/OpenSSL): key derivation, session keys, retail MAC, ARPC
  AES   pycryptodomex: AES and CMAC
  SM4   gmssl

Keys of 3DES are compared without their parity bits, which pyemv sets and PBOC does not."""

import collections
import json
import sys

from ciphers import SUITES


def main():
    checked = collections.Counter()
    for line in sys.stdin:
        case = json.loads(line)
        of = {name: bytes.fromhex(case[name]) for name in ("imk", "atc", "covered", "udk", "ac", "arc", "arpc")}
        derive, session, cryptogram, answer = SUITES[case["suite"]]
        udk = derive(case, of["imk"])
        key = session(udk, of["atc"])
        ac = cryptogram(key, of["covered"])
        odd = 0 if "3des" not in case["suite"] else 1
        ours = (bytes(byte | odd for byte in of["udk"]), of["ac"], of["arpc"])
        theirs = (bytes(byte | odd for byte in udk), ac, answer(key, ac, of["arc"]))
        if ours != theirs:
            sys.exit(f"ours differ in {case}\ntheirs: {[part.hex() for part in theirs]}")
        checked[case["suite"], case["cvn"], case["derivation"]] += 1
    for path, count in sorted(checked.items()):
        print(f"{count} cards, suite {path[0]}, cryptogram version {path[1]}, derivation {path[2]}: as theirs")
    if len(checked) != 12 or min(checked.values()) < 1000:
        sys.exit("fewer than 1,000 cards on each of 12 paths")


main()
