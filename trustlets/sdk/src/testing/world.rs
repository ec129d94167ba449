//! The services of the virtual network, in memory. NO SECURITY: the keys are known, the random bytes count.

use crate::{
    Error, World,
    key::bytes,
    proto::{
        id::Address,
        pin::{TakeConfirmation, TakeConfirmationReply, Transfer, VerificationMethod},
        service::Service,
        trustlet::{TrustletRequest, clock, keys, log, network, random, store},
        wire::{Bytes, decode_exact, encode_into},
    },
};
use std::collections::{BTreeMap, BTreeSet, VecDeque};

type Answering = Box<dyn FnMut(&[u8], &mut [u8]) -> Result<usize, Error>>;

/// A world in memory. Its fields are what a test prepares and what it looks at afterwards.
pub struct FakeWorld {
    /// The trustlet's storage.
    pub store: BTreeMap<Vec<u8>, Vec<u8>>,
    /// The time in milliseconds.
    pub time: u64,
    /// What was logged, oldest first.
    pub lines: Vec<Vec<u8>>,
    /// What the holder has confirmed and nobody has taken yet.
    pub confirmed: Vec<Transfer>,
    /// The trustlet's mailbox, oldest first.
    pub inbox: VecDeque<network::Mail>,
    /// What it posted, oldest first.
    pub outbox: Vec<(Address, Vec<u8>)>,
    /// Every call so far, as service and method, the failed ones too.
    pub calls: Vec<(Service, u32)>,
    services: BTreeSet<Service>,
    answers: BTreeMap<(Service, u32), Answering>,
    failures: VecDeque<((Service, u32), Error)>,
    random: u8,
    keys: Vec<(u32, Vec<u8>, keys::KeyAlgorithm)>,
    openings: u32,
}

impl FakeWorld {
    /// An empty world with every service a manifest can name.
    #[must_use]
    pub fn new() -> Self {
        Self {
            store: BTreeMap::new(),
            time: 0,
            lines: Vec::new(),
            confirmed: Vec::new(),
            inbox: VecDeque::new(),
            outbox: Vec::new(),
            calls: Vec::new(),
            services: Service::FOR_TRUSTLETS.into(),
            answers: BTreeMap::new(),
            failures: VecDeque::new(),
            random: 0,
            keys: Vec::new(),
            openings: 0,
        }
    }

    /// Leaves only the services that the trustlet's manifest is going to name.
    pub fn allow(&mut self, services: &[Service]) {
        self.services = services.iter().copied().collect();
    }

