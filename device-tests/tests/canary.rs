//! Secrets that can be recognised are planted, every method of cards and PIN is called, and nothing that leaves the
//! trusted apps holds a piece of them; nor does a heap block that a trusted app gave back.
//!
//! What the simulated TEE stores is plain, as what OP-TEE is given to store: on real OP-TEE `guest-tests canary`
//! looks into the files.

mod common;

use common::{Phone, WALLET};
use hpke::{Kem, Serializable, kem::DhP256HkdfSha256};
use std::{
    alloc::{GlobalAlloc, Layout, System},
    backtrace::Backtrace,
    cell::{Cell, RefCell},
    collections::BTreeSet,
    rc::Rc,
    sync::OnceLock,
};
use tapvault::{
    Channel, ClientError, Transport, Wallet,
    sim::{Sim, SimChannel},
    wallet::Purpose,
};
use tapvault_device_tests::{
    canary::{self, CANARY_PIN, Canaries},
    contact,
    lab::{self, Carrier, Digits, Lab},
    oda::{Read, WANTS_ODA},
    pad,
    random::Random,
    scenarios::binding::{CVN2, EXPIRY, NUMBER, at_desk},
};
use tapvault_network::{
    contact::ContactRules,
    element::{ElementKeys, SoftElement},
    kind::CardKind,
    lab::LabBank,
    oda::OdaKind,
    online::Payee,
    registry::CNY,
};
use tapvault_proto::{
    PROTOCOL_VERSION,
    card::{METHODS as CARD, RemoveRequest},
    id::{Address, CardId, TrustletName, Uuid},
    pin::{METHODS as PIN, TicketPurpose, Transfer},
    profile::{CardProfile, Product, Suite},
    route::Endpoint,
    service::{Request, Rights, Service},
    token::TokenAction,
    wire::Bytes,
};
use tapvault_tee::{Tee, host::HostTee};

/// What freed blocks are looked through for, once it is known.
static PLANTED: OnceLock<Canaries> = OnceLock::new();

thread_local! {
    /// Whether a trusted app runs: what the bank, in the same process, does with its keys is not looked at.
    static INSIDE: Cell<bool> = const { Cell::new(false) };
    static FREED: Cell<usize> = const { Cell::new(0) };
    static LEAKS: RefCell<Vec<String>> = const { RefCell::new(Vec::new()) };
}

/// Looks into every block that is freed while a trusted app runs.
struct Scanning;

#[global_allocator]
static SCANNING: Scanning = Scanning;

// SAFETY: every block comes from `System` and goes back to it with its own layout. `realloc` is the default: a new
// block, a copy, and `dealloc` of the old one, so that blocks that grow are looked into as well.
unsafe impl GlobalAlloc for Scanning {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: as the caller promises for this layout.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        if INSIDE.try_with(Cell::get).unwrap_or(false) {
            // SAFETY: the block is still the caller's, `layout.size()` bytes long, and zeroed when it was allocated.
            look(unsafe { std::slice::from_raw_parts(block, layout.size()) });
        }
        // SAFETY: `alloc` had the block from there.
        unsafe { System.dealloc(block, layout) }
    }
}

fn look(block: &[u8]) {
    FREED.set(FREED.get() + 1);
    let Some((secret, at)) = PLANTED.get().and_then(|canaries| canaries.find(block)) else { return };
    outside(|| {
        let trace = Backtrace::force_capture();
        let leak = format!("{secret} at {at} of {} bytes, freed by\n{trace}", block.len());
        LEAKS.with_borrow_mut(|leaks| leaks.push(leak));
    });
}

/// Clears the stack below the caller: there the bank, which is another process in the real world, left its keys, and
/// values that a trusted app moves to the heap take along what lies beside them.
#[inline(never)]
fn clear_stack() {
    std::hint::black_box(&mut [0_u8; 512 << 10]);
}

