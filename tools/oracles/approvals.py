"""Recomputes from the issuer's master key the cryptograms of what device-tests/examples/approvals.rs had cards approve
offline, a JSON object a line on standard input. The answers are taken apart by ber-tlv, the ciphers are those of
cryptograms.py; what is ours is the order of the bytes, as docs/card.md gives it."""

import collections
import json
import sys

from ber_tlv.tlv import Tlv
from ciphers import SUITES

ALGORITHM = {"pboc-3des": 1, "emv-3des": 1, "emv-aes": 2, "pboc-sm4": 4}
# An approval has the locator and the signature beside what every answer has.
TAGS = [0x82, 0x9F36, 0x57, 0x9F10, 0x9F26, 0x5F34, 0x9F6C, 0x94, 0x9F4B]
# The first cryptogram is a TC, a second one was not requested.
CVR = bytes.fromhex("03900000")


def main():
    checked = collections.Counter()
    for line in sys.stdin:
        case = json.loads(line)
        found = Tlv.parse(bytes.fromhex(case["answer"]))
        if [tag for tag, _ in found] != TAGS:
            sys.exit(f"other data objects: {found}")
        seen = dict(found)
        derive, session, cryptogram, _ = SUITES[case["suite"]]
        key = session(derive(case, bytes.fromhex(case["imk"])), seen[0x9F36])
        theirs = cryptogram(key, bytes.fromhex(case["asked"]) + seen[0x82] + seen[0x9F36] + CVR)
        issuer_data = bytes([7, case["key_version"], 1]) + CVR + bytes([ALGORITHM[case["suite"]]])
        if (seen[0x9F26], seen[0x9F10]) != (theirs, issuer_data):
            sys.exit(f"ours differ in {case}\ntheirs: {theirs.hex()} {issuer_data.hex()}")
        checked[case["suite"], case["derivation"]] += 1
    for path, count in sorted(checked.items()):
        print(f"{count} offline approvals, suite {path[0]}, derivation {path[1]}: as theirs")
    if len(checked) != 6:
        sys.exit("fewer than 6 paths")


main()