    /// Answers every request of type `R` from now on, in place of the fake service.
    pub fn answer<R: TrustletRequest + 'static>(
        &mut self,
        mut with: impl FnMut(R) -> Result<R::Reply, Error> + 'static,
    ) {
        let answering = move |request: &[u8], reply: &mut [u8]| serve(request, reply, &mut with);
        self.answers.insert((R::SERVICE, R::METHOD), Box::new(answering));
    }

    /// Lets the next request of type `R` fail, without any effect.
    pub fn fail<R: TrustletRequest>(&mut self, error: Error) {
        self.failures.push_back(((R::SERVICE, R::METHOD), error));
    }

    /// Closes every key, as when the card trusted app has started again.
    pub fn close_keys(&mut self) {
        self.keys.clear();
    }

    fn open_key(&mut self, label: &[u8], algorithm: keys::KeyAlgorithm) -> Result<keys::OpenKeyReply, Error> {
        let index = u8::try_from(self.keys.len()).map_err(|_| Error::OutOfMemory)?;
        self.openings += 1;
        let public = match algorithm {
            keys::KeyAlgorithm::EcdsaP256 | keys::KeyAlgorithm::Sm2 => bytes(&fake_public(label, algorithm))?,
            _ => Bytes::new(),
        };
        self.keys.push((self.openings, label.to_vec(), algorithm));
        Ok(keys::OpenKeyReply { handle: keys::KeyHandle { index, generation: self.openings }, public })
    }

    fn key(
        &self,
        handle: keys::KeyHandle,
        purposes: &[keys::KeyAlgorithm],
    ) -> Result<(&[u8], keys::KeyAlgorithm), Error> {
        let key = self.keys.get(usize::from(handle.index)).filter(|key| key.0 == handle.generation);
        let (_, label, algorithm) = key.ok_or(Error::UnknownHandle)?;
        if purposes.contains(algorithm) { Ok((label, *algorithm)) } else { Err(Error::KeyPurpose) }
    }

    fn key_service(&mut self, method: u32, request: &[u8], reply: &mut [u8]) -> Result<usize, Error> {
        use keys::{
            CloseKey, CloseKeyReply, Decrypt, DecryptReply, DeriveKey, Encrypt, EncryptReply, KeyAlgorithm,
            Mac, MacReply, OpenKey, Sign, SignReply,
        };
        match method {
            OpenKey::METHOD => {
                serve(request, reply, |open: OpenKey| self.open_key(&open.label, open.algorithm))
            }
            DeriveKey::METHOD => serve(request, reply, |derive: DeriveKey| {
                let (label, _) = self.key(derive.handle, &[KeyAlgorithm::Derive])?;
                let label = [label, b"/", &derive.context].concat();
                self.open_key(&label, derive.algorithm)
            }),
            Sign::METHOD => serve(request, reply, |sign: Sign| {
                let (label, algorithm) =
                    self.key(sign.handle, &[KeyAlgorithm::EcdsaP256, KeyAlgorithm::Sm2])?;
                Ok(SignReply { signature: fake_signature(label, algorithm, &sign.message) })
            }),
            Mac::METHOD => serve(request, reply, |mac: Mac| {
                let (label, _) = self.key(mac.handle, &[KeyAlgorithm::HmacSha256])?;
                Ok(MacReply { mac: fake_mac(label, &mac.message) })
            }),
            Encrypt::METHOD => serve(request, reply, |encrypt: Encrypt| {
                let (label, algorithm) = self.key(encrypt.handle, &[KeyAlgorithm::Aes128Gcm])?;
                let tag: [u8; keys::SEAL_OVERHEAD] = mix(&[label, &[algorithm as u8], &encrypt.plain]);
                let hidden: Vec<u8> = encrypt.plain.iter().map(|byte| byte ^ 0xA5).collect();
                Ok(EncryptReply { sealed: bytes(&[&tag[..], &hidden].concat())? })
            }),
            Decrypt::METHOD => serve(request, reply, |decrypt: Decrypt| {
                let (label, algorithm) = self.key(decrypt.handle, &[KeyAlgorithm::Aes128Gcm])?;
                let (tag, hidden) =
                    decrypt.sealed.split_at_checked(keys::SEAL_OVERHEAD).ok_or(Error::CipherInvalid)?;
                let plain: Vec<u8> = hidden.iter().map(|byte| byte ^ 0xA5).collect();
                if mix::<{ keys::SEAL_OVERHEAD }>(&[label, &[algorithm as u8], &plain]) != *tag {
                    return Err(Error::CipherInvalid);
                }
                Ok(DecryptReply { plain: bytes(&plain)? })
            }),
            CloseKey::METHOD => serve(request, reply, |close: CloseKey| {
                let every = [
                    KeyAlgorithm::EcdsaP256,
                    KeyAlgorithm::Sm2,
                    KeyAlgorithm::HmacSha256,
                    KeyAlgorithm::Aes128Gcm,
                    KeyAlgorithm::Derive,
                ];
                self.key(close.handle, &every)?;
                // The place stays taken, under a generation that no handle has.
                let key = self.keys.get_mut(usize::from(close.handle.index)).ok_or(Error::UnknownHandle)?;
                key.0 = 0;
                Ok(CloseKeyReply {})
            }),
            _ => Err(Error::UnknownMethod),
        }
    }
}

impl Default for FakeWorld {
    fn default() -> Self {
        Self::new()
    }
}

