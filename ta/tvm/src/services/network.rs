//! Messages to trustlets of other providers, by way of the supervisor.

use super::Homes;
use tapvault_proto::{
    Error,
    service::Request,
    supervisor::{self, RegisterRequest},
    trustlet::{
        Forwarded,
        network::{NetworkService, PostReply, PostRequest, TakeReply, TakeRequest},
    },
    tvm::TrustletState,
};
use tapvault_tee::Tee;

impl<T: Tee> Homes<'_, T> {
    /// Asks the supervisor; one that started anew is first told of this trustlet again.
    fn ask<R: Request>(&mut self, request: &R) -> Result<R::Reply, Error> {
        match self.tee.call(request) {
            Err(Error::UnknownTrustlet) => {
                let (name, version) = (self.owner.name.clone(), self.manifest.version);
                let peers = self.manifest.peers.clone();
                let state = TrustletState::Active;
                self.tee.call(&RegisterRequest { name, state, version, peers, changes: false })?;
                self.tee.call(request)
            }
            answer => answer,
        }
    }
}

impl<T: Tee> NetworkService for Homes<'_, T> {
    fn post(&mut self, call: Forwarded<PostRequest>) -> Result<PostReply, Error> {
        let PostRequest { to, body } = call.request;
        // The supervisor checks it again, from the receiver's side as well.
        if !self.manifest.peers.contains(&to) {
            return Err(Error::NotInManifest);
        }
        self.ask(&supervisor::PostRequest { from: self.owner.name.clone(), to, body })
    }

    fn take(&mut self, _: Forwarded<TakeRequest>) -> Result<TakeReply, Error> {
        self.ask(&supervisor::TakeRequest { name: self.owner.name.clone() })
    }
}
