//! A trustlet's life, and the limits it runs in.

use super::{
    bank::{Bank, draft, named, refused},
    modules,
};
use crate::{Outcome, ensure, lab::say};
use tapvault::{Transport, maker::identity};
use tapvault_proto::{
    Error,
    service::Service,
    tvm::{Progress, TrustletState},
};

/// A trustlet answers, and again in a session of its own.
pub fn a_trustlet_answers_and_survives_a_new_session<T: Transport>(make: &dyn Fn() -> T) -> Outcome<()> {
    let (transport, bank) = (make(), Bank::lab("D"));
    let module = modules::empty();
    let mut trustlet = bank.run(&transport, draft("empty", &[]), &module)?;
    for _ in 0..3 {
        ensure(trustlet.call(b"hello").map_err(say)? == [7], || "another answer".into())?;
    }
    drop(trustlet);
    let mut again = bank.connect(&transport)?.open(&named("empty"), &module).map_err(say)?;
    ensure(again.call(b"").map_err(say)? == [7], || "another answer".into())?;
    let status = again.tvm().status().map_err(say)?;
    ensure(status.provider == bank.id && status.guests == 1, || format!("{status:?}"))
}

/// Signature, provider, version.
pub fn a_manifest_is_signed_by_its_provider_and_never_goes_back<T: Transport>(
    make: &dyn Fn() -> T,
) -> Outcome<()> {
    let (transport, bank, other) = (make(), Bank::lab("D"), Bank::lab("B"));
    let module = modules::empty();
    let (version, _) = bank.install(&transport, draft("rollback", &[]), &module)?;
    let mut tvm = bank.connect(&transport)?;
    let mut next = draft("rollback", &[]);
    next.version = version + 1;

    let mut altered = bank.manifest(&next, &module)?;
    altered.document[20] ^= 1;
    refused(tvm.install(&altered), Error::ManifestSignature)?;
    refused(tvm.install(&other.manifest(&next, &module)?), Error::ManifestSignature)?;
    // Signed by the right key, written for another provider.
    refused(tvm.install(&next.sign(other.id, &bank.key, &module).map_err(say)?), Error::ManifestSignature)?;
    // A command is no manifest.
    refused(tvm.install(&bank.command("rollback", 99, "lock")?), Error::ManifestMalformed)?;
    for old in [version, 1] {
        next.version = old;
        refused(tvm.install(&bank.manifest(&next, &module)?), Error::ManifestRollback)?;
    }
    next.version = version + 1;
    tvm.install(&bank.manifest(&next, &module)?).map(|_| ()).map_err(say)
}

/// Installed, active, locked; each command once and in its state.
pub fn commands_move_a_trustlet_through_its_life_once<T: Transport>(make: &dyn Fn() -> T) -> Outcome<()> {
    let (transport, bank) = (make(), Bank::lab("D"));
    let (module, name) = (modules::empty(), "life");
    let (_, start) = bank.install(&transport, draft(name, &[]), &module)?;
    let mut tvm = bank.connect(&transport)?;
    let mut at = |sequence: u32, action: &str| -> Outcome<_> {
        Ok(tvm.command(&bank.command(name, start + sequence, action)?))
    };
    refused(at(1, "unlock")?, Error::WrongState)?;
    refused(at(0, "lock")?, Error::ManifestRollback)?;
    ensure(at(1, "lock")?.map_err(say)? == TrustletState::Locked, || "not locked".into())?;
    refused(at(1, "lock")?, Error::ManifestRollback)?;
    refused(at(2, "activate")?, Error::WrongState)?;
    let open = || -> Outcome<_> { Ok(bank.connect(&make())?.open(&named(name), &module).map(|_| ())) };
    refused(open()?, Error::TrustletInactive)?;
    at(2, "unlock")?.map_err(say)?;
    open()?.map_err(say)?;
    refused(at(1, "lock")?, Error::ManifestRollback)?;
    let unknown = bank.command("nobody", 1, "lock")?;
    refused(bank.connect(&make())?.command(&unknown), Error::UnknownTrustlet)
}

/// Data and keys are gone, for its successor as well; what was recorded does not bring it back.
pub fn a_removed_trustlet_leaves_nothing<T: Transport>(make: &dyn Fn() -> T) -> Outcome<()> {
    let (transport, bank) = (make(), Bank::lab("D"));
    // key "k", value "v"; then a read of it.
    let put = modules::write();
    let get = modules::caller(0x13, 1, b"\x00\x01k");
    let key = modules::caller(3, 0x0301, b"\x00\x01k\x01");
    let wanted = &[Service::Store, Service::Card];
    let with_store = || {
        let mut draft = draft("removed", wanted);
        draft.store = 100;
        draft
    };
    let read = |module: &[u8]| -> Outcome<_> {
        super::bank::answer(&mut bank.run(&transport, with_store(), module)?)?.map_err(say)
    };
    read(&put)?;
    ensure(read(&get)? == b"\x01\x00\x01v", || "the value is not there".into())?;
    let public = read(&key)?[5..].to_vec();
    ensure(read(&key)?[5..] == public, || "a key is not the same again".into())?;

    let mut draft = with_store();
    let (version, sequence) = bank.install(&transport, with_store(), &get)?;
    let mut running = bank.connect(&transport)?.open(&named("removed"), &get).map_err(say)?;
    let remove = bank.command("removed", sequence + 1, "remove")?;
    let mut tvm = bank.connect(&transport)?;
    tvm.command(&remove).map_err(say)?;
    refused(running.call(b""), Error::NotReady)?;
    refused(tvm.command(&remove), Error::UnknownTrustlet)?;
    // The manifest that was installed is not accepted again.
    draft.version = version;
    refused(tvm.install(&bank.manifest(&draft, &get)?), Error::ManifestRollback)?;
    ensure(read(&get)? == b"\x00", || "the value came back".into())?;
    ensure(read(&key)?[5..] != public, || "the key came back".into())
}

