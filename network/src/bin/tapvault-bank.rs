//! `tapvault-bank`: the lab bank's side of provisioning. Its keys are public; it protects nothing.

#![forbid(unsafe_code)]

#[path = "tapvault-bank/bind.rs"]
mod bind;
#[path = "tapvault-bank/kind.rs"]
mod kind;
#[path = "tapvault-bank/offline.rs"]
mod offline;

use clap::{Parser, Subcommand, ValueEnum};
use kind::Kind;
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::json;
use std::{
    path::{Path, PathBuf},
    process::ExitCode,
    time::{SystemTime, UNIX_EPOCH},
};
use tapvault_network::{
    bank::{Provider, tamper},
    device::{ChallengeDocument, Factory, PadKeysDocument},
    element,
    input::read,
    issuer::Issuer,
    lab::{self, LabBank},
    limited::BatchError,
    message::message,
    registry::{HolderRules, Order, draw_card_id},
    state::CardRecord,
};
use tapvault_proto::{
    device::{ChallengeReply, DeviceKeyReply},
    document::MAX_PACKAGE,
    id::CardId,
    limited::MAX_BATCH,
    pin::TicketPurpose,
    supervisor::MAX_POLICY,
    token::TokenAction,
    tvm::ElementKeys,
};

/// The lab bank: issues cards, permits PINs, signs policies. LAB ONLY: everybody has its keys.
#[derive(Parser)]
#[command(
    version,
    after_help = "Example: the factory's step, once; a card for the phone, then a wallet PIN.
  tapvault card device-key --json > device-key.json
  tapvault-bank certify-device device-key.json > certificate.json
  tapvault card certify certificate.json
  tapvault card challenge --json > challenge.json
  tapvault-bank issue --state bank.json --challenge challenge.json > package.json
  tapvault card add package.json
  tapvault pin challenge --json > pin-challenge.json
  tapvault-bank ticket --purpose enrol --challenge pin-challenge.json > ticket.json
  tapvault pad keys --pad pad.sock --json > pad-keys.json
  tapvault-bank pair-pad pad-keys.json > pairing.json
  tapvault pad pair --pad pad.sock pairing.json
  tapvault pin set --pad pad.sock ticket.json
  tapvault-terminal pay --listen 127.0.0.1:35963 --state bank.json --amount 12.00
Exit status: 0 done, 1 refused or not readable, 2 wrong usage."
)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Issues a card and prints its sealed package (JSON).
    #[command(after_help = "Example, a card issued again with new keys:
  tapvault-bank cards --state bank.json
  tapvault-bank issue --state bank.json --challenge challenge.json --card 00112233445566778899aabbccddeeff

