"""gmssl's SM2, for keys of any value."""

from gmssl.sm2 import CryptSM2


def holder(public_key, mode=0):
    """gmssl's object for a public key, 64 bytes in hexadecimal.

    Its constructor takes an 04 in front for the mark of an uncompressed point, and drops all zeros and fours there: one
    key in 256 begins so by itself. So the key is set afterwards.
    """
    made = CryptSM2(private_key="", public_key="", mode=mode)
    made.public_key = public_key
    return made
