"""Settles the signed requests of device-tests/examples/orders.rs, a JSON object a line on standard input, as an
acquirer's software would: pyca/OpenSSL checks both signatures and opens the payment data (HPKE), and the programs of
ciphers.py recompute the cryptogram. What is ours is the order of the bytes, as docs/four-ways-to-pay.md gives it."""

import collections
import hashlib
import json
import sys

from ciphers import SUITES
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.hpke import AEAD, KDF, KEM, Suite

P256 = ec.SECP256R1()
HPKE = Suite(KEM.P256, KDF.HKDF_SHA256, AEAD.AES_128_GCM)
ROLE = {"merchant": 1, "wallet": 2}


def text(value):
    """A text on the wire: two bytes of length, then the text."""
    return len(value).to_bytes(2, "big") + value.encode()


def verify(key, signature, message):
    signature = bytes.fromhex(signature)
    r, s = (int.from_bytes(half, "big") for half in (signature[:32], signature[32:]))
    key = ec.EllipticCurvePublicKey.from_encoded_point(P256, bytes.fromhex(key))
    key.verify(encode_dss_signature(r, s), message, ec.ECDSA(hashes.SHA256()))


def label(name):
    return name.encode().ljust(23) + b"1"


def digest(request, root):
    """The digest of a request both of whose signatures are right."""
    signer = bytes([ROLE[request["role"]]]) + text(request["signer"]) + text(request["signer_name"])
    signer += bytes.fromhex(request["signer_key"]) + bytes.fromhex(request["recipient"])
    verify(root, request["certificate"], label("tapvault payee cert") + signer)
    order = text(request["merchant"]) + text(request["name"]) + text(request["order"])
    order += request["amount"].to_bytes(8, "big") + bytes.fromhex(request["currency"])
    order += request["expires"].to_bytes(8, "big")
    signed = label("tapvault pay request") + signer + order
    verify(request["signer_key"], request["signature"], signed)
    return hashlib.sha256(signed).digest()


def taken(data, *lengths):
    parts = []
    for length in lengths:
        parts.append(data[:length])
        data = data[length:]
    return (*parts, data)


def main():
    checked = collections.Counter()
    for line in sys.stdin:
        case = json.loads(line)
        request = json.loads(case["request"])
        of_request = digest(request, case["root"])
        key = ec.derive_private_key(int(case["acquirer_key"], 16), P256)
        sealed = bytes.fromhex(case["encapsulated"] + case["sealed"])
        plain = HPKE.decrypt(sealed, key, label("tapvault payment data") + of_request)
        track2, rest = taken(plain[2:], int.from_bytes(plain[:2], "big"))
        psn, requestor, aip, atc, issuer_data, ac, inside, rest = taken(rest, 1, 11, 2, 2, 8, 8, 32)
        if rest or inside != of_request or psn.hex() != case["psn"] or requestor != b"62999900001":
            sys.exit(f"not the payment of {case}: {plain.hex()}")
        if not track2.hex().startswith(case["pan"] + "d") or issuer_data[1] != case["key_version"]:
            sys.exit(f"not the card of {case}: {plain.hex()}")
        cvr = bytes.fromhex("03a40000")
        amount = bytes.fromhex(f"{request['amount']:012d}")
        if case["cvn"] == "01":
            terminal = amount + bytes(6 + 2 + 5) + bytes.fromhex(request["currency"]) + bytes(3 + 1)
            covered = terminal + of_request[:4] + aip + atc + cvr
        else:
            covered = amount + of_request[:4] + atc + cvr[1:2]
        derive, session, cryptogram, _ = SUITES[case["suite"]]
        theirs = cryptogram(session(derive(case, bytes.fromhex(case["imk"])), atc), covered)
        if theirs != ac or issuer_data[3:7] != cvr:
            sys.exit(f"ours differ in {case}\nours: {ac.hex()}\ntheirs: {theirs.hex()}")
        checked[case["suite"], case["cvn"], case["derivation"], request["role"]] += 1
    for path, count in sorted(checked.items()):
        print(f"{count} orders of a {path[3]}, suite {path[0]}, version {path[1]}, derivation {path[2]}: as theirs")
    if len(checked) != 24 or min(checked.values()) < 10:
        sys.exit("fewer than 10 orders on each of 24 paths")


main()
