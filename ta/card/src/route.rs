//! Routes: where the cards of a kind answer terminals from, which card is the first, which app presents them. One
//! object, written whole; damaged, it lets nothing through until the holder sets one anew.

use heapless::Vec;
use tapvault_proto::{
    Error,
    id::{Caller, CardId},
    profile::Product,
    route::Endpoint,
    wire::{Wire, decode_exact, encode_into},
};
use tapvault_tee::{StorageError, Tee};

/// Name of the object.
const OBJECT: &[u8] = b"routes";
/// The format that is written.
const FORMAT: u8 = 1;
/// In place of a format: what was here is damaged. OP-TEE deletes an altered object when it is opened; the mark remembers.
const DAMAGED: u8 = 0xFF;

tapvault_proto::message! {
    /// What is stored.
    #[derive(Clone)]
    Table {
        /// [`FORMAT`].
        format: u8,
        /// Whose applications answer from the secure element.
        element: Vec<Product, 3>,
        /// The default card.
        card: Option<CardId>,
        /// The app that presents cards.
        app: Option<Caller>,
    }
}

impl Default for Table {
    /// Everything from the TEE, in the banks' order, by the app that brings the PIN.
    fn default() -> Self {
        Self { format: FORMAT, element: Vec::new(), card: None, app: None }
    }
}

impl Table {
    /// Routes the cards of a kind.
    pub fn route(&mut self, product: Product, endpoint: Endpoint) {
        self.element.retain(|routed| *routed != product);
        if endpoint == Endpoint::Element {
            // There is a place for every product.
            let _ = self.element.push(product);
        }
    }

    /// Whether cards of this kind answer from `endpoint`.
    ///
    /// # Errors
    /// [`Error::RoutedToElement`], [`Error::NotRoutedToElement`].
    pub fn permits(&self, product: Product, endpoint: Endpoint) -> Result<(), Error> {
        match (endpoint, self.element.contains(&product)) {
            (Endpoint::Tee, false) | (Endpoint::Element, true) => Ok(()),
            (Endpoint::Tee, true) => Err(Error::RoutedToElement),
            (Endpoint::Element, false) => Err(Error::NotRoutedToElement),
        }
    }

    /// Whether the holder left it to `app` to present cards.
    ///
    /// # Errors
    /// [`Error::NotDefaultApp`].
    pub fn admits(&self, app: Caller) -> Result<(), Error> {
        match self.app {
            Some(chosen) if chosen != app => Err(Error::NotDefaultApp),
            _ => Ok(()),
        }
    }

    /// The priority, tag 87, of a card that its bank gave `own`: the default card alone is the first.
    pub fn priority(&self, card: CardId, own: u8) -> u8 {
        match self.card {
            Some(first) if first == card => 1,
            Some(_) => own.max(2),
            None => own,
        }
    }
}

/// The routes in memory.
pub struct Routes {
    /// `None` when what is stored is damaged.
    table: Option<Table>,
}

impl Routes {
    /// The routes, read when they were not yet.
    ///
    /// # Errors
    /// [`Error::StorageFailed`] when storage cannot say; nothing may be concluded then.
    pub fn loaded<'a, T: Tee>(routes: &'a mut Option<Self>, tee: &mut T) -> Result<&'a mut Self, Error> {
        if routes.is_none() {
            *routes = Some(Self { table: read(tee)? });
        }
        routes.as_mut().ok_or(Error::Internal)
    }

    /// The table.
    ///
    /// # Errors
    /// [`Error::RoutesDamaged`].
    pub fn table(&self) -> Result<&Table, Error> {
        self.table.as_ref().ok_or(Error::RoutesDamaged)
    }

    /// Changes the table; when this returns, storage knows. A damaged one begins anew.
    ///
    /// # Errors
    /// Storage's, and the table is then as it was.
    pub fn change<T: Tee>(&mut self, tee: &mut T, change: impl FnOnce(&mut Table)) -> Result<(), Error> {
        let mut table = self.table.clone().unwrap_or_default();
        change(&mut table);
        let mut bytes = [0; Table::MAX];
        let len = encode_into(&table, &mut bytes)?;
        tee.create(OBJECT, bytes.get(..len).ok_or(Error::Internal)?)?;
        self.table = Some(table);
        Ok(())
    }
}

fn read<T: Tee>(tee: &mut T) -> Result<Option<Table>, Error> {
    let mut bytes = [0; Table::MAX + 1];
    let read = match tee.open(OBJECT) {
        Err(StorageError::NotFound) => return Ok(Some(Table::default())),
        Ok(mut object) => tee.read(&mut object, &mut bytes),
        Err(error) => Err(error),
    };
    match read {
        Ok(len) => Ok(bytes.get(..len).and_then(parse)),
        Err(StorageError::Corrupt) => {
            tee.create(OBJECT, &[DAMAGED])?;
            Ok(None)
        }
        Err(error) => Err(error.into()),
    }
}

fn parse(bytes: &[u8]) -> Option<Table> {
    decode_exact::<Table>(bytes).ok().filter(|table| table.format == FORMAT)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: CardId = CardId([1; 16]);
    const OTHER: CardId = CardId([2; 16]);

    #[test]
    fn a_kind_of_card_has_one_endpoint() {
        let mut table = Table::default();
        for product in Product::ALL {
            assert_eq!(table.permits(product, Endpoint::Tee), Ok(()));
            for _ in 0..2 {
                table.route(product, Endpoint::Element);
            }
            assert_eq!(table.permits(product, Endpoint::Tee), Err(Error::RoutedToElement));
            assert_eq!(table.permits(product, Endpoint::Element), Ok(()));
        }
        assert_eq!(table.element.len(), 3);
        table.route(Product::Credit, Endpoint::Tee);
        assert_eq!(table.permits(Product::Credit, Endpoint::Element), Err(Error::NotRoutedToElement));
        assert_eq!(table.permits(Product::Debit, Endpoint::Element), Ok(()));
    }

    #[test]
    fn no_other_card_is_as_early_as_the_default_card() {
        let mut table = Table::default();
        assert_eq!((table.priority(ONE, 1), table.priority(OTHER, 3)), (1, 3));
        table.card = Some(OTHER);
        assert_eq!((table.priority(ONE, 1), table.priority(OTHER, 3)), (2, 1));
    }

    #[test]
    fn what_is_no_table_is_damaged() {
        let mut bytes = [0; Table::MAX];
        let len = encode_into(&Table { card: Some(ONE), ..Table::default() }, &mut bytes).unwrap();
        let good = &bytes[..len];
        assert_eq!(parse(good).unwrap().card, Some(ONE));
        assert!(parse(&[DAMAGED]).is_none() && parse(&good[..len - 1]).is_none());
        for format in [0, FORMAT + 1, DAMAGED] {
            assert!(parse(&[&[format], &good[1..]].concat()).is_none(), "format {format}");
        }
    }
}
