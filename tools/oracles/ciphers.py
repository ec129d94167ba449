"""The suites by programs of others: key derivation, session key, cryptogram, answer.

  3DES  pyemv (over pyca/OpenSSL)
  AES   pycryptodomex: AES and CMAC
  SM4   gmssl"""

from Cryptodome.Cipher import AES
from Cryptodome.Hash import CMAC
from gmssl.sm4 import SM4_ENCRYPT, CryptSM4
from pyemv import ac as emv_ac
from pyemv import kd, mac, tools


def sm4(key, block):
    cipher = CryptSM4(padding_mode=0)
    cipher.set_key(key, SM4_ENCRYPT)
    return bytes(cipher.one_round(cipher.sk, list(block)))


def inverted(data):
    return bytes(byte ^ 0xFF for byte in data)


def padded(data, size):
    data += b"\x80"
    return data + bytes(-len(data) % size)


def xor(left, right):
    return bytes(a ^ b for a, b in zip(left, right))


def digits(case, count):
    """The last digits of number and sequence number, packed, zeros in front."""
    return bytes.fromhex((case["pan"] + case["psn"]).zfill(count)[-count:])


def tdes_key(case, imk):
    derive = {"a": kd.derive_icc_mk_a, "b": kd.derive_icc_mk_b}[case["derivation"]]
    return derive(imk, case["pan"], case["psn"])


def process_key(udk, atc):
    return tools.encrypt_tdes_ecb(udk, bytes(6) + atc + bytes(6) + inverted(atc))


def tdes(session):
    def answer(key, ac, arc):
        return emv_ac.generate_arpc_1(key, ac, arc)

    def cryptogram(key, data):
        return mac.mac_iso9797_3(key[:8], key[8:], data, 2)

    return tdes_key, session, cryptogram, answer


def sm4_cryptogram(key, data):
    chain = bytes(16)
    data = padded(data, 16)
    for at in range(0, len(data), 16):
        chain = sm4(key, xor(chain, data[at : at + 16]))
    return chain[:8]


SUITES = {
    "pboc-3des": tdes(process_key),
    "emv-3des": tdes(lambda udk, atc: kd.derive_common_sk(udk, atc + bytes(6))),
    "emv-aes": (
        lambda case, imk: AES.new(imk, AES.MODE_ECB).encrypt(digits(case, 32)),
        lambda udk, atc: AES.new(udk, AES.MODE_ECB).encrypt(atc + bytes(14)),
        lambda key, data: CMAC.new(key, data, ciphermod=AES).digest()[:8],
        lambda key, ac, arc: AES.new(key, AES.MODE_ECB).encrypt(xor(ac, arc + bytes(6)) + bytes(8))[:8],
    ),
    "pboc-sm4": (
        lambda case, imk: sm4(imk, digits(case, 16) + inverted(digits(case, 16))),
        lambda udk, atc: sm4(udk, bytes(6) + atc + bytes(6) + inverted(atc)),
        sm4_cryptogram,
        lambda key, ac, arc: sm4(key, xor(ac, arc + bytes(6)) + bytes(8))[:8],
    ),
}
