//! Internal trusted services (ITS): how a trustlet's request reaches a service, wherever that lives.
//!
//! A service author writes a table in `proto` (`service!`) and implements the trait it makes. Everything
//! around it happens here, the same on OP-TEE and on the simulated TEE: the manifest and the policy are
//! asked whether this trustlet may, the rate quotas whether it may now, the trustlet's own name is put in
//! front of its request, and what comes back is a reply or one error code that names the guilty side.

use crate::rate::Rate;
use tapvault_proto::{
    Error, PROTOCOL_VERSION,
    service::{Rights, Service},
    supervisor::Quota,
    trustlet::Owner,
    wire::{Wire, Writer},
};
use zeroize::Zeroizing;

/// Longest request or reply of a service that trustlets call, name and version included.
pub const MAX_EXCHANGE: usize = 384;

/// What a call takes beyond the fuel it is charged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Weight {
    /// Little.
    Light,
    /// Millions of instructions: signatures, and making their keys.
    PublicKey,
    /// An access to storage.
    Storage,
}

/// The weight of a method.
#[must_use]
pub const fn weight(service: Service, method: u32) -> Weight {
    match (service, method) {
        // open_key, derive_key, sign: for a signature key each is a multiplication on the curve.
        (Service::Card, 0x0301..=0x0303) => Weight::PublicKey,
        (Service::Store, _) => Weight::Storage,
        _ => Weight::Light,
    }
}

/// Fuel for a call of a service; what it carries comes on top, a unit for every byte. One in another
/// trusted app costs a trip there.
#[must_use]
pub const fn call_fuel(service: u32) -> u64 {
    match service {
        // Card and PIN; messages go on to the supervisor.
        2 | 3 | 0x14 => 2000,
        _ => 500,
    }
}

/// How often a provider took what is limited in a minute.
#[derive(Clone, Copy, Debug, Default)]
pub struct Rates {
    public_key: Rate,
    accesses: Rate,
    loads: Rate,
}

impl Rates {
    /// Takes a call's weight out of the quota.
    ///
    /// # Errors
    /// [`Error::ProviderQuota`].
    pub fn take(&mut self, weight: Weight, quota: &Quota, now: u64) -> Result<(), Error> {
        let taken = match weight {
            Weight::Light => true,
            Weight::PublicKey => self.public_key.take(quota.signatures, now),
            Weight::Storage => self.accesses.take(quota.accesses, now),
        };
        if taken { Ok(()) } else { Err(Error::ProviderQuota) }
    }

    /// Takes one load of a module.
    ///
    /// # Errors
    /// [`Error::ProviderQuota`].
    pub fn load(&mut self, quota: &Quota, now: u64) -> Result<(), Error> {
        if self.loads.take(quota.loads, now) { Ok(()) } else { Err(Error::ProviderQuota) }
    }
}

/// Where services live.
pub trait Homes {
    /// Answers for a service inside the TVM.
    ///
    /// # Errors
    /// The service's.
    fn inside(&mut self, call: &Call<'_>, reply: &mut [u8]) -> Result<usize, Error>;

    /// Passes a call on to a native trusted app.
    ///
    /// # Errors
    /// That app's.
    fn outside(&mut self, call: &Call<'_>, reply: &mut [u8]) -> Result<usize, Error>;
}

/// A request on its way to a service.
pub struct Call<'a> {
    /// The service.
    pub service: Service,
    /// The method's id.
    pub method: u32,
    /// Version, the trustlet's name, and what it sent: as `dispatch` takes it.
    pub request: &'a [u8],
}

/// What a trustlet may, by its manifest and its provider's policy together.
#[derive(Clone, Copy, Debug)]
pub struct Grant {
    /// [`Service::bit`] of each service.
    pub services: u32,
    /// The provider's quota.
    pub quota: Quota,
}

/// Who calls, when, and what for.
pub struct Sender<'a> {
    /// The trustlet.
    pub owner: &'a Owner,
    /// What it may.
    pub grant: &'a Grant,
    /// TEE system time in milliseconds.
    pub now: u64,
}

/// The service that has this number for trustlets.
fn numbered(service: u32) -> Option<Service> {
    Service::FOR_TRUSTLETS.into_iter().find(|candidate| *candidate as u32 == service)
}

/// Whether a trustlet's call of a service and method, in its own numbers, may take long.
#[must_use]
pub fn is_heavy(service: u32, method: u32) -> bool {
    numbered(service).is_some_and(|service| weight(service, method) != Weight::Light)
}

/// Makes a trustlet's call of a service and method, in its own numbers.
///
/// # Errors
/// The trustlet's own side: [`Error::UnknownMethod`], [`Error::NotInManifest`],
/// [`Error::BadParameters`], [`Error::ProviderQuota`]. Otherwise the service's.
pub fn call(
    homes: &mut impl Homes,
    rates: &mut Rates,
    sender: &Sender<'_>,
    (service, method): (u32, u32),
    body: &[u8],
    reply: &mut [u8],
) -> Result<usize, Error> {
    let service = numbered(service).ok_or(Error::UnknownMethod)?;
    let info = service.methods().iter().find(|info| info.id == method).ok_or(Error::UnknownMethod)?;
    // A client's or a peer's method is none of a trustlet's, whatever rights its TVM has.
    if info.right != Rights::TRUSTLET {
        return Err(Error::UnknownMethod);
    }
    let Sender { owner, grant, now } = *sender;
    if grant.services & service.bit() == 0 {
        return Err(Error::NotInManifest);
    }
    rates.take(weight(service, method), &grant.quota, now)?;
    // What a trustlet sends may be its secret.
    let mut request = Zeroizing::new([0; MAX_EXCHANGE]);
    let mut writer = Writer::new(request.as_mut_slice());
    let fits = (PROTOCOL_VERSION as u8)
        .encode(&mut writer)
        .and_then(|()| owner.encode(&mut writer))
        .and_then(|()| writer.put(body));
    fits.map_err(|_| Error::BadParameters)?;
    let len = writer.len();
    let call = Call { service, method, request: request.get(..len).ok_or(Error::Internal)? };
    if Service::NATIVE.contains(&service) { homes.outside(&call, reply) } else { homes.inside(&call, reply) }
}

/// Every exchange fits: the longest request with version and name, the longest reply.
const _: () = {
    let mut services: &[Service] = &Service::FOR_TRUSTLETS;
    while let [service, rest @ ..] = services {
        let mut methods = service.methods();
        while let [method, tail @ ..] = methods {
            let trustlets = method.right.0 == Rights::TRUSTLET.0;
            assert!(!trustlets || (method.max_request < MAX_EXCHANGE && method.max_reply <= MAX_EXCHANGE));
            methods = tail;
        }
        services = rest;
    }
};
