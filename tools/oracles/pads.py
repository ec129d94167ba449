"""Recomputes the sessions of device-tests/examples/pads.rs, a JSON object a line on standard input, as the firmware of a
pad would: pyca/OpenSSL agrees on P-256, derives (HKDF over SHA-256 and SM3), opens the frames (AES-GCM and SM4-GCM) and
checks the signatures; gmssl does what is SM2. What is ours is the order of the bytes, as docs/pin-pad.md gives it."""

import json
import sys

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from sm2 import holder

P256 = ec.SECP256R1()
SUITES = {"p256": (1, hashes.SHA256(), algorithms.AES), "sm2": (2, hashes.SM3(), algorithms.SM4)}


def take(message, *lengths):
    parts, at = [], 0
    for length in lengths:
        parts.append(message[at : at + length])
        at += length
    if at != len(message):
        sys.exit(f"a message of {len(message)} bytes, not {at}")
    return parts


def p256(point):
    return ec.EllipticCurvePublicKey.from_encoded_point(P256, point)


def shared(suite, scalar, point):
    if suite == "p256":
        return ec.derive_private_key(int.from_bytes(scalar, "big"), P256).exchange(ec.ECDH(), p256(point))
    product = holder(point[1:].hex())._kg(int.from_bytes(scalar, "big"), point[1:].hex())
    return bytes.fromhex(product[:64])


def verify(suite, key, signature, message):
    if suite == "p256":
        r, s = (int.from_bytes(half, "big") for half in (signature[:32], signature[32:]))
        p256(key).verify(encode_dss_signature(r, s), message, ec.ECDSA(hashes.SHA256()))
    elif not holder(key[1:].hex()).verify_with_sm3(signature.hex(), message):
        sys.exit("gmssl refuses a signature")


def opened(cipher, key, frame):
    sequence, sealed, tag = take(frame, 4, 96, 16)
    if sequence != bytes(4):
        sys.exit("the first frame of a direction has another number")
    decryptor = Cipher(cipher(key), modes.GCM(bytes(8) + sequence, tag)).decryptor()
    return decryptor.update(sealed) + decryptor.finalize()


def check(case):
    suite = case["suite"]
    number, digest, cipher = SUITES[suite]
    of = {name: bytes.fromhex(case[name]) for name in case if name not in ("suite", "pin")}
    sequence, tee, tee_sm2, pad, pad_sm2, signature = take(of["pairing"], 4, 65, 65, 65, 65, 64)
    paired = b"tapvault pad pairing   1" + sequence + tee + tee_sm2 + pad + pad_sm2
    named, offered, tee_ephemeral = take(of["offer"], 1, 4, 65)
    pad_ephemeral, answered = take(of["answer"], 65, 64)
    proof, down_frame = take(of["show"], 64, 116)
    if (named[0], offered) != (number, sequence):
        sys.exit("the offer is for something else")
    rest = named + paired + tee_ephemeral + pad_ephemeral
    verify(suite, pad if suite == "p256" else pad_sm2, answered, b"tapvault pad session pad" + rest)
    verify(suite, tee if suite == "p256" else tee_sm2, proof, b"tapvault pad session tee" + rest)
    secret = shared(suite, of["tee_scalar"], pad_ephemeral)
    if secret != shared(suite, of["pad_scalar"], tee_ephemeral):
        sys.exit("the two ends do not agree")
    keys = {}
    for direction in ("down", "up"):
        info = b"tapvault pad " + direction.encode()
        keys[direction] = HKDF(digest, 16, b"tapvault pad session key" + rest, info).derive(secret)
        if keys[direction] != of[direction]:
            sys.exit(f"another key {direction} in {case}")
    if opened(cipher, keys["down"], down_frame) != of["showing"].ljust(96, b"\0"):
        sys.exit(f"something else is shown in {case}")
    typed = b"\x02" + bytes([len(case["pin"])]) + case["pin"].encode()
    if opened(cipher, keys["up"], of["frame"]) != typed.ljust(96, b"\0"):
        sys.exit(f"something else was typed in {case}")


def main():
    cases = [json.loads(line) for line in sys.stdin]
    for case in cases:
        check(case)
    print(f"{len(cases)} sessions of a PIN pad: the same keys, and both frames open")
    if len(cases) < 20:
        sys.exit("fewer than 20")


main()
