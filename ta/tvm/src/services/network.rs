//! Messages to trustlets of other providers, by way of the supervisor.

use super::Homes;
use tapvault_proto::{
    Error, supervisor,
    trustlet::{
        Forwarded,
        network::{NetworkService, PostReply, PostRequest, TakeReply, TakeRequest},
    },
};
use tapvault_tee::Tee;

impl<T: Tee> NetworkService for Homes<'_, T> {
    fn post(&mut self, call: Forwarded<PostRequest>) -> Result<PostReply, Error> {
        let PostRequest { to, body } = call.request;
        // The supervisor checks it again, from the receiver's side as well.
        if !self.peers.contains(&to) {
            return Err(Error::NotInManifest);
        }
        self.tee.call(&supervisor::PostRequest { from: self.owner.name.clone(), to, body })
    }

    fn take(&mut self, _: Forwarded<TakeRequest>) -> Result<TakeReply, Error> {
        self.tee.call(&supervisor::TakeRequest { name: self.owner.name.clone() })
    }
}