fn inside<R>(act: impl FnOnce() -> R) -> R {
    clear_stack();
    let before = INSIDE.replace(true);
    let result = act();
    INSIDE.set(before);
    result
}

fn outside<R>(act: impl FnOnce() -> R) -> R {
    let before = INSIDE.replace(false);
    let result = act();
    INSIDE.set(before);
    result
}

/// What passed between the client and a trusted app.
enum Passed {
    Request(Service, u32, Vec<u8>),
    Reply(u32, Vec<u8>),
    Error(u32, String),
}

type Record = Rc<RefCell<Vec<Passed>>>;

/// Writes down what passes.
#[derive(Clone)]
struct Recorded(Sim, Record);

struct RecordedChannel {
    service: Service,
    channel: Option<SimChannel>,
    record: Record,
}

impl Transport for Recorded {
    type Channel = RecordedChannel;

    fn open(&self, app: Uuid) -> Result<RecordedChannel, ClientError> {
        let service = Service::by_uuid(app).unwrap();
        let channel = inside(|| self.0.open(app))?;
        Ok(RecordedChannel { service, channel: Some(channel), record: self.1.clone() })
    }
}

impl Channel for RecordedChannel {
    fn invoke(&mut self, method: u32, request: &[u8]) -> Result<&[u8], ClientError> {
        let mut record = self.record.borrow_mut();
        record.push(Passed::Request(self.service, method, request.to_vec()));
        let answer = inside(|| self.channel.as_mut().unwrap().invoke(method, request));
        record.push(match &answer {
            Ok(reply) => Passed::Reply(method, reply.to_vec()),
            Err(error) => Passed::Error(method, format!("{error} {error:?}")),
        });
        answer
    }
}

impl Drop for RecordedChannel {
    fn drop(&mut self) {
        inside(|| self.channel.take());
    }
}

/// A phone whose client writes down what passes.
struct Watched {
    phone: Phone,
    transport: Recorded,
}

impl Watched {
    fn new() -> Self {
        let phone = inside(Phone::new);
        let transport = Recorded(phone.sim.as_caller(WALLET), Record::default());
        Self { phone, transport }
    }

    fn wallet(&self) -> Wallet<Recorded> {
        Wallet::new(self.transport.clone())
    }
}

/// The seed of the key that a package is sealed to, when the TEE's random numbers stand here.
const RANDOM: u64 = 0x0C0F_FEE0;

/// The same for the keys for the pad: elsewhere, so that no public value is drawn from there.
const PAD_RANDOM: u64 = 0x0C0F_FEE1_0000;

/// The private key that the challenge at [`RANDOM`] makes: provisioning's own secret.
fn provisioning_key() -> Vec<u8> {
    let device = tapvault_tee::host::Device::default();
    device.borrow_mut().random = RANDOM;
    let (mut nonce, mut seed) = ([0; 32], [0; 32]);
    let mut tee = HostTee::new(Service::Card, &device);
    tee.random(&mut nonce);
    tee.random(&mut seed);
    let (key, _) = DhP256HkdfSha256::derive_keypair(&seed);
    key.to_bytes().to_vec()
}

/// Pairs the lab's pad, with keys of the PIN trusted app that are always the same.
fn pair_at<T: Transport>(phone: &Phone, wallet: &mut Wallet<T>) {
    phone.device.borrow_mut().random = PAD_RANDOM;
    pad::pair(wallet).unwrap();
}

/// Those keys, behind the format in their object.
fn pad_keys(phone: &Phone) -> Vec<u8> {
    let device = phone.device.borrow();
    let object = device.objects.get(&(Service::Pin.uuid(), b"pad".to_vec()));
    object.and_then(|object| object.as_ref()?.get(1..65).map(<[u8]>::to_vec)).unwrap()
}

