"""PIN blocks by programs of others. With --check, reads the blocks of device-tests/examples/pin_blocks.rs, a JSON object
a line on standard input; with a number, makes as many of each format for it to read.

  formats 0, 3, 4   psec: format 0 byte for byte, 3 and 4 decoded
  SM4               gmssl, in the layout of format 4, which is no format of ISO's: the order of the bytes is ours
  keys              AES of pycryptodomex; the order of the derivation data is ours, after ANSI X9.24-3"""

import collections
import json
import secrets
import sys

from Cryptodome.Cipher import AES
from gmssl.sm4 import SM4_DECRYPT, SM4_ENCRYPT, CryptSM4
from psec import des, pinblock


def sm4(key, block, mode):
    cipher = CryptSM4(padding_mode=0)
    cipher.set_key(key, mode)
    return bytes(cipher.one_round(cipher.sk, list(block)))


def xor(left, right):
    return bytes(a ^ b for a, b in zip(left, right))


def number_field(token):
    return bytes.fromhex((str(len(token) - 12) + token).ljust(32, "0"))


def sm4_encoded(pin, token, key):
    field = bytes.fromhex(f"4{len(pin):x}{pin}".ljust(16, "a")) + secrets.token_bytes(8)
    return sm4(key, xor(sm4(key, field, SM4_ENCRYPT), number_field(token)), SM4_ENCRYPT)


def sm4_decoded(token, key, block):
    field = sm4(key, xor(sm4(key, block, SM4_DECRYPT), number_field(token)), SM4_DECRYPT).hex()
    length = int(field[1], 16)
    if field[0] != "4" or field[2 + length : 16].strip("a"):
        raise ValueError(f"not the layout of format 4: {field}")
    return field[2 : 2 + length]


def encoded(name, pin, token, key):
    if name == "iso4":
        return pinblock.encipher_pinblock_iso_4(key, pin, token)
    if name == "sm4":
        return sm4_encoded(pin, token, key)
    clear = {"iso0": pinblock.encode_pinblock_iso_0, "iso3": pinblock.encode_pinblock_iso_3}[name](pin, token)
    return des.encrypt_tdes_ecb(key, clear)


def decoded(name, token, key, block):
    if name == "iso4":
        return pinblock.decipher_pinblock_iso_4(key, block, token)
    if name == "sm4":
        return sm4_decoded(token, key, block)
    clear = des.decrypt_tdes_ecb(key, block)
    return {"iso0": pinblock.decode_pinblock_iso_0, "iso3": pinblock.decode_pinblock_iso_3}[name](clear, token)


ALGORITHM = {"iso0": 0, "iso3": 0, "iso4": 2, "sm4": 0xFF04}


def working_key(case):
    """From the base key along the ones of the counter."""
    identifier = bytes.fromhex(case["identifier"])

    def derived(key, usage, algorithm, tail):
        data = b"\x01\x01" + usage.to_bytes(2, "big") + algorithm.to_bytes(2, "big") + b"\x00\x80" + tail
        return AES.new(key, AES.MODE_ECB).encrypt(data)

    key, so_far = derived(bytes.fromhex(case["base"]), 0x8001, 2, identifier), 0
    for bit in reversed(range(32)):
        if case["counter"] >> bit & 1:
            so_far |= 1 << bit
            key = derived(key, 0x8000, 2, identifier[4:] + so_far.to_bytes(4, "big"))
    tail = identifier[4:] + case["counter"].to_bytes(4, "big")
    return derived(key, 0x1000, ALGORITHM[case["format"]], tail)


def check():
    counts, used = collections.Counter(), set()
    for line in sys.stdin:
        if line.startswith("TAPVAULT_SEED="):
            continue
        case = json.loads(line)
        name, key, block = case["format"], bytes.fromhex(case["key"]), bytes.fromhex(case["block"])
        same = key == working_key(case) and decoded(name, case["token"], key, block) == case["pin"]
        if name == "iso0":
            same = same and encoded(name, case["pin"], case["token"], key) == block
        if not same:
            sys.exit(f"a PIN block of ours is not as theirs: {line}")
        if key in used:
            sys.exit(f"a key twice: {line}")
        used.add(key)
        counts[name] += 1
    print(", ".join(f"{count} {name}" for name, count in counts.items()) + ": PIN blocks and keys as theirs")
    if len(counts) != 4 or min(counts.values()) < 1000:
        sys.exit("fewer than 1,000 of a format")


def digits(least, most):
    return "".join(secrets.choice("0123456789") for _ in range(least + secrets.randbelow(most - least + 1)))


def make(count):
    for name in ALGORITHM:
        for _ in range(count):
            pin, token, key = digits(4, 12), digits(13, 19), secrets.token_bytes(16)
            block = encoded(name, pin, token, key)
            print(json.dumps({"format": name, "pin": pin, "token": token, "key": key.hex(), "block": block.hex()}))


check() if sys.argv[1:] == ["--check"] else make(int(sys.argv[1]))
