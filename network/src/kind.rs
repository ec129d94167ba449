//! What kind of card an issuer makes: suite, cryptogram version, key derivation, product, each by a name.

use crate::{oda::OdaKind, suite::Derivation};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error};
use tapvault_proto::{
    device::Sealing,
    profile::{Cvn, Product, Suite},
    token::Channel,
};

/// A choice that files and commands make by name.
pub trait Named: Copy + PartialEq + 'static {
    /// Every choice with its name.
    const NAMES: &'static [(Self, &'static str)];

    /// The name.
    #[must_use]
    fn name(self) -> &'static str {
        Self::NAMES.iter().find(|(choice, _)| *choice == self).map_or("", |(_, name)| name)
    }

    /// The choice of a name.
    ///
    /// # Errors
    /// A message with every name there is.
    fn by_name(name: &str) -> Result<Self, String> {
        let names = || Self::NAMES.iter().map(|(_, name)| *name).collect::<Vec<_>>().join(", ");
        let found = Self::NAMES.iter().find(|(_, known)| *known == name);
        found.map(|(choice, _)| *choice).ok_or_else(|| format!("'{name}' is none of: {}", names()))
    }
}

impl Named for Suite {
    const NAMES: &'static [(Self, &'static str)] = &[
        (Self::Pboc3Des, "pboc-3des"),
        (Self::Emv3Des, "emv-3des"),
        (Self::EmvAes, "emv-aes"),
        (Self::PbocSm4, "pboc-sm4"),
    ];
}

impl Named for Cvn {
    const NAMES: &'static [(Self, &'static str)] = &[(Self::V01, "01"), (Self::V17, "17")];
}

impl Named for Channel {
    const NAMES: &'static [(Self, &'static str)] =
        &[(Self::Nfc, "nfc"), (Self::Qr, "qr"), (Self::InApp, "in-app"), (Self::Wallet, "wallet")];
}

impl Named for Sealing {
    const NAMES: &'static [(Self, &'static str)] = &[(Self::Hpke, "hpke"), (Self::Sm2, "sm2")];
}

impl Named for Product {
    const NAMES: &'static [(Self, &'static str)] =
        &[(Self::Debit, "debit"), (Self::Credit, "credit"), (Self::QuasiCredit, "quasi-credit")];
}

impl Named for Derivation {
    const NAMES: &'static [(Self, &'static str)] = &[(Self::A, "a"), (Self::B, "b")];
}

impl Named for OdaKind {
    const NAMES: &'static [(Self, &'static str)] =
        &[(Self::None, "none"), (Self::Rsa1024, "rsa-1024"), (Self::Rsa1536, "rsa-1536"), (Self::Sm2, "sm2")];
}

/// Writes a choice by its name.
///
/// # Errors
/// The serializer's.
pub fn write<T: Named, S: Serializer>(choice: &T, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(choice.name())
}

/// Reads a choice by its name.
///
/// # Errors
/// The deserializer's; a name that there is not.
pub fn read<'de, T: Named, D: Deserializer<'de>>(deserializer: D) -> Result<T, D::Error> {
    T::by_name(&String::deserialize(deserializer)?).map_err(D::Error::custom)
}

/// Writes choices by their names.
///
/// # Errors
/// The serializer's.
pub fn write_all<T: Named, S: Serializer>(choices: &[T], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(choices.iter().map(|choice| choice.name()))
}

/// Reads choices by their names.
///
/// # Errors
/// The deserializer's; a name that there is not.
pub fn read_all<'de, T: Named, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<T>, D::Error> {
    let names = Vec::<String>::deserialize(deserializer)?;
    names.iter().map(|name| T::by_name(name).map_err(D::Error::custom)).collect()
}

/// The kind of a card.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CardKind {
    /// The cryptographic suite.
    #[serde(serialize_with = "write", deserialize_with = "read")]
    pub suite: Suite,
    /// What the cryptogram covers.
    #[serde(serialize_with = "write", deserialize_with = "read")]
    pub cvn: Cvn,
    /// How its key is derived.
    #[serde(serialize_with = "write", deserialize_with = "read")]
    pub derivation: Derivation,
    /// The product.
    #[serde(serialize_with = "write", deserialize_with = "read")]
    pub product: Product,
    /// Offline data authentication.
    #[serde(serialize_with = "write", deserialize_with = "read")]
    pub oda: OdaKind,
}

/// The only kind there was when state files did not say one.
impl Default for CardKind {
    fn default() -> Self {
        Self {
            suite: Suite::Pboc3Des,
            cvn: Cvn::V01,
            derivation: Derivation::A,
            product: Product::Debit,
            oda: OdaKind::None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_suite_has_a_name_and_other_names_are_refused() {
        for suite in Suite::ALL {
            assert_eq!(Suite::by_name(suite.name()), Ok(suite));
        }
        assert_eq!(Cvn::by_name("18"), Err("'18' is none of: 01, 17".into()));
    }

    #[test]
    fn a_kind_goes_through_json() {
        let kind = CardKind { suite: Suite::PbocSm4, cvn: Cvn::V17, ..CardKind::default() };
        let json = serde_json::to_string(&kind).unwrap();
        assert_eq!(
            json,
            r#"{"suite":"pboc-sm4","cvn":"17","derivation":"a","product":"debit","oda":"none"}"#
        );
        assert_eq!(serde_json::from_str::<CardKind>(&json).unwrap(), kind);
        assert!(serde_json::from_str::<CardKind>(&json.replace("sm4", "sm5")).is_err());
    }
}