/// Installs a canary of a kind, after a challenge at [`RANDOM`].
fn install(watched: &Watched, lab: &mut Lab, wallet: &mut Wallet<Recorded>, card: CardId) -> CardProfile {
    lab::certify(wallet).unwrap();
    watched.phone.device.borrow_mut().random = RANDOM;
    let challenge = wallet.card_challenge().unwrap();
    let (package, profile) = canary::package(lab, card, &challenge).unwrap();
    wallet.add_card(package.as_bytes()).unwrap();
    profile
}

const CARD_ID: CardId = CardId([0xCA; 16]);
const LIMITED: CardId = CardId([0xCB; 16]);

/// The kinds of cards, by suite and by the key of their offline authentication.
const KINDS: [(Suite, OdaKind); 4] = [
    (Suite::Pboc3Des, OdaKind::Rsa1024),
    (Suite::PbocSm4, OdaKind::Sm2),
    (Suite::Emv3Des, OdaKind::Rsa1536),
    (Suite::EmvAes, OdaKind::None),
];

/// Everything that is secret on the phones of these tests.
fn everything() -> Canaries {
    let mut canaries = Canaries::default();
    canaries.add_pin(CANARY_PIN);
    canaries.add("card number", NUMBER.as_bytes());
    canaries.add("provisioning key", &provisioning_key());
    let phone = Phone::new();
    pair_at(&phone, &mut phone.wallet());
    for half in pad_keys(&phone).chunks(32) {
        canaries.add("key for the pad", half);
    }
    let mut verifier_key = [0; 32];
    let mut tee = HostTee::new(Service::Pin, &phone.device);
    tee.unique_key(b"wallet pin verifier", &mut verifier_key).unwrap();
    canaries.add("key of the PIN's verifier", &verifier_key);
    let mut wallet = phone.wallet();
    let mut lab = Lab::new().unwrap();
    for (suite, oda) in KINDS {
        lab.kind = CardKind { suite, oda, ..CardKind::default() };
        let challenge = lab::challenge(&mut wallet).unwrap();
        canaries.add_profile(&canary::package(&mut lab, CARD_ID, &challenge).unwrap().1);
    }
    // The kind that `use_everything` ends with. Its card PIN is one that everybody knows.
    canaries.add_profile(&contact::test_card(&lab, ContactRules::default()).profile().unwrap());
    canaries
}

