//! RSA of the lab: certificates under its authority, and keys for cards (EMV Book 2, 6.4, tables 13 and 14).

use super::Certified;
use rsa::{
    BoxedUint, PrivateKey, PublicKey,
    hazmat::{rsa_decrypt_and_check, rsa_encrypt},
    rand_core::UnwrapErr,
    traits::{PrivateKeyParts, PublicKeyParts},
};
use sha1::{Digest, Sha1};
use tapvault_proto::profile::{RsaKey, SecretBytes};

use crate::lab::LabBank;

/// Index of the lab's authority under UnionPay's RID, tag 8F.
pub const AUTHORITY_INDEX: u8 = 0xE0;
/// Primes of the lab's authority and of its banks, 768 bits each. Everybody has them.
const AUTHORITY: [&str; 2] = [
    "CEA9E4B2C6DD3853EEA1A0541BAA484253CD9E7466731C885CBF3210B758F0B782EE1228DD08E8002530344DEF\
        A8C005B0B04339A63130342BC938894A1EC00FFB7B446FD17FF09A3FDECA9CEA51ABABC2F2F27C719957215740\
        BE95E6D4157F",
    "C9807616180AD9CEF312C15AF98012BC97BFD6EEE1614A104C158076E489363134AE8FFF9EE757B52F4EC61714\
        5008FB0AB474DE85A36972ECF7D4B796424B2A324DEB4F9A3A56883FD301ABEF8195E181A7717F8E10CA2DF3B7\
        3D6BACAC1B8F",
];
const BANK_A: [&str; 2] = [
    "F3443854052D690CCFFD8B9B4293F546C15BEB8184FF67DECC8589DBC7576049B3286BBDF1F6C2F153CAC62D3F\
        C243752BDFB2CD3609457C465F7ECFFC5378F7283318E953E19E32F05611329CEEB5BFADEAF080598FBF2E7602\
        0374CF139C5F",
    "DE0B91E971A74E36E05C5FDCB21D8AE48DA28FF9218055B854452C0C9A6C03C272950F665E1FA37A8B9E8C09AD\
        C3B3EEA98D72963B25588BC241F55D31B42126D70FAC86BD923B011CC354175CB417F74E66AE171770BE3BB590\
        D91FEE482A93",
];
const BANK_B: [&str; 2] = [
    "FB24C2BCB3155D4FD81ED72B5A376E8B33098D101BE411021BDD957255CB956FAFDFA5AC01E0D47834719487E2\
        EC55B59BFE986287F8CD125D19E6CB9335F72EECAA9431DCAC3C92ABBA900BC95FA48AF2A8A46CFDBA570CAABA\
        0FD722F71B1F",
    "E97EB008740500EEA5F8EDA401A7F9BFE6F07857D5A2798978B67CEF936F40E304BFECDB023E38CC9ED01FEA0B\
        E818725FD91582ED134194492C42811E3942B6B66E4C0498A4F40FE2F404AA2614A0D670C2B6FA82AFC15A351D\
        AC5D3E0FE29D",
];
const BANK_C: [&str; 2] = [
    "C7557E1C7D59BC219290485507474FB8155F74369F5C0FB09F8F1E5AB70AE324C364C250282DFE60EAE807B8A9\
        F9B96F99A8E4BA1CF4BDD67367BA120D579D70C43F14BB31ABAD54B110B29C0B0AE700810569D9BD730CA093D5\
        55AAD849BB81",
    "DDB19709281475296630A183C39662917B1E76AAD619A024CB016D2FCAC3B32B69B49C1406A43439960E0021EC\
        608DF01B0C8CB66290DC6C20FFA8C9915505BDE43BBAD54C8E35E02A7D1658C0EDF1AA8D0D1899A64B46661430\
        D4539AAED703",
];
const BANK_D: [&str; 2] = [
    "EA68469AB709CA186B0A2E68D583518053F4582CBDD3A7F4A573EA9B831858B84B664F22620E264B72BC8855B5\
        FCA5B1522478D4990A06AA845C4325AA3E974B4A637EDD006D2D717759BFEFEBE29E4B0227CD0EBED14C266F51\
        BDDD03009AE9",
    "C38F8936369F485020DADC6F5AB643E7A64B2093182837736FDD6376F6FBD8138B091E2443D5B89C5D257448E4\
        1DC2FA6036BFF4CAE4C88A62CDCC584298845C239AF0CF9ADFC8389FD5A5C6E26E403D57D4F4BC824CA2FE6A20\
        96D7EF4CFEA1",
];
const BANK_E: [&str; 2] = [
    "DA553B6444B8471EC71EE80BEF93B9126FAEADE8CFD3DE7031C01F7E3D7B49A39B66FCDCE3636A9B18127723A1\
        1AA8BD5E83D54F4AEBD07FD01C7874C6683D641010E4AEA335CBE86F3F9A2B09AA91483B3A4B595D3314362ABA\
        76522F07AAAB",
    "CDF073E72FFF17CD67799E3A3C74BF6F019216883DD8F9435A8E19C5912194D6E62F0D354C1A41C8377FEA34DE\
        C3C5FC9369104E7EC7588D553376CDC2562E8FE7327D31E9454D2FE5B78CD62F0607C130C6BF7519DB1AFB6575\
        8B04227A425D",
];

