//! The card trusted app: opens sealed packages, keeps the cards' keys, answers taps.
//!
//! Everything slow happens ahead of the tap, in `tap_prepare`: counters are reserved in storage, the
//! PIN verification is fetched from the PIN trusted app. A tap is one call, GET PROCESSING OPTIONS,
//! that touches no storage and calls nobody.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;
#[cfg(test)]
extern crate std;

mod answers;
pub mod applet;
mod bank_pin;
mod call;
mod clock;
mod contact;
mod device;
mod element;
mod engine;
mod freshness;
mod hurried;
pub mod issuer;
pub mod keyblock;
mod keys;
mod life;
mod nfc;
mod oda;
mod offline;
mod online;
mod prepared;
mod present;
mod provision;
mod qr;
mod refused;
mod route;
mod store;
pub mod suite;
mod tap;
mod token;
mod transaction;

use call::Call;
use clock::Clock;
use contact::Reader;
use device::Device;
use element::Exchange;
use heapless::{String, Vec};
use hurried::HURRIED;
use keys::Keys;
use life::Next;
use nfc::Nfc;
use online::{Checked, Ready};
use prepared::Prepared;
use refused::Refused;
use route::Routes;
use store::{Life, Place, Store};
use tapvault_proto::{
    Error, PROTOCOL_VERSION,
    approval::Approval,
    bank_pin::{BankPinPrepareReply, BankPinPrepareRequest, PinKeyChallenge, PinKeyChallengeRequest},
    card::{
        CardEntry, CardService, CardState, ContactCommandReply, ContactCommandRequest, ContactResetReply,
        ContactResetRequest, InstallReply, InstallRequest, ListReply, ListRequest, LogReply, LogRequest,
        METHODS, NfcOffRequest, NfcOnRequest, NfcStateReply, NfcStateRequest, PreparedReply, QrPayloadReply,
        QrPayloadRequest, QrPrepareRequest, RemoveReply, RemoveRequest, ResumeReply, ResumeRequest,
        SetTimeReply, ShowReply, ShowRequest, StaticAnswersRequest, StatusReply, StatusRequest, SuspendReply,
        SuspendRequest, TapGpoReply, TapGpoRequest, TapPrepareReply, TapPrepareRequest, TimeNonceReply,
        TimeNonceRequest, TokenCommandReply,
    },
    device::{
        CertifyReply, ChallengeReply, ChallengeRequest, DeviceCertificate, DeviceKeyReply, DeviceKeyRequest,
    },
    document::{CardDisplay, hex, to_json},
    element::{
        ElementAnswerRequest, ElementBeginRequest, ElementFrame, ElementProgress, InstallElementKeysReply,
        InstallElementKeysRequest,
    },
    emv::application::StaticAnswers,
    freshness::{AskFreshnessRequest, FreshnessQuestion, FreshnessStatement, TakeFreshnessReply},
    id::{Caller, CardId, ProviderId},
    limited::{KeysLeft, KeysLeftRequest, ReplenishRequest},
    offline::{OfflineCommand, OfflineState, OfflineStateRequest},
    online::{OnlinePayReply, OnlinePayRequest, OnlinePrepareRequest},
    refused::{ConfirmPrepareRequest, RefusedTap},
    route::{ChooseAppRequest, ChooseCardRequest, RouteRequest, RoutesReply, RoutesRequest},
    service::Service,
    token::{Channel, TimeStatement, TokenCommand},
    trustlet::{
        Forwarded,
        keys::{
            CloseKey, CloseKeyReply, CloseKeys, Decrypt, DecryptReply, DeriveKey, Encrypt, EncryptReply, Mac,
            MacReply, OpenKey, OpenKeyReply, Sign, SignReply,
        },
    },
};
use tapvault_seal::Challenge;
use tapvault_tee::{PeerSupervisor, Tee, TrustedApp, Wiped, drop_if, stack};
use tapvault_trust::{IS_LAB, RunNonce};
use teei_hypervisor::gate::Gate;
use transaction::Armed;
use zeroize::Zeroize;

