//! Prints sessions between PIN trusted app and pad with all their secrets, a JSON object a line, for `tools/oracles`:
//! scalars, messages, session keys, and the frame of each direction.

use std::io::{self, Write};
use tapvault_device_tests::{pad::keys_of, random::Random};
use tapvault_network::device::Factory;
use tapvault_pad_link::{pad::Answered, schedule::Ephemeral, tee::Offered};
use tapvault_proto::{
    Error,
    pad::{Entered, PAD_PATIENCE_S, PadPurpose, PadSuite, Showing, transcript},
    pin::Pin,
    wire::{Bytes, Wire, encode_into},
};

fn bytes<W: Wire>(message: &W) -> Result<String, Error> {
    let mut bytes = vec![0; W::MAX];
    let len = encode_into(message, &mut bytes)?;
    bytes.truncate(len);
    Ok(hex::encode(bytes))
}

fn line(suite: PadSuite, random: &mut Random) -> Result<serde_json::Value, Error> {
    let drawn = |random: &mut Random| -> [u8; 32] { std::array::from_fn(|_| random.byte()) };
    let (one, two) = (drawn(random), drawn(random));
    let gives = |scalar: [u8; 32]| move |out: &mut [u8]| out.copy_from_slice(&scalar);
    let keys = |label: &str| keys_of(label).map_err(|_| Error::Internal);
    let (tee, pad) = (keys("a phone")?, keys("a pad")?);
    let pairing = Factory::lab().pair(7, *tee.public(), *pad.public());
    let showing = Showing {
        purpose: PadPurpose::ApprovePayment,
        amount: random.below(1 << 40),
        currency: 0x0156,
        payee: Bytes::from_slice(b"Tea Shop").map_err(|_| Error::Internal)?,
        digest: drawn(random),
        life_s: PAD_PATIENCE_S,
    };
    let digits: String = (0..6).map(|_| char::from(b'0' + random.byte() % 10)).collect();

    let (offered, offer) = Offered::new(suite, &pairing, &mut gives(one))?;
    let (answered, answer) = Answered::new(&pad, &pairing, &offer, &mut gives(two))?;
    let (awaiting, show) = offered.accept(&tee, &pairing, &answer)?.show(&showing)?;
    let (reply, _) = answered.open(&show)?;
    let frame = reply.seal(&Entered::Pin(Pin::from_ascii(digits.as_bytes())?))?;
    awaiting.open(&frame)?;
    let bound = transcript(None, &pairing, &offer, &answer.ephemeral);
    let session = Ephemeral::draw(suite, &mut gives(one))?.0.agree(&answer.ephemeral, &bound)?;
    Ok(serde_json::json!({
        "suite": match suite { PadSuite::P256 => "p256", PadSuite::Sm2 => "sm2" },
        "tee_scalar": hex::encode(one), "pad_scalar": hex::encode(two),
        "pairing": bytes(&pairing)?, "offer": bytes(&offer)?, "answer": bytes(&answer)?, "show": bytes(&show)?,
        "frame": bytes(&frame)?, "down": hex::encode(session.down), "up": hex::encode(session.up),
        "showing": bytes(&showing)?, "pin": digits,
    }))
}

fn main() -> io::Result<()> {
    let mut out = io::stdout().lock();
    let count: usize = std::env::args().nth(1).and_then(|count| count.parse().ok()).unwrap_or(10);
    // Standard output is the other program's: the seed is not printed.
    let seed = std::env::var("TAPVAULT_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(1);
    let mut random = Random::new(seed);
    for _ in 0..count {
        for suite in [PadSuite::P256, PadSuite::Sm2] {
            writeln!(out, "{}", line(suite, &mut random).map_err(io::Error::other)?)?;
        }
    }
    Ok(())
}
