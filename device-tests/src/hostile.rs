//! Bad input for every command of every trusted app: a clean error, no panic, nothing changed.
//! Panics show in the secure world's log, which the runner reads after the last test.

use crate::{
    Outcome, ensure,
    raw::{As, Client, METHOD_SHAPE, OPEN_SHAPE, Session, TYPES, combinations},
};
use tapvault::error::Origin;
use tapvault_proto::{
    Error, PROTOCOL_VERSION,
    id::Uuid,
    service::{MethodInfo, Service},
};

const DEAD: u32 = Error::PeerDead.code();
const BAD_PARAMETERS: u32 = Error::BadParameters.code();
/// Commands no service has.
const UNKNOWN: [u32; 4] = [0, 0x00FF, 0x7FFF_FFFF, 0xFFFF_FFFF];

/// All of it for one trusted app; returns how many calls were made.
pub fn all(service: Service, app: Uuid, login: As) -> Outcome<u32> {
    let mut client = Client::new(login);
    let before = state(&mut client, service, app)?;
    let mut calls = at_open(&mut client, app)?;
    let mut session = client.open(app.0, OPEN_SHAPE).map_err(|code| format!("open: {code:X?}"))?;
    calls += at_invoke(&mut session, service)?;
    calls += lengths(&mut session, service)?;
    calls += absent_buffers(&mut session, service)?;
    calls += noise(&mut session, service)?;
    drop(session);
    let after = state(&mut client, service, app)?;
    ensure(before == after, || format!("state changed from {before:02X?} to {after:02X?}"))?;
    Ok(calls)
}

/// What the service says about itself, for comparison. The supervisor's counts its own sessions.
fn state(client: &mut Client, service: Service, app: Uuid) -> Outcome<Vec<u8>> {
    let mut session = client.open(app.0, OPEN_SHAPE).map_err(|code| format!("open: {code:X?}"))?;
    let mut all = Vec::new();
    let sessions = |service: Service| [&[1], &service.uuid().0[..]].concat();
    let (pin, card) = (sessions(Service::Pin), sessions(Service::Card));
    let requests: &[(u32, &[u8])] = match service {
        Service::Supervisor => &[(0x0001, &[1]), (0x0202, &pin), (0x0202, &card), (0x0203, &[1])],
        Service::Pin => &[(0x0001, &[1]), (0x0101, &[&[1u8][..], &crate::PROVIDER_A].concat())],
        Service::Card => &[(0x0001, &[1]), (0x0103, &[1])],
        _ => &[(0x0001, &[1]), (0x0103, &[1])],
    };
    for (method, request) in requests {
        let len = session.invoke(*method, METHOD_SHAPE, request, 4096);
        let len = len.map_err(|code| format!("state {method:04X}: {code:X?}"))?;
        all.extend(session.reply(len));
    }
    Ok(all)
}

fn at_open(client: &mut Client, app: Uuid) -> Outcome<u32> {
    let mut calls = 0;
    for types in combinations() {
        calls += 1;
        match client.open(app.0, types) {
            Ok(_) => ensure(types == OPEN_SHAPE, || format!("open with {types:?} was let in"))?,
            Err((code, origin)) => {
                ensure(types != OPEN_SHAPE && code == BAD_PARAMETERS && origin == Origin::TrustedApp, || {
                    format!("open with {types:?}: {code:08X} by {origin:?}")
                })?
            }
        }
    }
    Ok(calls)
}

fn at_invoke(session: &mut Session<'_>, service: Service) -> Outcome<u32> {
    let mut calls = 0;
    let methods = service.methods().iter().map(|method| method.id).chain(UNKNOWN);
    for method in methods {
        for types in combinations().filter(|types| *types != METHOD_SHAPE) {
            calls += 1;
            match session.invoke(method, types, &[1; 64], 64) {
                Err((BAD_PARAMETERS, Origin::TrustedApp)) => {}
                other => return Err(format!("method {method:04X} with {types:?}: {other:X?}")),
            }
        }
    }
    for method in UNKNOWN {
        calls += 1;
        let answer = session.invoke(method, METHOD_SHAPE, &[1; 64], 4096);
        let refused = answer == Err((Error::UnknownMethod.code(), Origin::TrustedApp));
        ensure(refused, || format!("unknown method {method:08X}: {answer:X?}"))?;
    }
    Ok(calls)
}

/// A refusal by one of our codes, from the trusted app itself.
fn clean(what: impl Fn() -> String, answer: Result<usize, (u32, Origin)>) -> Outcome<()> {
    let sound = match answer {
        Ok(_) => false,
        Err((code, origin)) => {
            code != DEAD && origin == Origin::TrustedApp && Error::from_code(code).is_some()
        }
    };
    ensure(sound, || format!("{}: {answer:X?}", what()))
}

