//! The services that live inside a TVM, and the way to those that do not.

mod local;
mod network;
mod store;

use crate::{Log, registry::Registry};
use tapvault_proto::{
    Error,
    service::{Rights, Service},
    trustlet::{
        Owner, clock::ClockService, element::ElementService, element::MAX_APDU, log::LogService,
        network::NetworkService, random::RandomService, store::StoreService,
    },
    wire::Bytes,
};
use tapvault_tee::Tee;
use teei_hypervisor::{its, manifest::Manifest};

/// One trustlet's call, on its way through the TVM. Each service's trait is implemented for it.
pub struct Homes<'a, T> {
    /// The TEE.
    pub tee: &'a mut T,
    /// The provider's log.
    pub log: &'a mut Log,
    /// The provider's trustlets and their data.
    pub registry: &'a mut Registry,
    /// Who calls.
    pub owner: &'a Owner,
    /// What its provider signed.
    pub manifest: &'a Manifest,
    /// Its place in the registry.
    pub place: usize,
    /// A command for the secure element: the call is answered when its frames are back.
    pub wish: &'a mut Option<Bytes<MAX_APDU>>,
}

impl<T: Tee> its::Homes for Homes<'_, T> {
    fn inside(&mut self, call: &its::Call<'_>, reply: &mut [u8]) -> Result<usize, Error> {
        let its::Call { service, method, request } = *call;
        let rights = Rights::TRUSTLET;
        match service {
            Service::Random => RandomService::dispatch(self, rights, method, request, reply),
            Service::Clock => ClockService::dispatch(self, rights, method, request, reply),
            Service::Log => LogService::dispatch(self, rights, method, request, reply),
            Service::Store => StoreService::dispatch(self, rights, method, request, reply),
            Service::Network => NetworkService::dispatch(self, rights, method, request, reply),
            Service::Element => ElementService::dispatch(self, rights, method, request, reply),
            Service::Supervisor | Service::Pin | Service::Card | Service::Tvm => Err(Error::UnknownMethod),
        }
    }

    fn outside(&mut self, call: &its::Call<'_>, reply: &mut [u8]) -> Result<usize, Error> {
        self.tee.invoke_peer(call.service, call.method, call.request, reply)
    }
}
