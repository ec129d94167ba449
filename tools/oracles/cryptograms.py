"""Recomputes cases of device-tests/examples/cases.rs, a JSON object a line on standard input, from the issuer's
master key to the issuer's answers, a script that changes the card PIN and one that changes data. Nothing here is ours but the order of
the bytes:

  3DES  pyemv (over pyca/OpenSSL): key derivation, session keys, retail MAC, ARPC, PIN block of scripts
  AES   pycryptodomex: AES and CMAC
  SM4   gmssl

Keys of 3DES are compared without their parity bits, which pyemv sets and PBOC does not."""

import collections
import json
import sys

from ciphers import SUITES, inverted, process_key, sm4
from Cryptodome.Cipher import AES
from Cryptodome.Hash import CMAC
from pyemv import ac as emv_ac
from pyemv import kd, sm, tools

NAMES = ["imk", "atc", "covered", "udk", "ac", "arc", "arpc", "status", "arpc_with_status", "script", "change"]


def tdes_status(key, ac, status):
    return emv_ac.generate_arpc_2(key, ac, status[:4], status[4:])


# Of each suite: the answer of method 2, the session key of scripts, the cipher of enciphered data.
SCRIPTS = {
    "pboc-3des": (tdes_status, lambda udk, atc, ac: process_key(udk, atc), tools.encrypt_tdes_ecb),
    "emv-3des": (tdes_status, lambda udk, atc, ac: kd.derive_common_sk(udk, ac), tools.encrypt_tdes_ecb),
    "emv-aes": (
        lambda key, ac, status: CMAC.new(key, ac + status, ciphermod=AES).digest()[:4],
        lambda udk, atc, ac: AES.new(udk, AES.MODE_ECB).encrypt(ac + bytes(8)),
        lambda key, block: AES.new(key, AES.MODE_ECB).encrypt(block),
    ),
    "pboc-sm4": (
        lambda key, ac, status: SUITES["pboc-sm4"][2](key, ac + status)[:4],
        lambda udk, atc, ac: sm4(udk, bytes(6) + atc + bytes(6) + inverted(atc)),
        sm4,
    ),
}


def script_of(case, of, cryptogram):
    """The script, its enciphered PIN and MAC recomputed. pyemv forms the block of VIS, whose key is the one given."""
    _, script_key, encipher = SCRIPTS[case["suite"]]
    header = of["script"][:5]
    key = script_key(of["udk"], of["atc"], of["ac"])
    delta = sm.format_vis_pin_block(of["udk"], case["pin"], case["current"])
    pin = encipher(key, b"\x08" + delta + b"\x80" + bytes(6))
    return header + pin + cryptogram(key, header + of["atc"] + of["ac"] + pin)[:4]


def change_of(case, of, cryptogram):
    """PUT DATA or UPDATE RECORD: header and data as given, the MAC recomputed."""
    header, data = of["change"][:5], of["change"][5:-4]
    key = SCRIPTS[case["suite"]][1](of["udk"], of["atc"], of["ac"])
    return header + data + cryptogram(key, header + of["atc"] + of["ac"] + data)[:4]


def main():
    checked = collections.Counter()
    for line in sys.stdin:
        case = json.loads(line)
        of = {name: bytes.fromhex(case[name]) for name in NAMES}
        derive, session, cryptogram, answer = SUITES[case["suite"]]
        udk = derive(case, of["imk"])
        key = session(udk, of["atc"])
        ac = cryptogram(key, of["covered"])
        odd = 0 if "3des" not in case["suite"] else 1
        ours = (
            bytes(byte | odd for byte in of["udk"]),
            *(of[name] for name in ["ac", "arpc", "arpc_with_status", "script", "change"]),
        )
        theirs = (
            bytes(byte | odd for byte in udk),
            ac,
            answer(key, ac, of["arc"]),
            SCRIPTS[case["suite"]][0](key, ac, of["status"]),
            script_of(case, of, cryptogram),
            change_of(case, of, cryptogram),
        )
        if ours != theirs:
            sys.exit(f"ours differ in {case}\ntheirs: {[part.hex() for part in theirs]}")
        checked[case["suite"], case["cvn"], case["derivation"]] += 1
    for path, count in sorted(checked.items()):
        print(f"{count} cards, suite {path[0]}, cryptogram version {path[1]}, derivation {path[2]}: as theirs")
    if len(checked) != 12 or min(checked.values()) < 1000:
        sys.exit("fewer than 1,000 cards on each of 12 paths")


main()
