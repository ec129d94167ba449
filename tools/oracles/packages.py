"""Makes key blocks with psec and SM2 packages with gmssl and cryptography, a JSON object a line, for
device-tests/examples/packages.rs to open: COUNT random ones of each kind. With --check reads key blocks of ours, a JSON
object a line, and opens them with psec."""

import json
import os
import secrets
import sys

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from gmssl.sm2 import CryptSM2
from psec import tr31
from sm2 import holder


def key_block(version):
    kbpk = os.urandom(16 if version == "B" else 32)
    key, algorithm = os.urandom(16), "T" if version == "B" else secrets.choice("TA")
    header = tr31.Header(version, "E0", algorithm, "X", f"{secrets.randbelow(100):02}", secrets.choice("ENS"))
    # Some hide the key's length, some do not.
    block = tr31.KeyBlock(kbpk, header).wrap(key, secrets.choice([None, 16, 24]))
    return {"kind": version, "kbpk": kbpk.hex(), "algorithm": algorithm, "key": key.hex(), "block": block}


def sm2_package():
    curve = CryptSM2(private_key="", public_key="")
    scalar = secrets.randbelow(int(curve.ecc_table["n"], 16) - 2) + 1
    public = curve._kg(scalar, curve.ecc_table["g"])
    content_key, info, plain = os.urandom(16), os.urandom(88), os.urandom(secrets.randbelow(2000))
    encapsulated = holder(public, mode=1).encrypt(content_key)
    cipher = Cipher(algorithms.SM4(content_key), modes.GCM(bytes(12))).encryptor()
    cipher.authenticate_additional_data(info)
    sealed = cipher.update(plain) + cipher.finalize() + cipher.tag
    return {
        "kind": "sm2", "scalar": f"{scalar:064x}", "info": info.hex(), "encapsulated": "04" + encapsulated.hex(),
        "sealed": sealed.hex(), "plain": plain.hex(),
    }


def make(count):
    for _ in range(count):
        for version in "BD":
            print(json.dumps(key_block(version)))
        print(json.dumps(sm2_package()))


def check():
    counts = {"B": 0, "D": 0, "sm2": 0}
    for line in sys.stdin:
        if line.startswith("TAPVAULT_SEED="):
            continue
        of = json.loads(line)
        if of["kind"] == "sm2":
            content_key = CryptSM2(private_key=of["scalar"], public_key="", mode=1).decrypt(bytes.fromhex(of["encapsulated"][2:]))
            sealed = bytes.fromhex(of["sealed"])
            cipher = Cipher(algorithms.SM4(content_key), modes.GCM(bytes(12), sealed[-16:])).decryptor()
            cipher.authenticate_additional_data(bytes.fromhex(of["info"]))
            same = (cipher.update(sealed[:-16]) + cipher.finalize()).hex() == of["plain"]
        else:
            header, key = tr31.unwrap(bytes.fromhex(of["kbpk"]), of["block"])
            same = key.hex() == of["key"] and header.key_usage == "E0" and header.mode_of_use == "X"
        if not same:
            sys.exit(f"a package of ours does not open as it should: {line}")
        counts[of["kind"]] += 1
    print(", ".join(f"{count} {kind}" for kind, count in counts.items()) + ": theirs open ours")
    if min(counts.values()) < 1000:
        sys.exit("fewer than 1,000 of a kind")


check() if sys.argv[1:] == ["--check"] else make(int(sys.argv[1]))
