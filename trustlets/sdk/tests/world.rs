//! The typed world and the dispatcher, by a trustlet that uses every service.
#![allow(clippy::expect_used, clippy::panic, reason = "helpers of tests")]

use tapvault_trustlet::{
    Answer, Error, Key, Refusal, Trustlet, World, choice, message,
    proto::{
        id::{Address, Party, ProviderId, TrustletName},
        pin::TakeConfirmation,
        service::Service,
        trustlet::{
            MAX_MESSAGE,
            element::{TransmitReply, TransmitRequest},
            keys::KeyAlgorithm,
            network::Mail,
        },
        wire::{Bytes, Wire, decode_exact},
    },
    refusals, same_code,
    testing::{FakeWorld, Guest, client, fake_mac},
};

refusals! {
    /// Own refusals.
    Refused {
        /// A number.
        Never = 9,
    }
}
message! {
    /// Echoed.
    #[derive(Clone, Debug, PartialEq, Eq)]
    Echo {
        /// As long as an answer has room for.
        bytes: Bytes<{ MAX_MESSAGE - 4 }>,
    }
}
message! {
    /// Who sent it.
    #[derive(Clone, Debug, PartialEq, Eq)]
    Who {}
}
choice! {
    /// Either.
    Either {
        /// Comes back.
        Echo(Echo) = 1,
        /// Is refused.
        Who(Who) = 2,
    }
}

struct Probe(Option<Party>);

impl Trustlet for Probe {
    type Message = Either;
    type Reply = Echo;

    fn new() -> Self {
        Self(None)
    }

    fn handle(&mut self, from: &Party, message: Either, world: &mut impl World) -> Result<Echo, Refusal> {
        match message {
            Either::Echo(echo) => Ok(echo),
            Either::Who(_) if self.0.replace(from.clone()) == Some(from.clone()) => {
                Err(Refused::Never.into())
            }
            Either::Who(_) => {
                world.now()?;
                Err(Error::Busy.into())
            }
        }
    }
}

fn peer() -> Address {
    Address { provider: ProviderId([7; 16]), name: TrustletName::new(b"peer").expect("a name") }
}

#[test]
fn the_longest_message_and_its_answer_fit() {
    let mut guest = Guest::<Probe>::new();
    let echo = Echo { bytes: [0x5A; MAX_MESSAGE - 4].iter().copied().collect() };
    assert_eq!(guest.call(&Either::Echo(echo.clone())), Ok(echo));
    assert_eq!(Answer::<Echo>::MAX, MAX_MESSAGE - 1);
}

#[test]
fn an_own_refusal_reaches_the_client_and_a_failure_does_not_tell_more_than_that() {
    let mut guest = Guest::<Probe>::new();
    assert_eq!(guest.send(&client(1), &[2]), Err(Error::Busy));
    assert_eq!(guest.send(&client(1), &[2]).as_deref(), Ok(&[2, 9][..]));
    assert_eq!(decode_exact::<Answer<Echo>>(&[2, 9]), Ok(Answer::Refused(9)));
    guest.reopen();
    assert_eq!(guest.send(&client(1), &[2]), Err(Error::Busy), "memory ends with the session");
    assert_eq!(guest.call_from(&Party::Trustlet(peer()), &Either::Who(Who {})), Err(Error::Busy.into()));
}

#[test]
fn rejects_trailing_bytes_and_unknown_choices() {
    let mut guest = Guest::<Probe>::new();
    for bad in [&[][..], &[0], &[3], &[2, 0], &[1, 0], &[1, 0, 1]] {
        assert_eq!(guest.send(&client(1), bad), Err(Error::BadParameters), "{bad:?}");
    }
    assert_eq!(guest.send(&client(1), &[0; MAX_MESSAGE + 1]), Err(Error::BadParameters));
}

#[test]
fn storage_is_typed_and_says_when_it_is_damaged() {
    let mut world = FakeWorld::new();
    assert_eq!(world.load::<u32>(b"a"), Ok(None));
    world.save(b"a", &7u32).expect("it stores");
    assert_eq!(world.load(b"a"), Ok(Some(7u32)));
    assert_eq!(world.load::<u64>(b"a"), Err(Error::StateCorrupt));
    world.forget(b"a").expect("it deletes");
    assert_eq!(world.load::<u32>(b"a"), Ok(None));
    assert_eq!(world.load::<u32>(&[0; 17]), Err(Error::BadParameters));
}