The state is stored before the package is printed: from then on the card's earlier keys are not accepted.")]
    Issue {
        /// The issuer's memory; made when missing.
        #[arg(long, value_name = "FILE")]
        state: PathBuf,
        /// What `tapvault card challenge --json` printed; - is standard input.
        #[arg(long, value_name = "FILE")]
        challenge: PathBuf,
        /// Which lab bank: A to E.
        #[arg(long, default_value = "A", value_parser = bank)]
        provider: LabBank,
        /// Card id, 32 hexadecimal digits; a known one is issued again. Random when left out.
        #[arg(long, value_name = "HEX32", value_parser = card)]
        card: Option<CardId>,
        /// Token, 13 to 19 digits; drawn when left out.
        #[arg(long, value_name = "DIGITS")]
        token: Option<String>,
        /// Last four digits of the account number behind the token.
        #[arg(long, value_name = "DIGITS", default_value = "4321", value_parser = last_four)]
        pan_last_four: [u8; 4],
        /// Expiry.
        #[arg(long, value_name = "YYMM", default_value = "3112")]
        expiry: String,
        #[command(flatten)]
        kind: Kind,
    },
    /// Certifies a device's keys, as its maker's factory does, and prints the certificate (JSON).
    CertifyDevice {
        /// What `tapvault card device-key --json` printed; - is standard input.
        file: PathBuf,
    },
    /// Pairs a phone with a PIN pad, as the maker's factory does, and prints the pairing (JSON).
    PairPad {
        /// What `tapvault pad keys --json` printed; - is standard input.
        file: PathBuf,
        /// Number of the pairing; one more than the phone keeps when left out.
        #[arg(long, value_name = "N")]
        sequence: Option<u32>,
    },
    /// Permits setting a wallet PIN once and prints the ticket (JSON).
    Ticket {
        /// What `tapvault pin challenge --json` printed; - is standard input.
        #[arg(long, value_name = "FILE")]
        challenge: PathBuf,
        /// Which lab bank: A to E.
        #[arg(long, default_value = "A", value_parser = bank)]
        provider: LabBank,
        /// First PIN, or a new one in place of a lost one.
        #[arg(long, value_enum)]
        purpose: Purpose,
    },
    /// Commands a phone to give all tries of the wallet PIN back and prints the command (JSON).
    Unlock {
        /// What `tapvault pin challenge --json` printed; - is standard input.
        #[arg(long, value_name = "FILE")]
        challenge: PathBuf,
        /// Which lab bank: A to E.
        #[arg(long, default_value = "A", value_parser = bank)]
        provider: LabBank,
        /// The command's number, above that of the last one.
        #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u32).range(1..))]
        number: u32,
    },
    /// Commands a card's token and prints the command (JSON). Commands are numbered; the phone obeys them in order.
    #[command(name = "command")]
    Token {
        /// The issuer's memory, which knows the numbers.
        #[arg(long, value_name = "FILE")]
        state: PathBuf,
        /// The card.
        #[arg(long, value_name = "HEX32", value_parser = card)]
        card: CardId,
        /// What to do.
        #[arg(value_enum)]
        action: Action,
    },
    #[command(subcommand)]
    Offline(offline::Command),
    /// Gives out a batch of a card's limited-use keys and prints it, sealed (JSON). Each key is given out once.
    Keys {
        /// The issuer's memory, which knows what was given out.
        #[arg(long, value_name = "FILE")]
        state: PathBuf,
        /// What `tapvault card challenge --json` printed; - is standard input.
        #[arg(long, value_name = "FILE")]
        challenge: PathBuf,
        /// The card.
        #[arg(long, value_name = "HEX32", value_parser = card)]
        card: CardId,
        /// How many keys, 1 to 16.
        #[arg(long, value_name = "NUMBER", default_value_t = MAX_BATCH as u16)]
        count: u16,
        /// For how long they are good, by this machine's clock.
        #[arg(long, value_name = "HOURS", default_value_t = 72)]
        hours: u32,
    },
    /// Seals the lab element's keys for a phone, whose card TA may then put this bank's cards into it (JSON).
    ElementKeys {
        /// What `tapvault card challenge --json` printed; - is standard input.
        #[arg(long, value_name = "FILE")]
        challenge: PathBuf,
        /// Which lab bank: A to E.
        #[arg(long, default_value = "A", value_parser = bank)]
        provider: LabBank,
    },
    /// Binds a card to a phone: the holder's data or chip card, the network's code, the holder's name, the order.
    #[command(subcommand)]
    Bind(bind::Command),
    /// Says what time it is, by this machine's clock, and prints the statement (JSON).
    Time {
        /// What `tapvault card time-nonce --json` printed; - is standard input.
        #[arg(long, value_name = "FILE")]
        nonce: PathBuf,
        /// Which lab bank: A to E.
        #[arg(long, default_value = "A", value_parser = bank)]
        provider: LabBank,
    },
    /// Prints the public key of a lab provider, for its enrolment.
    LabKey {
        /// The provider's name: A, B and so on.
        provider: String,
    },
    /// Signs a policy with the lab's platform key and prints the signature (128 hexadecimal digits).
    SignPolicy {
        /// The policy, JSON, signed byte for byte; - is standard input.
        file: PathBuf,
    },
    /// Flips one bit of a package's ciphertext and prints the package: the phone must refuse it.
    Tamper {
        /// The package; - is standard input.
        file: PathBuf,
    },
    /// Lists the cards issued.
    Cards {
        /// The issuer's memory.
        #[arg(long, value_name = "FILE")]
        state: PathBuf,
        /// Prints JSON.
        #[arg(long)]
        json: bool,
    },
}

#[derive(Clone, Copy, ValueEnum)]
enum Action {
    /// A token that was issued inactive can pay.
    Activate,
    /// It cannot pay until it is resumed.
    Suspend,
    /// It can pay again.
    Resume,
    /// It is deleted, keys and all.
    Delete,
}

#[derive(Clone, Copy, ValueEnum)]
enum Purpose {
    Enrol,
    Reset,
}

/// A PIN challenge or a nonce as the client prints it; other fields are not ours.
#[derive(Deserialize)]
struct Nonce {
    challenge: String,
}

/// A device's keys as the client prints them.
#[derive(Deserialize)]
struct DeviceKeys {
    key: String,
    sm2_key: String,
    certified: bool,
}

