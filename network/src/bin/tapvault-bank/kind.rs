//! What of a card is chosen when it is issued.

use tapvault_network::{
    amount::amount,
    keyblock::Version,
    kind::{CardKind, Named},
    oda::OdaKind,
    registry::TokenRules,
    suite::Derivation,
};
use tapvault_proto::{
    offline::Offline,
    profile::{CardProfile, Cvn, Product, Suite},
    token::{Channel, Domain},
};

/// What of a card's kind is chosen; the rest is as at its last issue, or of a 3DES debit card.
#[derive(clap::Args)]
pub struct Kind {
    /// Cryptographic suite: pboc-3des, emv-3des, emv-aes (international), pboc-sm4 (domestic).
    #[arg(long, value_name = "NAME", value_parser = Suite::by_name)]
    suite: Option<Suite>,
    /// Cryptogram version: 01 covers the whole transaction, 17 amount, number and counter.
    #[arg(long, value_name = "NUMBER", value_parser = Cvn::by_name)]
    cvn: Option<Cvn>,
    /// How a 3DES key is derived: a from the last 16 digits, b from a hash of longer numbers.
    #[arg(long, value_name = "LETTER", value_parser = Derivation::by_name)]
    derivation: Option<Derivation>,
    /// Puts the keys into TR-31 key blocks of this version inside the package: b (3DES keys) or d.
    #[arg(long, value_name = "VERSION", value_parser = key_block_version)]
    pub key_blocks: Option<Version>,
    /// Puts no key into the phone that others are derived from: keys come in batches (`keys`), and the wallet fetches
    /// the next one with so many left, 1 to 8.
    #[arg(long, value_name = "THRESHOLD", conflicts_with = "key_blocks")]
    limited_use: Option<u8>,
    /// Product: debit, credit, quasi-credit.
    #[arg(long, value_name = "NAME", value_parser = Product::by_name)]
    product: Option<Product>,
    /// Key for offline data authentication: none, rsa-1024, rsa-1536, sm2.
    #[arg(long, value_name = "NAME", value_parser = OdaKind::by_name)]
    oda: Option<OdaKind>,
    /// From this amount on, in minor units, the card wants the wallet PIN whatever the terminal asks; 0 is always.
    #[arg(long, value_name = "AMOUNT", default_value_t = CardProfile::NEVER, hide_default_value = true)]
    pub pin_from: u64,
    /// The terminal's online PIN may not stand in for the wallet PIN.
    #[arg(long)]
    pub no_online_pin: bool,
    /// A signature may stand in for the wallet PIN.
    #[arg(long)]
    pub signature: bool,
    /// A way to pay: nfc, qr, in-app, wallet. Once for each; all when left out.
    #[arg(long, value_name = "NAME", value_parser = Channel::by_name)]
    channel: Vec<Channel>,
    /// The token is over after this moment, in seconds since 1970 UTC; the phone needs `time` then.
    #[arg(long, value_name = "SECONDS", default_value_t = Domain::UNLIMITED, hide_default_value = true)]
    valid_until: u64,
    /// Most payments with these keys.
    #[arg(long, value_name = "NUMBER", default_value_t = u16::MAX, hide_default_value = true)]
    payments: u16,
    /// Most that a payment may come to, in minor units.
    #[arg(long, value_name = "AMOUNT", default_value_t = Domain::UNLIMITED, hide_default_value = true)]
    max_amount: u64,
    /// Lets the card approve payments without asking, up to so much in all, in yuan: what it is loaded with (`offline`
    /// loads more). Needs --oda, and a phone with gpd.tee.trustedStorage.antiRollback.protectionLevel 1000; stock
    /// OP-TEE says 100 and refuses the card.
    #[arg(long, value_name = "AMOUNT", value_parser = amount, requires = "offline_payment", conflicts_with = "limited_use")]
    offline: Option<u64>,
    /// Most that the card may approve at once, in yuan; as much is set aside before each tap.
    #[arg(long, value_name = "AMOUNT", value_parser = amount, requires = "offline")]
    offline_payment: Option<u64>,
    /// The token waits for `command activate`.
    #[arg(long)]
    inactive: bool,
}

impl Kind {
    /// What is chosen for its token.
    pub fn rules(&self) -> TokenRules {
        let Self { valid_until, payments, max_amount: amount, .. } = *self;
        let channels = if self.channel.is_empty() { Channel::ALL.to_vec() } else { self.channel.clone() };
        let domain = Domain { valid_until, payments, amount, ..Domain::unlimited() };
        let offline = self.offline.zip(self.offline_payment);
        let offline = offline.map(|(balance, payment)| Offline { balance, payment });
        TokenRules { channels, domain, active: !self.inactive, limited_use: self.limited_use, offline }
    }

    /// The kind with what is chosen over what is known.
    pub fn over(&self, known: CardKind) -> CardKind {
        CardKind {
            suite: self.suite.unwrap_or(known.suite),
            cvn: self.cvn.unwrap_or(known.cvn),
            derivation: self.derivation.unwrap_or(known.derivation),
            product: self.product.unwrap_or(known.product),
            oda: self.oda.unwrap_or(known.oda),
        }
    }
}

fn key_block_version(letter: &str) -> Result<Version, String> {
    match letter {
        "b" => Ok(Version::B),
        "d" => Ok(Version::D),
        _ => Err("b or d".into()),
    }
}
