"""Checks SM2 chains and signatures of device-tests/examples/signatures.rs, a JSON object a line on standard input, with
gmssl: the issuer's certificate under the authority, the card's under the issuer, the card's signature over its
counter and the terminal's data; and that a flipped bit is refused."""

import json
import sys

from sm2 import holder


def verifies(key, message, signature):
    return holder(key.hex()).verify_with_sm3(signature.hex(), message)


def split(signed):
    return signed[:-64], signed[-64:]


def main():
    certified, taps = set(), 0
    for line in sys.stdin:
        of = {name: bytes.fromhex(value) for name, value in json.loads(line).items()}
        (issuer, issuer_signature), (card, card_signature) = split(of["90"]), split(of["9F46"])
        if of["9F46"] not in certified:
            ok = verifies(of["authority"], issuer, issuer_signature)
            ok = ok and verifies(issuer[-64:], card + of["static"], card_signature)
            ok = ok and not verifies(issuer[-64:], card + of["static"] + b"x", card_signature)
            if not ok:
                sys.exit(f"a certificate differs in {line}")
            certified.add(of["9F46"])
        body, signature = split(of["9F4B"])
        message = body + of["terminal"]
        flipped = bytes([message[-1] ^ 1])
        if not verifies(card[-64:], message, signature):
            sys.exit(f"a signature differs in {line}")
        if taps % 20 == 0 and verifies(card[-64:], message[:-1] + flipped, signature):
            sys.exit(f"a flipped bit is accepted in {line}")
        taps += 1
    print(f"{len(certified)} SM2 cards, {taps} signatures: as theirs")
    if len(certified) < 100 or taps < 1000:
        sys.exit("fewer than 1,000 signatures of 100 cards")


main()