#[test]
fn a_service_that_the_manifest_does_not_name_refuses() {
    let mut world = FakeWorld::new();
    world.allow(&[Service::Log]);
    assert_eq!(world.now(), Err(Error::NotInManifest));
    assert_eq!(world.log(&"x".repeat(65)), Ok(()));
    assert_eq!(world.lines, [vec![b'x'; 64]]);
    assert_eq!(world.calls, [(Service::Clock, 1), (Service::Log, 1)]);
}

#[test]
fn a_confirmation_is_true_once() {
    let mut world = FakeWorld::new();
    let transfer =
        tapvault_trustlet::proto::pin::Transfer { amount: 1, currency: 0x0156, payee: Bytes::new() };
    assert_eq!(world.take_confirmation(&transfer), Ok(false));
    world.confirmed.push(transfer.clone());
    assert_eq!(world.take_confirmation(&transfer), Ok(true));
    assert_eq!(world.take_confirmation(&transfer), Ok(false));
    world.fail::<TakeConfirmation>(Error::Busy);
    assert_eq!(world.take_confirmation(&transfer), Err(Error::Busy));
}

#[test]
fn mail_goes_out_and_comes_in_order() {
    let mut world = FakeWorld::new();
    world.post(&peer(), b"hello").expect("it posts");
    assert_eq!(world.outbox, [(peer(), b"hello".to_vec())]);
    assert_eq!(world.post(&peer(), &[0; 129]), Err(Error::BadParameters));
    for number in [1, 2] {
        world.inbox.push_back(Mail { from: peer(), number, body: Bytes::new() });
    }
    let taken = [(); 3].map(|()| world.take_mail().expect("a mailbox").map(|mail| mail.number));
    assert_eq!(taken, [Some(1), Some(2), None]);
}

#[test]
fn the_element_answers_as_the_test_says() {
    let mut world = FakeWorld::new();
    assert_eq!(world.transmit(b"\x00\xA4\x04\x00"), Err(Error::UnknownMethod));
    world.answer(|request: TransmitRequest| {
        let response = Bytes::from_slice(&[request.command[1], 0x90, 0x00]).map_err(|_| Error::Internal)?;
        Ok(TransmitReply { response })
    });
    assert_eq!(world.transmit(b"\x00\xA4\x04\x00").as_deref(), Ok(&[0xA4, 0x90, 0x00][..]));
    assert_eq!(world.transmit(&[0; 201]), Err(Error::BadParameters));
}

#[test]
fn random_bytes_do_not_repeat() {
    let mut world = FakeWorld::new();
    let (one, other): ([u8; 16], [u8; 16]) = (world.random().expect("bytes"), world.random().expect("bytes"));
    assert_ne!(one, other);
}

#[test]
fn a_key_opens_when_first_used_and_again_when_its_handle_is_gone() {
    let mut world = FakeWorld::new();
    let mut key = Key::new(b"mac", KeyAlgorithm::HmacSha256);
    assert!(world.calls.is_empty());
    assert_eq!(key.mac(&mut world, b"m"), Ok(fake_mac(b"mac", b"m")));
    assert_eq!(key.mac(&mut world, b"m"), Ok(fake_mac(b"mac", b"m")));
    assert_eq!(world.calls.len(), 3, "one opening");
    world.close_keys();
    assert_eq!(key.mac(&mut world, b"m"), Ok(fake_mac(b"mac", b"m")));
    assert_eq!(world.calls.len(), 6, "a refusal, an opening, a code");
    assert_eq!(key.public(&mut world), Err(Error::KeyPurpose));
    assert_eq!(key.sign(&mut world, b"m"), Err(Error::KeyPurpose));
    assert_eq!(key.mac(&mut world, &[0; 257]), Err(Error::BadParameters));
}

#[test]
fn what_was_encrypted_opens_only_unaltered_and_under_its_key() {
    let mut world = FakeWorld::new();
    let mut key = Key::new(b"one", KeyAlgorithm::Aes128Gcm);
    let mut sealed = key.encrypt(&mut world, &[1; 256]).expect("it encrypts");
    assert_eq!(key.decrypt(&mut world, &sealed).as_deref(), Ok(&[1; 256][..]));
    let mut other = Key::new(b"other", KeyAlgorithm::Aes128Gcm);
    assert_eq!(other.decrypt(&mut world, &sealed), Err(Error::CipherInvalid));
    sealed[40] ^= 1;
    assert_eq!(key.decrypt(&mut world, &sealed), Err(Error::CipherInvalid));
}

#[test]
fn codes_are_the_same_only_in_every_byte() {
    assert!(same_code(&[1, 2, 3], &[1, 2, 3]));
    for other in [[0, 2, 3], [1, 0, 3], [1, 2, 0]] {
        assert!(!same_code(&[1, 2, 3], &other));
    }
}
