"""Opens the card data of device-tests/examples/bindings.rs, a JSON object a line on standard input, as a bank's
software would: pyca/OpenSSL checks the bank's certificate and opens the seal (HPKE). What is ours is the order of the
bytes, as docs/binding.md gives it."""

import json
import sys

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.hpke import AEAD, KDF, KEM, Suite

P256 = ec.SECP256R1()
HPKE = Suite(KEM.P256, KDF.HKDF_SHA256, AEAD.AES_128_GCM)


def check_certificate(case):
    signature = bytes.fromhex(case["signature"])
    r, s = (int.from_bytes(half, "big") for half in (signature[:32], signature[32:]))
    signed = b"tapvault recipient cert1" + bytes.fromhex(case["provider"])
    signed += len(case["name"]).to_bytes(2, "big") + case["name"].encode() + bytes.fromhex(case["recipient"])
    root = ec.EllipticCurvePublicKey.from_encoded_point(P256, bytes.fromhex(case["root"]))
    root.verify(encode_dss_signature(r, s), signed, ec.ECDSA(hashes.SHA256()))


def field(text, length):
    """A length byte, the digits, and zeros to the end."""
    return bytes([len(text)]) + text.encode().ljust(length, b"\0")


def main():
    checked = 0
    for line in sys.stdin:
        case = json.loads(line)
        check_certificate(case)
        key = ec.derive_private_key(int(case["key"], 16), P256)
        point = key.public_key().public_numbers()
        recipient = b"\x04" + point.x.to_bytes(32, "big") + point.y.to_bytes(32, "big")
        if recipient.hex() != case["recipient"]:
            sys.exit(f"the certified key is another in {case}")
        info = b"tapvault card data     1"
        info += bytes.fromhex(case["provider"] + case["nonce"] + case["challenge"])
        opened = HPKE.decrypt(bytes.fromhex(case["encapsulated"] + case["sealed"]), key, info=info)
        typed = field(case["number"], 19) + case["expiry"].encode() + field(case["cvn2"], 4)
        if opened != typed:
            sys.exit(f"ours differ in {case}\nopened: {opened.hex()}\ntyped: {typed.hex()}")
        checked += 1
    print(f"{checked} sealed card data: open to what was typed")
    if checked < 100:
        sys.exit("fewer than 100")


main()
