//! In the guest, as root: a client is given a canary card, pays with it, and then its memory, tee-supplicant's and the
//! files under secure storage are looked through, for the card's keys, for those of the seal that it came in, and for
//! the PIN. Root plays the bank and the PIN pad, so that neither a key nor a PIN was ever in the client.

use super::{Canaries, package, seal::known_seal};
use crate::{
    Outcome, ensure,
    lab::{self, Digits, Lab, say},
    oda::{Read, WANTS_ODA},
    pad,
};
use std::{
    fs::{self, File},
    io::{BufRead, BufReader, Lines, Read as _, Seek, SeekFrom, StdinLock, Write},
    path::Path,
    process::{ChildStdout, Command, Stdio},
};
use tapvault::{
    PadLink,
    optee::{Login, Optee},
    wallet::Purpose,
};
use tapvault_network::{oda::OdaKind, registry::CNY};
use tapvault_proto::{
    device::ChallengeReply,
    id::CardId,
    pad::PadMessage,
    pin::{EnrolmentTicket, TicketPurpose},
    wire::{Wire, decode_exact, encode_into},
};

const CARD: CardId = CardId([0xCA; 16]);
const STORE: &str = "/var/lib/tee";
/// Where root's pad is.
const PAD: &str = "/tmp/canary-pad";
/// Bytes that are looked through at a time.
const PART: usize = 1 << 20;
/// Bytes that two parts have in common: longer than any pattern.
const SEAM: usize = 64;

fn line<B: BufRead>(lines: &mut Lines<B>) -> Outcome<String> {
    lines.next().ok_or("nobody is there any more")?.map_err(say)
}

/// The client's half, as user `wallet`: says its challenges, is told package and ticket, pays, and waits.
///
/// # Errors
/// Anybody's.
pub fn pay() -> Outcome<()> {
    let mut wallet = lab::wallet(Optee::connect(Login::User).map_err(say)?);
    lab::empty(&mut wallet)?;
    let challenge = lab::challenge(&mut wallet)?;
    let mut bytes = vec![0; ChallengeReply::MAX];
    let len = encode_into(&challenge, &mut bytes).map_err(|error| format!("{error:?}"))?;
    let ticket = wallet.pin_challenge().map_err(say)?;
    println!("{} {}", hex::encode(&bytes[..len]), hex::encode(ticket));
    let mut told: Lines<StdinLock<'_>> = std::io::stdin().lines();
    wallet.add_card(line(&mut told)?.as_bytes()).map_err(say)?;
    let ticket: EnrolmentTicket =
        decode_exact(&hex::decode(line(&mut told)?).map_err(say)?).map_err(|error| format!("{error:?}"))?;
    // The pad is root's half, a process of its own.
    let mut pad = tapvault::pad::connect(PAD).map_err(say)?;
    let pairing = wallet.pad_state().map_err(say)?.pairing.ok_or("not paired")?;
    let paired = pad.exchange(&PadMessage::Pair(pairing)).map_err(say)?;
    ensure(paired == PadMessage::Paired, || format!("{paired:?}"))?;
    wallet.set_pin(ticket, &mut pad).map_err(say)?;
    let mut lab = Lab::new()?;
    let purpose = Purpose { card: CARD, ceiling: 100_000, currency: CNY };
    for number in 0..4 {
        wallet.verify_pin(lab.provider_id(), purpose, &mut pad).map_err(say)?;
        let mut tap = wallet.prepare_tap(CARD, true).map_err(say)?;
        let read = Read::tap(&mut tap, WANTS_ODA, [number; 4])?;
        ensure(read.get(0x9F4B).is_ok(), || "no signature".into())?;
    }
    println!("{}", std::process::id());
    line(&mut told)?;
    // As other tests expect it.
    lab.set_pin(&mut wallet, lab::PIN)?;
    wallet.remove_card(CARD).map_err(say)
}

/// Root's half.
///
/// # Errors
/// Where a secret was found, and whatever kept it from being looked for.
pub fn run() -> Outcome<()> {
    let command = "exec guest-tests canary-pay";
    let mut client = Command::new("su")
        .args(["-s", "/bin/sh", "wallet", "-c", command])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .map_err(say)?;
    let mut told = client.stdin.take().ok_or("no input")?;
    let mut said = BufReader::new(client.stdout.take().ok_or("no output")?).lines();
    let looked = with_the_client(&mut told, &mut said);
    // Ends the client, which waits for a line or for no more of them.
    let _ = writeln!(told);
    drop(told);
    let ended = client.wait().map_err(say)?;
    let rest: Vec<_> = said.map_while(Result::ok).collect();
    looked.map_err(|error| format!("{error} {}", rest.join(" ")))?;
    ensure(ended.success(), || format!("the client: {}", rest.join(" ")))
}