/// The card trusted app.
#[derive(Default)]
pub struct Card {
    gate: Gate,
    /// Read at the first call that needs it: a trusted app's creation must not fail, storage can.
    store: Option<Store>,
    /// Read at its first use, as the store is.
    device: Option<Device>,
    challenge: Option<Challenge>,
    armed: Option<Armed>,
    refused: Option<Refused>,
    code: Option<Prepared<()>>,
    order: Option<Prepared<Ready>>,
    reader: Option<Reader>,
    keys: Keys,
    clock: Clock,
    run: RunNonce,
    nfc: Nfc,
    routes: Option<Routes>,
    /// On the heap, where it stays while it is gone on with: it holds the keys of a channel.
    exchange: Option<Wiped<Exchange>>,
}

impl Card {
    fn store<T: Tee>(&mut self, tee: &mut T) -> Result<&mut Store, Error> {
        Store::loaded(&mut self.store, tee)
    }
}

impl<T: Tee> TrustedApp<T> for Card {
    const SERVICE: Service = Service::Card;

    fn open(&mut self, tee: &mut T, session: u32, caller: Caller) -> Result<(), Error> {
        self.gate.open(&mut PeerSupervisor(tee), session, caller)
    }

    fn close(&mut self, tee: &mut T, session: u32) {
        self.keys.close_session(session);
        drop_if(&mut self.reader, |reader| reader.session == session);
        drop_if(&mut self.exchange, |exchange| exchange.session == session);
        self.gate.close(&mut PeerSupervisor(tee), session);
    }

    fn invoke(
        &mut self,
        tee: &mut T,
        session: u32,
        method: u32,
        request: &[u8],
        reply: &mut [u8],
    ) -> Result<usize, Error> {
        let rights = self.gate.rights(session)?;
        Call { app: self, tee, session }.dispatch(rights, method, request, reply)
    }

    fn wipe_stack(method: u32) {
        if stack::is_due(method, METHODS, &HURRIED) {
            stack::wipe::<{ stack::depth(option_env!("TAPVAULT_STACK")) }>();
        }
    }
}