/// Calls every method that a wallet has, as it is meant.
fn use_everything(watched: &Watched) {
    let (mut wallet, mut lab) = (watched.wallet(), Lab::new().unwrap());
    let provider = lab.provider_id();
    wallet.status().unwrap();
    pair_at(&watched.phone, &mut wallet);
    let ticket = lab.provider.ticket(TicketPurpose::Enrol, wallet.pin_challenge().unwrap());
    wallet.set_pin(ticket, &mut Digits::of(&[CANARY_PIN])).unwrap();
    for (suite, oda) in KINDS {
        lab.kind = CardKind { suite, oda, ..CardKind::default() };
        let profile = install(watched, &mut lab, &mut wallet, CARD_ID);
        wallet.cards().unwrap();
        wallet.show(CARD_ID).unwrap();
        lab.set_time(&mut wallet).unwrap();
        let purpose = Purpose { card: CARD_ID, ceiling: 100_000, currency: CNY };
        wallet.verify_pin(provider, purpose, &mut Digits::of(&[CANARY_PIN])).unwrap();
        wallet.nfc_on(CARD_ID).unwrap();
        wallet.verify_pin(provider, purpose, &mut Digits::of(&["000000000000"])).unwrap_err();
        for verified in [true, false] {
            lab.verify(&mut wallet, CARD_ID, CANARY_PIN).unwrap();
            let mut tap = wallet.prepare_tap(CARD_ID, verified).unwrap();
            let read = Read::tap(&mut tap, WANTS_ODA, [1, 2, 3, 4]).unwrap();
            assert_eq!(read.get(0x9F4B).is_ok(), profile.oda.is_some());
            assert_eq!(tap.transmit(&lab::gpo_command(100, true)).status(), 0x6985);
        }
        wallet.qr_code(provider, CARD_ID, &mut Digits::of(&[CANARY_PIN])).unwrap();
        let merchant = Payee::merchant("898110048990001", "Tea Shop").unwrap();
        let order = merchant.own_order("1", (100, CNY), lab::TIME + 900).unwrap();
        for payee in [merchant, Payee::wallet().unwrap()] {
            let request = payee.request(order.clone()).unwrap().to_json().unwrap();
            wallet.pay_online(provider, CARD_ID, &request, &mut Digits::of(&[CANARY_PIN])).unwrap();
        }
        wallet.card_log(CARD_ID).unwrap();
        let command = lab.provider.command(CARD_ID, profile.key_version, 1, TokenAction::Suspend);
        wallet.token_command(command).unwrap();
        let command = lab.provider.command(CARD_ID, profile.key_version, 2, TokenAction::Resume);
        wallet.token_command(command).unwrap();
        wallet.suspend(CARD_ID).unwrap();
        lab.verify(&mut wallet, CARD_ID, CANARY_PIN).unwrap();
        wallet.resume(CARD_ID).unwrap();
        wallet.nfc_off().unwrap();
    }
    let test = contact::test_card(&lab, ContactRules::default());
    let id = contact::issue(&lab, &mut wallet, &test).unwrap();
    let mut card = wallet.insert_card(id).unwrap();
    contact::begin(&mut card, &test).unwrap();
    assert_eq!(card.transmit(&contact::verify(&test.rules.pin)).status(), 0x9000);
    let data = contact::terminal_data(100, [0; 5], [1, 2, 3, 4]);
    assert_eq!(card.transmit(&contact::command(0x80, 0xAE, 0x80, 0, &data)).status(), 0x9000);
    wallet.remove_card(id).unwrap();
    wallet.change_pin(provider, &mut Digits::of(&[CANARY_PIN, "1357"])).unwrap();
    wallet.change_pin(provider, &mut Digits::of(&["1357", CANARY_PIN])).unwrap();
    let name = TrustletName::new(b"transit").unwrap();
    let payee = Bytes::from_slice(b"somebody").unwrap();
    let transfer = Transfer { amount: 1, currency: CNY, payee };
    let trustlet = Address { provider, name };
    wallet.confirm_transfer(&trustlet, transfer, &mut Digits::of(&[CANARY_PIN])).unwrap();
    wallet.pin_state(provider).unwrap();
    // A card in the secure element, and what the holder chooses.
    lab.give_element_keys(&mut wallet).unwrap();
    let mut element = SoftElement::new(ElementKeys::lab());
    let verified = |wallet: &mut _| lab.verify(wallet, CARD_ID, CANARY_PIN).unwrap();
    verified(&mut wallet);
    wallet.put_in_element(CARD_ID, &mut Carrier(&mut element)).unwrap();
    verified(&mut wallet);
    wallet.route(CARD_ID, Product::Debit, Endpoint::Element).unwrap();
    verified(&mut wallet);
    wallet.nfc_on(CARD_ID).unwrap();
    wallet.allow_element_tap(CARD_ID, false, &mut Carrier(&mut element)).unwrap();
    verified(&mut wallet);
    wallet.route(CARD_ID, Product::Debit, Endpoint::Tee).unwrap();
    verified(&mut wallet);
    wallet.choose_card(CARD_ID, true).unwrap();
    verified(&mut wallet);
    wallet.choose_app(CARD_ID, true).unwrap();
    // A card whose keys come in batches, and a card whose data go to its bank.
    lab.rules.limited_use = Some(1);
    lab.issue(&mut wallet, LIMITED).unwrap();
    let batch = lab.key_batch(&mut wallet, LIMITED, 2, lab::TIME + 900).unwrap();
    wallet.replenish(&batch).unwrap();
    wallet.keys_left(LIMITED).unwrap();
    wallet.remove_card(LIMITED).unwrap();
    let offer = at_desk(&mut lab.issuer, |desk| desk.begin(LabBank::A)).unwrap().unwrap();
    wallet.bind_card(offer, &mut Digits::card(NUMBER, EXPIRY, CVN2)).unwrap();
}

