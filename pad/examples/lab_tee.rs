//! The PIN trusted app's end of the channel, for the lab: pairs a pad, has it show something, and prints what came
//! back.
//! **It prints the PIN**: for trying a pad, and for whoever writes the firmware of one. It is no phone.
//!
//! ```sh
//! cargo run -p tapvault-pad -- --state pad --listen ./pad.sock
//! cargo run -p tapvault-pad --example lab_tee -- ./pad.sock --purpose approve-payment --payee Bookshop
//! ```

use clap::Parser;
use p256::ecdsa::{Signature, SigningKey, signature::Signer};
use sha2::{Digest, Sha256};
use std::{
    error::Error,
    io::{Read, Write},
    net::TcpStream,
    os::unix::net::UnixStream,
    time::{Duration, SystemTime},
};
use tapvault_pad::{
    random::{Random, System},
    text, wire,
};
use tapvault_pad_link::{Keys, tee::Offered};
use tapvault_proto::{
    pad::{Entered, PadMessage, PadPurpose, PadSuite, Pairing, Showing},
    pin::Pin,
    wire::{Bytes, decode_exact},
};

/// LAB ONLY: plays the phone's PIN trusted app and prints what is typed.
#[derive(Parser)]
struct Arguments {
    /// The pad: a Unix socket's path, or an address of this machine.
    pad: String,
    /// set-pin, arm-tap, confirm-tap, approve-payment, show-code, confirm-transfer, change-pin, bank-pin, card-data.
    #[arg(long, default_value = "arm-tap", value_parser = purpose)]
    purpose: PadPurpose,
    /// In minor units.
    #[arg(long, default_value_t = 1200)]
    amount: u64,
    /// ISO 4217 number, 156 for CNY.
    #[arg(long, default_value = "156", value_parser = currency)]
    currency: u16,
    /// Who is paid: printable ASCII, 32 letters at most.
    #[arg(long, default_value = "")]
    payee: String,
    /// A text whose SHA-256 is the order's digest.
    #[arg(long)]
    order: Option<String>,
    /// Speaks SM2, SM3 and SM4.
    #[arg(long)]
    sm2: bool,
}

trait Stream: Read + Write {}
impl<S: Read + Write> Stream for S {}

fn main() -> Result<(), Box<dyn Error>> {
    let arguments = Arguments::parse();
    let mut pad = connect(&arguments.pad)?;
    let suite = if arguments.sm2 { PadSuite::Sm2 } else { PadSuite::P256 };
    let draw = &mut |bytes: &mut [u8]| {
        if System.fill(bytes).is_err() {
            bytes.fill(0);
        }
    };
    let keys = Keys::draw(draw)?;
    let pairing = pair(&mut pad, &keys)?;
    println!("paired, number {}", pairing.sequence);

    let (offered, offer) = Offered::new(suite, &pairing, draw)?;
    let PadMessage::Answer(answer) = ask(&mut pad, &PadMessage::Offer(offer))? else {
        return refused("the offer");
    };
    let session = offered.accept(&keys, &pairing, &answer)?;
    let (awaiting, show) = session.show(&showing(&arguments)?)?;
    println!("the pad proved that it is the paired one, and is asked");
    let PadMessage::Entered(frame) = ask(&mut pad, &PadMessage::Show(show))? else {
        return refused("what to show");
    };
    match awaiting.open(&frame)? {
        Entered::Nothing => println!("nothing was submitted"),
        Entered::Pin(pin) => println!("PIN {}", digits(&pin)),
        Entered::Change(present, new) => println!("PIN {}, new PIN {}", digits(&present), digits(&new)),
        Entered::CardData(data) => println!("card {}", String::from_utf8_lossy(data.expose_number())),
    }
    Ok(())
}

/// Signs a pairing as the lab's factory, whose key everybody has. Its number is the time, so that it is always newer.
fn pair(pad: &mut impl Stream, keys: &Keys) -> Result<Pairing, Box<dyn Error>> {
    let PadMessage::Keys(theirs) = ask(pad, &PadMessage::AskKeys)? else {
        return refused("the question for its keys");
    };
    let sequence = u32::try_from(SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?.as_secs())?;
    let mut pairing = Pairing { sequence, tee: *keys.public(), pad: theirs, signature: [0; 64] };
    let root = SigningKey::from_slice(&Sha256::digest(b"tapvault lab factory root"))?;
    let signature: Signature = root.sign(&pairing.signed_bytes());
    pairing.signature = signature.to_bytes().into();
    match ask(pad, &PadMessage::Pair(pairing))? {
        PadMessage::Paired => Ok(pairing),
        _ => refused("the pairing"),
    }
}

fn showing(arguments: &Arguments) -> Result<Showing, Box<dyn Error>> {
    let payee =
        Bytes::from_slice(arguments.payee.as_bytes()).map_err(|_| "a payee has 32 letters at most")?;
    let digest = arguments.order.as_ref().map_or([0; 32], |order| Sha256::digest(order).into());
    let Arguments { purpose, amount, currency, .. } = *arguments;
    Ok(Showing { purpose, amount, currency, payee, digest, life_s: 50 })
}

fn connect(pad: &str) -> Result<Box<dyn Stream>, Box<dyn Error>> {
    let patience = Some(Duration::from_secs(70));
    if pad.contains('/') {
        let stream = UnixStream::connect(pad)?;
        stream.set_read_timeout(patience)?;
        return Ok(Box::new(stream));
    }
    let stream = TcpStream::connect(pad)?;
    stream.set_read_timeout(patience)?;
    Ok(Box::new(stream))
}

fn ask(pad: &mut impl Stream, message: &PadMessage) -> Result<PadMessage, Box<dyn Error>> {
    wire::write(pad, message)?;
    Ok(decode_exact(&wire::read(pad)?.ok_or("the pad went away")?)?)
}

fn refused<T>(what: &str) -> Result<T, Box<dyn Error>> {
    Err(format!("the pad refused {what}; its events say why").into())
}

fn digits(pin: &Pin) -> String {
    let (digits, len) = pin.expose();
    digits.iter().take(len.into()).map(|digit| char::from(*digit)).collect()
}

/// Three digits, one in each half of a byte, as in tag 5F2A.
fn currency(digits: &str) -> Result<u16, String> {
    let three = digits.len() == 3 && digits.bytes().all(|digit| digit.is_ascii_digit());
    u16::from_str_radix(digits, 16).ok().filter(|_| three).ok_or_else(|| "three digits".into())
}

fn purpose(name: &str) -> Result<PadPurpose, String> {
    use PadPurpose::{
        ApprovePayment, ArmTap, BankPin, CardData, ChangePin, ConfirmTap, ConfirmTransfer, SetPin, ShowCode,
    };
    [ApprovePayment, ArmTap, BankPin, CardData, ChangePin, ConfirmTap, ConfirmTransfer, SetPin, ShowCode]
        .into_iter()
        .find(|purpose| text::name(*purpose) == name)
        .ok_or_else(|| "no purpose of this name; see --help".into())
}