/// A key and its modulus' length in bytes.
pub struct Signer(PrivateKey);

impl Signer {
    fn of(primes: [&str; 2]) -> Option<Self> {
        let [p, q] = primes.map(|prime| hex::decode(prime).ok().map(|prime| integer(&prime)));
        PrivateKey::from_p_q(p?, q?, BoxedUint::from(3_u64)).ok().map(Self)
    }

    /// The lab's authority.
    #[must_use]
    pub fn authority() -> Option<Self> {
        Self::of(AUTHORITY)
    }

    /// A lab bank's key for certifying cards.
    #[must_use]
    pub fn bank(bank: LabBank) -> Option<Self> {
        Self::of(match bank {
            LabBank::A => BANK_A,
            LabBank::B => BANK_B,
            LabBank::C => BANK_C,
            LabBank::D => BANK_D,
            LabBank::E => BANK_E,
        })
    }

    /// A new key of a card, of so many bits; `None` without random numbers.
    #[must_use]
    pub fn draw(bits: usize) -> Option<Self> {
        let mut random = UnwrapErr(getrandom::SysRng);
        PrivateKey::new_with_exp(&mut random, bits, BoxedUint::from(3_u64)).ok().map(Self)
    }

    /// The modulus.
    #[must_use]
    pub fn modulus(&self) -> Vec<u8> {
        trimmed(&self.0.n().to_be_bytes())
    }

    /// What a card is given of its key.
    #[must_use]
    pub fn card_key(&self) -> Option<RsaKey> {
        let secret = |integer: &BoxedUint| SecretBytes::new(&trimmed(&integer.to_be_bytes()));
        let [p, q] = self.0.primes() else { return None };
        Some(RsaKey {
            p: secret(p)?,
            q: secret(q)?,
            dp: secret(self.0.dp()?)?,
            dq: secret(self.0.dq()?)?,
            qinv: secret(&self.0.crt_coefficient()?)?,
        })
    }

    /// Certifies a modulus with exponent 3: `6A header 01 01 length 01 modulus.. SHA-1 BC`, and what of the modulus does
    /// not fit. The hash also covers that, the exponent and `data`.
    #[must_use]
    pub fn certify(&self, header: &[u8], modulus: &[u8], data: &[u8]) -> Option<Certified> {
        let len = self.modulus().len();
        // Behind the header four bytes of description; around all a byte in front, hash and trailer at the end.
        let room = len.checked_sub(header.len() + 4 + 22)?;
        let (inside, remainder) = modulus.split_at(modulus.len().min(room));
        let mut body = [header, &[0x01, 0x01, u8::try_from(modulus.len()).ok()?, 0x01], inside].concat();
        body.resize(len - 22, 0xBB);
        let hashed = [&body[..], remainder, &[0x03], data].concat();
        let block = [&[0x6A], &body[..], &Sha1::digest(hashed), &[0xBC]].concat();
        let no_blinding = None::<&mut UnwrapErr<getrandom::SysRng>>;
        let certificate = rsa_decrypt_and_check(&self.0, no_blinding, &integer(&block)).ok()?;
        Some(Certified {
            certificate: trimmed(&certificate.to_be_bytes()),
            remainder: remainder.to_vec(),
            len,
        })
    }
}

fn integer(bytes: &[u8]) -> BoxedUint {
    BoxedUint::from_be_slice_vartime(bytes)
}

fn trimmed(bytes: &[u8]) -> Vec<u8> {
    bytes.iter().copied().skip_while(|byte| *byte == 0).collect()
}

/// What a terminal recovers under a modulus and the exponent 3; `None` unless it is between `6A` and `BC` and its
/// hash covers `more` as well (EMV Book 2, annex A2.1). Comes without trailer and hash.
#[must_use]
pub fn recover(modulus: &[u8], signed: &[u8], more: &[u8]) -> Option<Vec<u8>> {
    let key = PublicKey::new(integer(modulus), BoxedUint::from(3_u64)).ok()?;
    let block = rsa_encrypt(&key, &BoxedUint::from_be_slice(signed, key.n_bits_precision()).ok()?).ok()?;
    let block = trimmed(&block.to_be_bytes());
    let [0x6A, hashed @ .., 0xBC] = block.as_slice() else { return None };
    let (hashed, hash) = hashed.split_last_chunk::<20>()?;
    let expected: [u8; 20] = Sha1::new().chain_update(hashed).chain_update(more).finalize().into();
    (expected == *hash && block.len() == modulus.len()).then(|| hashed.to_vec())
}