impl World for FakeWorld {
    fn exchange(
        &mut self,
        service: Service,
        method: u32,
        request: &[u8],
        reply: &mut [u8],
    ) -> Result<usize, Error> {
        let called = (service, method);
        self.calls.push(called);
        if !self.services.contains(&service) {
            return Err(Error::NotInManifest);
        }
        if let Some(at) = self.failures.iter().position(|failure| failure.0 == called) {
            return Err(self.failures.remove(at).map_or(Error::Internal, |failure| failure.1));
        }
        if let Some(answering) = self.answers.get_mut(&called) {
            return answering(request, reply);
        }
        if service == Service::Card {
            return self.key_service(method, request, reply);
        }
        if called == key_of::<random::DrawRequest>() {
            serve(request, reply, |draw: random::DrawRequest| {
                if usize::from(draw.count) > random::MAX_RANDOM {
                    return Err(Error::BadParameters);
                }
                let drawn: Vec<u8> = (0..draw.count).map(|n| self.random.wrapping_add(n)).collect();
                self.random = self.random.wrapping_add(draw.count);
                Ok(random::DrawReply { bytes: bytes(&drawn)? })
            })
        } else if called == key_of::<clock::NowRequest>() {
            serve(request, reply, |_: clock::NowRequest| Ok(clock::NowReply { milliseconds: self.time }))
        } else if called == key_of::<log::WriteRequest>() {
            serve(request, reply, |write: log::WriteRequest| {
                self.lines.push(write.text.to_vec());
                Ok(log::WriteReply {})
            })
        } else if called == key_of::<store::GetRequest>() {
            serve(request, reply, |get: store::GetRequest| {
                let value = self.store.get(get.key.as_slice()).map(|value| bytes(value)).transpose()?;
                Ok(store::GetReply { value })
            })
        } else if called == key_of::<store::PutRequest>() {
            serve(request, reply, |put: store::PutRequest| {
                match put.value {
                    Some(value) => self.store.insert(put.key.to_vec(), value.to_vec()),
                    None => self.store.remove(put.key.as_slice()),
                };
                let used = self.store.iter().map(|(key, value)| key.len() + value.len()).sum::<usize>();
                Ok(store::PutReply { used: u32::try_from(used).map_err(|_| Error::Internal)?, quota: 4096 })
            })
        } else if called == key_of::<network::PostRequest>() {
            serve(request, reply, |post: network::PostRequest| {
                self.outbox.push((post.to, post.body.to_vec()));
                let number = u32::try_from(self.outbox.len()).map_err(|_| Error::Internal)?;
                Ok(network::PostReply { epoch: 1, number })
            })
        } else if called == key_of::<network::TakeRequest>() {
            serve(request, reply, |_: network::TakeRequest| {
                Ok(network::TakeReply { mail: self.inbox.pop_front() })
            })
        } else if called == key_of::<TakeConfirmation>() {
            serve(request, reply, |take: TakeConfirmation| {
                let at = self.confirmed.iter().position(|transfer| *transfer == take.transfer);
                self.confirmed.remove(at.ok_or(Error::NoVerification)?);
                Ok(TakeConfirmationReply { method: VerificationMethod::WalletPin })
            })
        } else {
            Err(Error::UnknownMethod)
        }
    }
}

/// What a fake HMAC key of that label makes of a message.
#[must_use]
pub fn fake_mac(label: &[u8], message: &[u8]) -> [u8; 32] {
    mix(&[b"mac", label, message])
}

/// What a fake signature key of that label and algorithm makes of a message.
#[must_use]
pub fn fake_signature(label: &[u8], algorithm: keys::KeyAlgorithm, message: &[u8]) -> [u8; 64] {
    mix(&[b"signature", label, &[algorithm as u8], message])
}

/// The public key of a fake signature key of that label and algorithm.
#[must_use]
pub fn fake_public(label: &[u8], algorithm: keys::KeyAlgorithm) -> [u8; 65] {
    mix(&[b"public", label, &[algorithm as u8]])
}

/// Mixes parts into `N` bytes that differ where the parts do: FNV-1a, no cryptography.
fn mix<const N: usize>(parts: &[&[u8]]) -> [u8; N] {
    let mut state = 0xCBF2_9CE4_8422_2325_u64;
    let mut absorb = |byte: u8| {
        state = (state ^ u64::from(byte)).wrapping_mul(0x0100_0000_01B3);
        (state >> 32) as u8
    };
    for part in parts {
        part.iter().for_each(|byte| _ = absorb(*byte));
        // Ends the part, so that what moves from one to the next is seen.
        part.len().to_be_bytes().iter().for_each(|byte| _ = absorb(*byte));
    }
    [0; N].map(|byte: u8| absorb(byte))
}

fn key_of<R: TrustletRequest>() -> (Service, u32) {
    (R::SERVICE, R::METHOD)
}

fn serve<R: TrustletRequest>(
    request: &[u8],
    reply: &mut [u8],
    mut with: impl FnMut(R) -> Result<R::Reply, Error>,
) -> Result<usize, Error> {
    encode_into(&with(decode_exact(request)?)?, reply)
}