fn main() -> ExitCode {
    match run(Arguments::parse().command) {
        Ok(text) => {
            println!("{text}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::from(1)
        }
    }
}

fn run(command: Command) -> Result<String, String> {
    match command {
        Command::Issue { state, challenge, provider, card, token, pan_last_four, expiry, kind } => {
            let document: ChallengeDocument = parse(&challenge, "tapvault card challenge --json")?;
            let challenge = ChallengeReply::from(document);
            let provider = Provider::new(provider).map_err(text)?;
            let card = card.map_or_else(draw_card_id, Ok).map_err(text)?;
            // Whoever is no device is found out before the card's keys are raised.
            provider.check(&challenge).map_err(text)?;
            let mut issuer = Issuer::open_or_create(&state).map_err(text)?;
            let known = issuer.cards().iter().find(|record| record.card == card.0);
            let holder = HolderRules {
                online_pin: !kind.no_online_pin,
                signature: kind.signature,
                pin_from: kind.pin_from,
            };
            let rules = kind.rules();
            let version = kind.key_blocks;
            let kind = kind.over(known.map(|record| record.kind).unwrap_or_default());
            offline::check(&rules, kind.oda)?;
            let (bank, last_four) = (provider.bank(), pan_last_four);
            let profile = issuer
                .issue(&Order { bank, card, token, last_four, expiry, kind, holder, rules })
                .map_err(text)?;
            match version {
                None => provider.seal(card, &challenge, &profile),
                Some(version) => provider.seal_key_blocks(card, &challenge, &profile, version),
            }
            .map_err(text)
        }
        Command::CertifyDevice { file } => {
            let keys: DeviceKeys = parse(&file, "tapvault card device-key --json")?;
            let keys = DeviceKeyReply {
                key: unhex(&keys.key, "key")?,
                sm2_key: unhex(&keys.sm2_key, "SM2 key")?,
                certified: keys.certified,
            };
            message("certificate", &Factory::lab().certify(&keys))
        }
        Command::PairPad { file, sequence } => {
            let PadKeysDocument { tee, pad, kept } = parse(&file, "tapvault pad keys --json")?;
            let sequence = sequence.or(kept.checked_add(1)).ok_or("the numbers of pairings are used up")?;
            message("pairing", &Factory::lab().pair(sequence, tee.into(), pad.into()))
        }
        Command::Ticket { challenge, provider, purpose } => {
            let document: Nonce = parse(&challenge, "tapvault pin challenge --json")?;
            let nonce = unhex::<32>(&document.challenge, "challenge")?;
            let purpose = match purpose {
                Purpose::Enrol => TicketPurpose::Enrol,
                Purpose::Reset => TicketPurpose::Reset,
            };
            message("ticket", &Provider::new(provider).map_err(text)?.ticket(purpose, nonce))
        }
        Command::Unlock { challenge, provider, number } => {
            let document: Nonce = parse(&challenge, "tapvault pin challenge --json")?;
            let nonce = unhex::<32>(&document.challenge, "challenge")?;
            message("unlock", &Provider::new(provider).map_err(text)?.unlock(nonce, number))
        }
        Command::Token { state, card, action } => {
            let action = match action {
                Action::Activate => TokenAction::Activate,
                Action::Suspend => TokenAction::Suspend,
                Action::Resume => TokenAction::Resume,
                Action::Delete => TokenAction::Delete,
            };
            let mut issuer = Issuer::open(&state).map_err(text)?;
            message("command", &issuer.command(card, action).map_err(text)?)
        }
        Command::Offline(command) => offline::run(command),
        Command::Keys { state, challenge, card, count, hours } => {
            let document: ChallengeDocument = parse(&challenge, "tapvault card challenge --json")?;
            let challenge = ChallengeReply::from(document);
            let mut issuer = Issuer::open(&state).map_err(text)?;
            let known = issuer.cards().iter().find(|record| record.card == card.0);
            let bank = known.map(|record| record.provider).ok_or(BatchError::UnknownCard).map_err(text)?;
            let provider = Provider::new(bank).map_err(text)?;
            // Whoever is no device is found out before keys are given out.
            provider.check(&challenge).map_err(text)?;
            let valid_until = now()?.saturating_add(3600 * u64::from(hours));
            let batch = issuer.key_batch(card, count, valid_until).map_err(text)?;
            message("keys", &provider.seal_batch(card, &challenge, &batch).map_err(text)?)
        }
        Command::ElementKeys { challenge, provider } => {
            let document: ChallengeDocument = parse(&challenge, "tapvault card challenge --json")?;
            let challenge = ChallengeReply::from(document);
            let provider = Provider::new(provider).map_err(text)?;
            // Whoever is no device gets no keys.
            provider.check(&challenge).map_err(text)?;
            let ChallengeReply { challenge, recipient, .. } = challenge;
            let element::ElementKeys { version, enc, mac } = element::ElementKeys::lab();
            let keys = ElementKeys { version, enc, mac };
            message("element-keys", &provider.element_keys(&challenge, &recipient, &keys).map_err(text)?)
        }
        Command::Bind(command) => bind::run(command),
        Command::Time { nonce, provider } => {
            let document: Nonce = parse(&nonce, "tapvault card time-nonce --json")?;
            let nonce = unhex::<32>(&document.challenge, "nonce")?;
            message("time", &Provider::new(provider).map_err(text)?.time(nonce, now()?))
        }
        Command::LabKey { provider } => {
            Ok(hex::encode(lab::provider_key(&provider).verifying_key().to_sec1_point(false)))
        }
        Command::SignPolicy { file } => Ok(hex::encode(lab::sign_policy(&read(&file, MAX_POLICY)?))),
        Command::Tamper { file } => tamper(&read(&file, MAX_PACKAGE)?).map_err(text),
        Command::Cards { state, json } => {
            let issuer = Issuer::open(&state).map_err(text)?;
            if json {
                let cards: Vec<_> = issuer.cards().iter().map(card_json).collect();
                Ok(json!(cards).to_string())
            } else {
                Ok(table(issuer.cards()))
            }
        }
    }
}

fn card_json(card: &CardRecord) -> serde_json::Value {
    json!({
        "card": hex::encode(card.card), "provider": card.provider, "token": masked(&card.token),
        "expiry": card.expiry, "key_version": card.key_version, "highest_atc": card.highest_atc,
        "status": card.status, "kind": card.kind,
    })
}

fn table(cards: &[CardRecord]) -> String {
    if cards.is_empty() {
        return "no cards".into();
    }
    let head = ["CARD", "BANK", "TOKEN", "EXPIRY", "KEYS", "PAYMENTS", "STATUS"].map(String::from);
    let rows = cards.iter().map(|card| {
        [
            hex::encode(card.card),
            card.provider.name().into(),
            masked(&card.token),
            card.expiry.clone(),
            card.key_version.to_string(),
            format!("up to {}", card.highest_atc),
            card.status.name().into(),
        ]
    });
    let lines: Vec<_> = std::iter::once(head)
        .chain(rows)
        .map(|[card, bank, token, expiry, keys, payments, status]| {
            format!("{card:<32}  {bank:<4}  {token:<19}  {expiry:<6}  {keys:<4}  {payments:<11}  {status}")
        })
        .collect();
    lines.join("\n")
}

/// A token with only its last four digits.
fn masked(token: &str) -> String {
    let hidden = token.len().saturating_sub(4);
    format!("{}{}", "*".repeat(hidden), token.get(hidden..).unwrap_or_default())
}

/// What `command` printed.
fn parse<T: DeserializeOwned>(path: &Path, command: &str) -> Result<T, String> {
    serde_json::from_slice(&read(path, 4096)?)
        .map_err(|error| format!("{}: {error}; give what `{command}` printed", path.display()))
}

/// Seconds since 1970 UTC.
fn now() -> Result<u64, String> {
    Ok(SystemTime::now().duration_since(UNIX_EPOCH).map_err(text)?.as_secs())
}

fn unhex<const N: usize>(digits: &str, what: &str) -> Result<[u8; N], String> {
    tapvault_proto::document::unhex(digits)
        .map_err(|_| format!("the {what} is not {} lower-case hexadecimal digits", 2 * N))
}

fn text(error: impl std::fmt::Display) -> String {
    error.to_string()
}

fn bank(name: &str) -> Result<LabBank, String> {
    LabBank::by_name(name).ok_or_else(|| "the lab has the banks A to E".into())
}

fn card(digits: &str) -> Result<CardId, String> {
    unhex(digits, "card id").map(CardId)
}

fn last_four(digits: &str) -> Result<[u8; 4], String> {
    let four = <[u8; 4]>::try_from(digits.as_bytes()).ok().filter(|four| four.iter().all(u8::is_ascii_digit));
    four.ok_or_else(|| "four digits, such as 4321".into())
}
