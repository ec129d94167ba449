//! A trustlet's own storage.

use super::Homes;
use crate::registry::{Item, MAX_STORE, OpenStore};
use tapvault_proto::{
    Error,
    trustlet::{
        Forwarded,
        store::{GetReply, GetRequest, PutReply, PutRequest, StoreService},
    },
    wire::{Bytes, Reader, Wire, encode_into},
};
use tapvault_tee::Tee;

impl<T: Tee> Homes<'_, T> {
    fn data(&mut self) -> Result<OpenStore<T>, Error> {
        self.registry.data(self.tee, self.place)
    }
}

impl<T: Tee> StoreService for Homes<'_, T> {
    fn get(&mut self, call: Forwarded<GetRequest>) -> Result<GetReply, Error> {
        let store = self.data()?;
        for item in items(&store.data.items) {
            let Item { key, value } = item?;
            if key == call.request.key {
                return Ok(GetReply { value: Some(value) });
            }
        }
        Ok(GetReply { value: None })
    }

    fn put(&mut self, call: Forwarded<PutRequest>) -> Result<PutReply, Error> {
        let PutRequest { key, value } = call.request;
        let mut store = self.data()?;
        let mut new = Bytes::<MAX_STORE>::new();
        for item in items(&store.data.items) {
            let item = item?;
            if item.key != key {
                append(&mut new, &item)?;
            }
        }
        if let Some(value) = value {
            append(&mut new, &Item { key, value })?;
        }
        let quota = u32::from(self.manifest.store).min(MAX_STORE as u32);
        let used = u32::try_from(new.len()).map_err(|_| Error::Internal)?;
        if used > quota && new.len() > store.data.items.len() {
            return Err(Error::ProviderQuota);
        }
        store.data.items = new;
        self.registry.put_data(self.tee, self.place, store)?;
        Ok(PutReply { used, quota })
    }
}

fn items(bytes: &[u8]) -> impl Iterator<Item = Result<Item, Error>> + '_ {
    let mut rest = bytes;
    core::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let mut reader = Reader::new(rest);
        let item = Item::decode(&mut reader).map_err(|_| Error::StateCorrupt);
        rest = if item.is_ok() { reader.rest() } else { &[] };
        Some(item)
    })
}

fn append(out: &mut Bytes<MAX_STORE>, item: &Item) -> Result<(), Error> {
    let mut bytes = [0; Item::MAX];
    let len = encode_into(item, &mut bytes)?;
    let encoded = bytes.get(..len).ok_or(Error::Internal)?;
    out.extend_from_slice(encoded).map_err(|_| Error::ProviderQuota)
}
