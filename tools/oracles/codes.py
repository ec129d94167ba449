"""Reads the codes of device-tests/examples/codes.rs, a JSON object a line on standard input, as a merchant's software
would, and recomputes their cryptograms from the issuer's master key. The data objects are taken apart by ber-tlv, the
ciphers are those of cryptograms.py; what is ours is the order of the bytes, as docs/four-ways-to-pay.md gives it."""

import base64
import collections
import json
import sys

from ber_tlv.tlv import Tlv
from ciphers import SUITES

ALGORITHM = {"pboc-3des": 1, "emv-3des": 1, "emv-aes": 2, "pboc-sm4": 4}
VERSION = {"01": 1, "17": 0x11}


def objects(found):
    """Tag to value; a tag that comes twice is an error."""
    if len({tag for tag, _ in found}) != len(found):
        sys.exit(f"a tag twice: {found}")
    return dict(found)


def expected(case, seen):
    """What a code of this card has to hold, its cryptogram recomputed."""
    amount, number, atc, aip = bytes(6), seen[0x9F37], seen[0x9F36], bytes.fromhex("7c00")
    cvr = bytes.fromhex("03a40000")
    if case["cvn"] == "01":
        # 9F02 9F03 9F1A 95 5F2A 9A 9C, all of which only a terminal would know.
        covered = amount + bytes(6 + 2 + 5 + 2 + 3 + 1) + number + aip + atc + cvr
    else:
        covered = amount + number + atc + cvr[1:2]
    derive, session, cryptogram, _ = SUITES[case["suite"]]
    key = session(derive(case, bytes.fromhex(case["imk"])), atc)
    issuer_data = bytes([7, case["key_version"], VERSION[case["cvn"]]]) + cvr + bytes([ALGORITHM[case["suite"]]])
    return {
        0x9F26: cryptogram(key, covered),
        0x9F27: b"\x80",
        0x9F10: issuer_data,
        0x9F36: atc,
        0x82: aip,
        0x9F37: number,
    }


def main():
    checked, used = collections.Counter(), set()
    for line in sys.stdin:
        case = json.loads(line)
        payload = base64.b64decode(case["code"], validate=True)
        found = Tlv.parse(payload)
        if Tlv.build(found) != payload:
            sys.exit(f"another encoding: {payload.hex()}")
        top = objects(found)
        if list(top) != [0x85, 0x61] or top[0x85] != b"CPV01":
            sys.exit(f"not a code: {payload.hex()}")
        application = objects(top[0x61])
        transparent = objects(application[0x63])
        track2 = case["pan"] + "d" + case["expiry"] + "2200000"
        track2 = bytes.fromhex(track2 + "f" * (len(track2) % 2))
        wanted = {0x4F: bytes.fromhex(case["aid"]), 0x57: track2, 0x5F34: bytes.fromhex(case["psn"])}
        if any(application.get(tag) != value for tag, value in wanted.items()):
            sys.exit(f"not this card's: {application}")
        if application[0x9F19].hex() != "062999900001" or application[0x9F25].hex() != "4321":
            sys.exit(f"not the requestor's: {application}")
        if len(application[0x9F24]) != 29:
            sys.exit(f"no payment account reference: {application}")
        if transparent != expected(case, transparent):
            sys.exit(f"ours differ in {case}\nours: {transparent}\ntheirs: {expected(case, transparent)}")
        made = int.from_bytes(transparent[0x9F37], "big")
        if made + 60 != case["expires"] or made <= case["from"]:
            sys.exit(f"another moment: {case}")
        once = (case["key_version"], transparent[0x9F36])
        if once in used:
            sys.exit(f"a counter twice: {case}")
        used.add(once)
        checked[case["suite"], case["cvn"], case["derivation"]] += 1
    for path, count in sorted(checked.items()):
        print(f"{count} codes, suite {path[0]}, cryptogram version {path[1]}, derivation {path[2]}: as theirs")
    if len(checked) != 12 or min(checked.values()) < 20:
        sys.exit("fewer than 20 codes on each of 12 paths")


main()