fn lengths(session: &mut Session<'_>, service: Service) -> Outcome<u32> {
    let mut calls = 0;
    for MethodInfo { id, max_request, max_reply, .. } in service.methods() {
        let full = 1 + max_request;
        // Nothing, one byte too many, and far too much; too short by one where there is a body at all.
        let mut wrong = vec![0, full + 1, full + 2, 3200, 3201, 8192];
        if *max_request > 0 {
            wrong.extend([1, 2]);
        }
        for len in wrong {
            for fill in [0x00, PROTOCOL_VERSION as u8, 0xFF] {
                let mut request = vec![fill; len];
                if let Some(first) = request.first_mut() {
                    *first = PROTOCOL_VERSION as u8;
                }
                // A version byte and one more are a whole message: go on, with no frame; a challenge for HPKE.
                if [(Service::Tvm, 0x0205, 2, 0), (Service::Card, 0x0101, 2, 1), (Service::Pin, 0x0132, 2, 1)]
                    .contains(&(service, *id, len, fill))
                {
                    continue;
                }
                let answer = session.invoke(*id, METHOD_SHAPE, &request, *max_reply);
                clean(|| format!("{id:04X} with {len} bytes of {fill:02X}"), answer)?;
                calls += 1;
            }
        }
        for room in [0, 1, max_reply.saturating_sub(1)] {
            if room >= *max_reply {
                continue;
            }
            let answer = session.invoke(*id, METHOD_SHAPE, &vec![PROTOCOL_VERSION as u8; full], room);
            clean(|| format!("{id:04X} with room for {room}"), answer)?;
            calls += 1;
        }
        // Another protocol version, also where the request has no body.
        for version in [0, 2, 0xFF] {
            let answer = session.invoke(*id, METHOD_SHAPE, &vec![version; full], *max_reply);
            clean(|| format!("{id:04X} in version {version}"), answer)?;
            calls += 1;
        }
    }
    Ok(calls)
}

fn absent_buffers(session: &mut Session<'_>, service: Service) -> Outcome<u32> {
    const TEMPORARY_INPUT: u32 = 5;
    const TEMPORARY_OUTPUT: u32 = 6;
    let mut calls = 0;
    for method in service.methods() {
        for types in [
            [TEMPORARY_INPUT, METHOD_SHAPE[1], TYPES[0], TYPES[0]],
            [METHOD_SHAPE[0], TEMPORARY_OUTPUT, TYPES[0], TYPES[0]],
            [TEMPORARY_INPUT, TEMPORARY_OUTPUT, TYPES[0], TYPES[0]],
        ] {
            // A request that is whole, so that only the absent buffer can be what is refused.
            if types[0] != TEMPORARY_INPUT && method.max_reply == 0 {
                continue;
            }
            let answer = session.invoke(method.id, types, &[PROTOCOL_VERSION as u8], method.max_reply);
            clean(|| format!("{:04X} with an absent buffer {types:?}", method.id), answer)?;
            calls += 1;
        }
    }
    Ok(calls)
}

/// Random bodies behind a right version byte. Methods without a body take nothing but the version, and
/// for the rest a random body is never a signed, sealed or existing thing.
fn noise(session: &mut Session<'_>, service: Service) -> Outcome<u32> {
    let mut seed = 0x5EED_u64;
    let mut next = || {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        seed
    };
    let mut calls = 0;
    for method in service.methods().iter().filter(|method| method.max_request > 0) {
        for _ in 0..200 {
            let len = (next() % (method.max_request as u64 + 2)) as usize;
            let mut request = vec![PROTOCOL_VERSION as u8];
            request.extend((0..len).map(|_| (next() >> 56) as u8 >> (next() % 8)));
            let answer = session.invoke(method.id, METHOD_SHAPE, &request, method.max_reply);
            // A question about a random provider, or a random number, is answered, and a challenge or an offer drawn;
            // that is no change.
            let question = matches!(
                (service, method.id),
                (Service::Pin, 0x0101 | 0x0132 | 0x0151)
                    | (Service::Card, 0x0101)
                    | (Service::Supervisor, 0x0202 | 0x0204 | 0x0212 | 0x0213)
            );
            if question {
                ensure(!matches!(answer, Err((DEAD, _))), || format!("{:04X} died", method.id))?;
            } else {
                clean(|| format!("{:04X} with {request:02X?}", method.id), answer)?;
            }
            calls += 1;
        }
    }
    Ok(calls)
}