/// Calls every method that there is with bytes that it does not expect.
fn misuse_everything(watched: &Watched) {
    let mut random = Random::new(7);
    for (service, methods) in [(Service::Card, CARD), (Service::Pin, PIN)] {
        let mut channel = watched.transport.connect(service).unwrap();
        // The card stays until the end.
        let stays = |id: &u32| (service, *id) != (Service::Card, RemoveRequest::METHOD);
        for method in methods.iter().filter(|method| stays(&method.id)) {
            for len in [0, 1, 16, 17, 33, method.max_request, method.max_request + 1] {
                for fill in [0x00, 0xCA, 0xFF] {
                    let mut request = vec![fill; len + 1];
                    request[0] = PROTOCOL_VERSION as u8;
                    let _ = channel.invoke(method.id, &request);
                    request[1..].fill_with(|| random.byte());
                    let _ = channel.invoke(method.id, &request);
                }
            }
        }
        for id in [0, 0x0002, 0x01FF, u32::MAX] {
            channel.invoke(id, &[PROTOCOL_VERSION as u8]).unwrap_err();
        }
    }
}

#[test]
fn no_request_reply_or_error_holds_a_secret() {
    let canaries = everything();
    assert!(canaries.len() > 1000);
    let watched = Watched::new();
    use_everything(&watched);
    misuse_everything(&watched);
    watched.wallet().remove_card(CARD_ID).unwrap();
    let record = watched.transport.1.borrow();
    let mut answered = BTreeSet::new();
    let mut of = Service::Card;
    for passed in record.iter() {
        let (method, text): (u32, &[u8]) = match passed {
            Passed::Request(service, method, bytes) => {
                of = *service;
                (*method, bytes)
            }
            Passed::Reply(method, bytes) => {
                answered.insert((of, *method));
                (*method, bytes)
            }
            Passed::Error(method, text) => (*method, text.as_bytes()),
        };
        assert_eq!(canaries.find(text), None, "method {method:04X} of {of:?}");
    }
    // That secrets are found where they are: in what was typed.
    let typed = [CANARY_PIN, NUMBER].map(|text| canaries.find(text.as_bytes()).is_some());
    assert_eq!(typed, [true, true]);
    let every = [(Service::Card, CARD), (Service::Pin, PIN)].into_iter().flat_map(|(service, methods)| {
        methods
            .iter()
            .filter(|method| Rights::WALLET.allows(method.right))
            .map(move |method| (service, method.id))
    });
    assert_eq!(answered, every.collect(), "a method that nobody called");
}

#[test]
fn no_block_that_a_trusted_app_frees_holds_a_secret() {
    assert!(PLANTED.set(everything()).is_ok());
    // That a block with a secret in it is found, and one that was wiped is not.
    let key = canary::bytes("nfc");
    let planted = || key.to_vec().into_boxed_slice();
    let (left, mut wiped) = (planted(), planted());
    zeroize::Zeroize::zeroize(&mut wiped[..]);
    inside(|| drop(wiped));
    assert!(LEAKS.take().is_empty());
    inside(|| drop(left));
    assert_eq!(LEAKS.take().len(), 1);

    let watched = Watched::new();
    use_everything(&watched);
    misuse_everything(&watched);
    inside(|| watched.phone.restart());
    // What is read from storage.
    let mut wallet = watched.wallet();
    wallet.card_log(CARD_ID).unwrap();
    wallet.remove_card(CARD_ID).unwrap();
    drop(wallet);
    inside(|| watched.phone.restart());
    assert!(FREED.get() > 100, "only {} blocks", FREED.get());
    let leaks = LEAKS.take();
    assert!(leaks.is_empty(), "{} blocks\n{}", leaks.len(), leaks.join("\n"));
}