/// Hash and length.
pub fn only_the_module_that_was_signed_runs<T: Transport>(make: &dyn Fn() -> T) -> Outcome<()> {
    let (transport, bank) = (make(), Bank::lab("D"));
    let module = modules::empty();
    bank.install(&transport, draft("hash", &[]), &module)?;
    let open = |module: &[u8]| -> Outcome<_> {
        Ok(bank.connect(&transport)?.open(&named("hash"), module).map(|_| ()))
    };
    let mut altered = module.clone();
    if let Some(last) = altered.last_mut() {
        *last ^= 1;
    }
    refused(open(&altered)?, Error::ModuleMismatch)?;
    refused(open(&module[1..])?, Error::ModuleMismatch)?;
    refused(open(&[&module[..], &[0]].concat())?, Error::ModuleMismatch)?;
    open(&module)?.map_err(say)
}

/// The kernel's word for the client counts.
pub fn only_clients_in_the_manifest_open_it<T: Transport>(make: &dyn Fn() -> T) -> Outcome<()> {
    let (transport, bank) = (make(), Bank::lab("D"));
    let module = modules::empty();
    let mut foreign = draft("foreign", &[]);
    foreign.clients = vec![identity::user(1001), identity::group(1000)];
    bank.install(&transport, foreign, &module)?;
    let opened = bank.connect(&transport)?.open(&named("foreign"), &module).map(|_| ());
    refused(opened, Error::AccessDenied)
}

/// Memory, storage, services.
pub fn a_manifest_asks_for_no_more_than_the_policy_gives<T: Transport>(make: &dyn Fn() -> T) -> Outcome<()> {
    let (transport, bank) = (make(), Bank::lab("C"));
    let module = modules::empty();
    let mut tvm = bank.connect(&transport)?;
    let mut greedy = Vec::new();
    for grow in 0..3 {
        let mut draft = draft("greedy", &[]);
        draft.version = 1_000_000 + grow;
        match grow {
            0 => draft.pages = 16,
            1 => draft.store = u16::MAX,
            _ => draft.services = vec![Service::Element],
        }
        greedy.push(draft);
    }
    for draft in greedy {
        refused(tvm.install(&bank.manifest(&draft, &module)?), Error::LimitTooHigh)?;
    }
    let none = tvm.trustlets().map_err(say)?.iter().all(|entry| entry.name != named("greedy"));
    ensure(none, || "a refused manifest was stored".into())
}

/// A call that takes long comes back between slices, and ends when the client wants it to.
pub fn a_call_runs_in_slices_and_can_be_cancelled<T: Transport>(make: &dyn Fn() -> T) -> Outcome<()> {
    let (transport, bank) = (make(), Bank::lab("E"));
    let module = modules::spin();
    let mut trustlet = bank.run(&transport, draft("spin", &[]), &module)?;
    ensure(trustlet.begin(b"").map_err(say)? == Progress::Yielded, || "it ended".into())?;
    for _ in 0..3 {
        ensure(trustlet.resume(None).map_err(say)? == Progress::Yielded, || "it ended".into())?;
    }
    refused(trustlet.begin(b""), Error::NotReady)?;
    let tvm = trustlet.cancel().map_err(say)?;
    let mut again = tvm.open(&named("spin"), &module).map_err(say)?;
    refused(again.resume(None), Error::NotReady)?;
    let status = again.tvm().status().map_err(say)?;
    ensure(status.guests == 1, || format!("{} guests", status.guests))
}

/// The manifest's fuel is for all slices of a call together.
pub fn fuel_ends_a_call_for_good<T: Transport>(make: &dyn Fn() -> T) -> Outcome<()> {
    let (transport, bank) = (make(), Bank::lab("E"));
    let module = modules::spin();
    let mut short = draft("fuel", &[]);
    short.fuel = 100_000;
    let mut trustlet = bank.run(&transport, short, &module)?;
    refused(trustlet.call(b""), Error::TrustletFailed)?;
    refused(trustlet.call(b""), Error::NotReady)?;
    let status = trustlet.tvm().status().map_err(say)?;
    ensure((status.guests, status.memory) == (0, 0), || format!("{status:?}"))
}