fn with_the_client(told: &mut impl Write, said: &mut Lines<BufReader<ChildStdout>>) -> Outcome<()> {
    let mut lab = Lab::new()?;
    lab.kind.oda = OdaKind::Sm2;
    let challenges = line(said)?;
    let challenges: Vec<_> =
        challenges.split(' ').map(hex::decode).collect::<Result<_, _>>().map_err(|_| challenges.clone())?;
    let [challenge, ticket] = challenges.as_slice() else { return Err("no challenges".into()) };
    let fixed = |_| "a challenge's length";
    let challenge = decode_exact(challenge).map_err(|error| format!("{error:?}"))?;
    let (_, profile) = package(&mut lab, CARD, &challenge)?;
    let pin = drawn_pin();
    let mut all = Canaries::default();
    all.add_profile(&profile);
    all.add_pin(&pin);
    let (package, secrets) = known_seal(&lab, CARD, &challenge, profile)?;
    secrets.iter().for_each(|(name, secret)| all.add(name, secret));
    let ticket = lab.provider.ticket(TicketPurpose::Reset, ticket.as_slice().try_into().map_err(fixed)?);
    let mut bytes = vec![0; EnrolmentTicket::MAX];
    let len = encode_into(&ticket, &mut bytes).map_err(|error| format!("{error:?}"))?;
    bytes.truncate(len);
    let listener = pad::at(Path::new(PAD))?;
    let typed = pin.clone();
    std::thread::spawn(move || pad::serve(&listener, || Digits::of(&[typed.as_str(); 5])));
    writeln!(told, "{package}\n{}", hex::encode(bytes)).map_err(say)?;
    let client = line(said)?;
    let client: u32 = client.parse().map_err(|_| client.clone())?;

    // Root's own memory has them all, so the search finds what is there.
    let own = memory(&all, std::process::id())?;
    ensure(own.found.is_some(), || "the search found nothing where the keys are".into())?;
    let supplicant = process("tee-supplicant")?;
    for (name, looked) in [
        ("the client's memory", memory(&all, client)?),
        ("tee-supplicant's memory", memory(&all, supplicant)?),
        ("the files of secure storage", files(&all, Path::new(STORE))?),
    ] {
        println!("{name}: {} bytes", looked.bytes);
        ensure(looked.bytes > 4096, || format!("{name}: only {} bytes", looked.bytes))?;
        if let Some(found) = looked.found {
            return Err(format!("{name}: {found}"));
        }
    }
    Ok(())
}

/// A PIN that is nowhere in this program, which the client is as well: 12 digits out of a hash.
fn drawn_pin() -> String {
    super::bytes("pin").iter().take(12).map(|byte| char::from(b'0' + byte % 10)).collect()
}

/// How much was looked through, and the first secret that was found.
#[derive(Default)]
struct Looked {
    bytes: u64,
    found: Option<String>,
}

/// Looks through `len` bytes of a file from `from` on; memory that is not there any more ends it.
fn look(canaries: &Canaries, file: &mut File, (from, len): (u64, u64), looked: &mut Looked) {
    if file.seek(SeekFrom::Start(from)).is_err() {
        return;
    }
    let (mut part, mut kept, mut left) = (vec![0; SEAM + PART], 0, len);
    while left > 0 {
        let room = PART.min(usize::try_from(left).unwrap_or(PART));
        let Some(free) = part.get_mut(kept..kept + room) else { return };
        let Ok(read @ 1..) = file.read(free) else { return };
        let end = kept + read;
        if let Some((secret, at)) = part.get(..end).and_then(|part| canaries.find(part)) {
            let at = from + (len - left) + at as u64 - kept as u64;
            looked.found.get_or_insert_with(|| format!("{secret} at {at:x}"));
        }
        looked.bytes += read as u64;
        left -= read as u64;
        let seam = end.saturating_sub(SEAM);
        part.copy_within(seam..end, 0);
        kept = end - seam;
    }
}

/// Looks through everything that a process can read.
fn memory(canaries: &Canaries, process: u32) -> Outcome<Looked> {
    let maps = fs::read_to_string(format!("/proc/{process}/maps")).map_err(say)?;
    let mut file = File::open(format!("/proc/{process}/mem")).map_err(say)?;
    let mut looked = Looked::default();
    for map in maps.lines() {
        let mut words = map.split_whitespace();
        let (range, rights) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
        let Some((from, to)) = range.split_once('-') else { continue };
        let (Ok(from), Ok(to)) = (u64::from_str_radix(from, 16), u64::from_str_radix(to, 16)) else {
            continue;
        };
        if rights.starts_with('r') {
            look(canaries, &mut file, (from, to.saturating_sub(from)), &mut looked);
        }
    }
    Ok(looked)
}

/// Looks through every file of a folder, and their names.
fn files(canaries: &Canaries, folder: &Path) -> Outcome<Looked> {
    let mut looked = Looked::default();
    for entry in fs::read_dir(folder).map_err(say)? {
        let path = entry.map_err(say)?.path();
        if path.is_dir() {
            let inside = files(canaries, &path)?;
            looked.bytes += inside.bytes;
            looked.found = looked.found.or(inside.found);
            continue;
        }
        let mut file = File::open(&path).map_err(say)?;
        let len = file.metadata().map_err(say)?.len();
        look(canaries, &mut file, (0, len), &mut looked);
        let named = canaries.find(path.as_os_str().as_encoded_bytes()).map(|(secret, _)| secret.to_owned());
        looked.found = looked.found.or(named).map(|found| format!("{}: {found}", path.display()));
    }
    Ok(looked)
}

/// The id of the process of this name.
fn process(name: &str) -> Outcome<u32> {
    for entry in fs::read_dir("/proc").map_err(say)?.flatten() {
        let id = entry.file_name().to_string_lossy().parse();
        let called = fs::read_to_string(entry.path().join("comm")).unwrap_or_default();
        if let Ok(id) = id
            && called.trim() == name
        {
            return Ok(id);
        }
    }
    Err(format!("no process {name}"))
}