impl<T: Tee> CardService for Call<'_, T> {
    fn status(&mut self, _: StatusRequest) -> Result<StatusReply, Error> {
        Ok(StatusReply { protocol: PROTOCOL_VERSION, cards: self.store()?.count(), lab: IS_LAB })
    }

    fn device_key(&mut self, _: DeviceKeyRequest) -> Result<DeviceKeyReply, Error> {
        Device::loaded(&mut self.app.device, self.tee).map(|device| device.keys())
    }

    fn certify(&mut self, certificate: DeviceCertificate) -> Result<CertifyReply, Error> {
        let device = Device::loaded(&mut self.app.device, self.tee)?;
        device.certify(self.tee, &certificate).map(|()| CertifyReply {})
    }

    fn challenge(&mut self, request: ChallengeRequest) -> Result<ChallengeReply, Error> {
        let device = Device::loaded(&mut self.app.device, self.tee)?;
        device.certificate()?;
        let (drawn, challenge, recipient) = Challenge::draw(self.tee, request.sealing)?;
        let reply = device.sign(request.sealing, challenge, recipient)?;
        self.app.challenge = Some(drawn);
        Ok(reply)
    }

    fn install(&mut self, request: InstallRequest) -> Result<InstallReply, Error> {
        let challenge = self.app.challenge.as_ref().ok_or(Error::NoChallenge)?;
        let (header, profile) = provision::open(challenge, &request.package)?;
        offline::check_platform(self.tee, &profile)?;
        let card = header.card;
        self.app.store(self.tee)?.put(self.tee, card, header.provider, profile)?;
        self.app.challenge = None;
        self.disarm(card);
        Ok(InstallReply { card })
    }

    fn pin_key_challenge(&mut self, _: PinKeyChallengeRequest) -> Result<PinKeyChallenge, Error> {
        self.pin_key()
    }

    fn bank_pin_prepare(&mut self, request: BankPinPrepareRequest) -> Result<BankPinPrepareReply, Error> {
        self.offer(request.card).map(|()| BankPinPrepareReply {})
    }

    fn list(&mut self, _: ListRequest) -> Result<ListReply, Error> {
        let mut cards = Vec::new();
        for (slot, place) in self.store()?.places() {
            let (state, card, provider) = match place {
                Place::Empty => continue,
                Place::Damaged => (CardState::Damaged, CardId([0; 16]), ProviderId([0; 16])),
                Place::Held(card) => (life::state(card.life), card.id, card.provider),
            };
            let entry = CardEntry { slot, state, card, provider };
            cards.push(entry).map_err(|_| Error::Internal)?;
        }
        Ok(ListReply { cards })
    }

    fn show(&mut self, request: ShowRequest) -> Result<ShowReply, Error> {
        let card = self.store()?.card(request.card)?;
        let display = CardDisplay {
            card: hex(&card.id.0)?,
            provider: hex(&card.provider.0)?,
            last_four: text(&card.profile.last_four)?,
            art: text(&card.profile.art)?,
            issuer: text(&card.profile.issuer)?,
            label: text(&card.profile.label)?,
            state: text(life::state(card.life).name().as_bytes())?,
        };
        Ok(ShowReply { display: to_json(&display)? })
    }

    fn static_answers(&mut self, request: StaticAnswersRequest) -> Result<StaticAnswers, Error> {
        self.answers_of(request.card)
    }

    fn remove(&mut self, request: RemoveRequest) -> Result<RemoveReply, Error> {
        self.forget(request.card).map(|()| RemoveReply {})
    }

    fn log(&mut self, request: LogRequest) -> Result<LogReply, Error> {
        Ok(LogReply { entries: self.store()?.card(request.card)?.log.clone() })
    }

    fn time_nonce(&mut self, _: TimeNonceRequest) -> Result<TimeNonceReply, Error> {
        Ok(TimeNonceReply { nonce: self.app.clock.draw(self.tee) })
    }

    fn set_time(&mut self, statement: TimeStatement) -> Result<SetTimeReply, Error> {
        self.app.clock.set(&statement).map(|()| SetTimeReply {})
    }

    fn ask_freshness(&mut self, _: AskFreshnessRequest) -> Result<FreshnessQuestion, Error> {
        self.question()
    }

    fn take_freshness(&mut self, statement: FreshnessStatement) -> Result<TakeFreshnessReply, Error> {
        self.fresh(&statement)
    }

    fn token_command(&mut self, command: TokenCommand) -> Result<TokenCommandReply, Error> {
        let card = self.store()?.card(command.card)?;
        let state = match life::obey(card, &command)? {
            Next::Same => Some(life::state(card.life)),
            Next::Lives(life) => Some(self.live(command.card, life)?),
            Next::Deleted => {
                self.forget(command.card)?;
                None
            }
        };
        Ok(TokenCommandReply { state })
    }

    fn suspend(&mut self, request: SuspendRequest) -> Result<SuspendReply, Error> {
        let life = self.store()?.card(request.card)?.life;
        if !life.suspended {
            self.live(request.card, Life { suspended: true, ..life })?;
        }
        Ok(SuspendReply {})
    }

    fn resume(&mut self, request: ResumeRequest) -> Result<ResumeReply, Error> {
        let life = self.store()?.card(request.card)?.life;
        if !life.suspended {
            return Err(Error::TokenState);
        }
        self.verified(request.card)?;
        let state = self.live(request.card, Life { suspended: false, ..life })?;
        Ok(ResumeReply { state })
    }

    fn replenish(&mut self, mut request: ReplenishRequest) -> Result<KeysLeft, Error> {
        let challenge = self.app.challenge.as_ref().ok_or(Error::NoChallenge)?;
        let batch = provision::open_batch(challenge, &mut request)?;
        let (card, provider) = (request.card, request.certificate.provider);
        let time = self.app.clock.now(provider, self.tee.now());
        let left = self.app.store(self.tee)?.replenish(self.tee, card, provider, batch, time)?;
        self.app.challenge = None;
        Ok(left)
    }

    fn keys_left(&mut self, request: KeysLeftRequest) -> Result<KeysLeft, Error> {
        let now = self.tee.now();
        let card = Store::loaded(&mut self.app.store, self.tee)?.card_mut(request.card)?;
        card.keys_left(self.app.clock.now(card.provider, now))
    }

    fn offline_state(&mut self, request: OfflineStateRequest) -> Result<OfflineState, Error> {
        self.offline_left(request.card)
    }

    fn offline_command(&mut self, command: OfflineCommand) -> Result<OfflineState, Error> {
        self.obey_offline(&command)
    }

    fn tap_prepare(&mut self, request: TapPrepareRequest) -> Result<TapPrepareReply, Error> {
        self.make_ready(request)
    }

    fn confirm_prepare(&mut self, request: ConfirmPrepareRequest) -> Result<RefusedTap, Error> {
        self.offer_refused(request.card)
    }

    fn nfc_state(&mut self, _: NfcStateRequest) -> Result<NfcStateReply, Error> {
        Ok(self.nfc())
    }

    fn nfc_on(&mut self, request: NfcOnRequest) -> Result<NfcStateReply, Error> {
        let caller = self.caller()?;
        self.table()?.admits(caller)?;
        self.verified(request.card)?;
        self.switch_on()?;
        Ok(self.nfc())
    }

    fn nfc_off(&mut self, _: NfcOffRequest) -> Result<NfcStateReply, Error> {
        self.app.nfc.switch_off();
        self.app.armed = None;
        self.app.exchange = None;
        Ok(self.nfc())
    }

    fn routes(&mut self, _: RoutesRequest) -> Result<RoutesReply, Error> {
        self.routes_now()
    }

    fn route(&mut self, request: RouteRequest) -> Result<RoutesReply, Error> {
        self.reroute(request.card, |table| table.route(request.product, request.endpoint))
    }

    fn choose_card(&mut self, request: ChooseCardRequest) -> Result<RoutesReply, Error> {
        self.reroute(request.card, |table| table.card = request.chosen.then_some(request.card))
    }

    fn choose_app(&mut self, request: ChooseAppRequest) -> Result<RoutesReply, Error> {
        let caller = self.caller()?;
        self.reroute(request.card, |table| table.app = request.chosen.then_some(caller))
    }

    fn install_element_keys(
        &mut self,
        request: InstallElementKeysRequest,
    ) -> Result<InstallElementKeysReply, Error> {
        let challenge = self.app.challenge.as_ref().ok_or(Error::NoChallenge)?;
        element::install(self.tee, challenge, request)?;
        self.app.challenge = None;
        Ok(InstallElementKeysReply {})
    }

    fn element_begin(&mut self, request: ElementBeginRequest) -> Result<ElementFrame, Error> {
        self.begin(request)
    }

    fn element_answer(&mut self, request: ElementAnswerRequest) -> Result<ElementProgress, Error> {
        self.go_on(&request.frame)
    }

    fn qr_prepare(&mut self, request: QrPrepareRequest) -> Result<PreparedReply, Error> {
        let (_, time) = self.permit(request.card, Channel::Qr)?;
        self.app.store(self.tee)?.reserve(self.tee, request.card, Some(time))?;
        let (code, reply) = self.approved(Approval::code(request.card), ())?;
        self.app.code = Some(code);
        Ok(reply)
    }

    fn qr_payload(&mut self, request: QrPayloadRequest) -> Result<QrPayloadReply, Error> {
        let now = self.tee.now();
        Prepared::take(&mut self.app.code, request.card, now)?;
        let (permit, time) = self.permit(request.card, Channel::Qr)?;
        qr::payload(self.store()?.card_mut(request.card)?, permit, time)
    }

    fn online_prepare(&mut self, request: OnlinePrepareRequest) -> Result<PreparedReply, Error> {
        let OnlinePrepareRequest { card, request } = request;
        let now = self.tee.now();
        let held = Store::loaded(&mut self.app.store, self.tee)?.card(card)?;
        let time = self.app.clock.now(held.provider, now).ok_or(Error::NoTime)?;
        let checked = Checked::new(&request, &held.profile, time)?;
        engine::permit(held, checked.channel(), Some(time))?;
        self.app.store(self.tee)?.reserve(self.tee, card, Some(time))?;
        let approval = checked.approval(card);
        let ready = checked.ready(self.tee)?;
        let (order, reply) = self.approved(approval, ready)?;
        self.app.order = Some(order);
        Ok(reply)
    }

    fn online_pay(&mut self, request: OnlinePayRequest) -> Result<OnlinePayReply, Error> {
        let now = self.tee.now();
        let mut ready = Prepared::take(&mut self.app.order, request.card, now)?;
        let (permit, time) = self.permit(request.card, ready.channel)?;
        ready.pay(self.store()?.card_mut(request.card)?, permit, time)
    }

    fn contact_reset(&mut self, request: ContactResetRequest) -> Result<ContactResetReply, Error> {
        let Self { app, tee, session } = self;
        let store = Store::loaded(&mut app.store, *tee)?;
        app.reader = Some(Reader::reset(store, *session, request.card)?);
        Ok(ContactResetReply {})
    }

    fn contact_command(&mut self, request: ContactCommandRequest) -> Result<ContactCommandReply, Error> {
        let Self { app, tee, session } = self;
        let Card { store, reader, clock, .. } = &mut **app;
        // Another session's reader is none of this one's.
        let reader = reader.as_mut().filter(|reader| reader.session == *session).ok_or(Error::Busy)?;
        let store = Store::loaded(store, *tee)?;
        let response = reader.transmit(*tee, store, clock, &request.command)?;
        Ok(ContactCommandReply { response: response.into_bytes() })
    }

    fn open_key(&mut self, call: Forwarded<OpenKey>) -> Result<OpenKeyReply, Error> {
        let Forwarded { owner, request } = call;
        let asker = self.asker(&owner)?;
        self.app.keys.open(self.tee, &asker, &request.label, request.algorithm)
    }

    fn derive_key(&mut self, call: Forwarded<DeriveKey>) -> Result<OpenKeyReply, Error> {
        let Forwarded { owner, request } = call;
        let asker = self.asker(&owner)?;
        self.app.keys.derive(&asker, request.handle, &request.context, request.algorithm)
    }

    fn sign(&mut self, call: Forwarded<Sign>) -> Result<SignReply, Error> {
        let Forwarded { owner, request } = call;
        let signature = self.app.keys.sign(&self.asker(&owner)?, request.handle, &request.message)?;
        Ok(SignReply { signature })
    }

    fn mac(&mut self, call: Forwarded<Mac>) -> Result<MacReply, Error> {
        let Forwarded { owner, request } = call;
        let mac = self.app.keys.mac(&self.asker(&owner)?, request.handle, &request.message)?;
        Ok(MacReply { mac })
    }

    fn encrypt(&mut self, call: Forwarded<Encrypt>) -> Result<EncryptReply, Error> {
        let Forwarded { owner, mut request } = call;
        let asker = self.asker(&owner)?;
        let sealed = self.app.keys.encrypt(self.tee, &asker, request.handle, &request.plain);
        request.plain.zeroize();
        Ok(EncryptReply { sealed: sealed? })
    }

    fn decrypt(&mut self, call: Forwarded<Decrypt>) -> Result<DecryptReply, Error> {
        let Forwarded { owner, request } = call;
        let plain = self.app.keys.decrypt(&self.asker(&owner)?, request.handle, &request.sealed)?;
        Ok(DecryptReply { plain })
    }

    fn close_key(&mut self, call: Forwarded<CloseKey>) -> Result<CloseKeyReply, Error> {
        let asker = self.asker(&call.owner)?;
        self.app.keys.close(&asker, call.request.handle).map(|()| CloseKeyReply {})
    }

    fn close_keys(&mut self, call: Forwarded<CloseKeys>) -> Result<CloseKeyReply, Error> {
        self.app.keys.close_guest(self.session, call.owner.guest);
        Ok(CloseKeyReply {})
    }

    fn tap_gpo(&mut self, request: TapGpoRequest) -> Result<TapGpoReply, Error> {
        self.tap(request)
    }
}

fn text<const N: usize>(ascii: &[u8]) -> Result<String<N>, Error> {
    String::from_utf8(Vec::from_slice(ascii).map_err(|_| Error::Internal)?).map_err(|_| Error::Internal)
}
