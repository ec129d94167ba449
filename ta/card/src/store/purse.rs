//! What a card may pay offline: an account of sums that only grow, so that no order of taps, power cuts and commands
//! makes money out of nothing.
//!
//! `spent ≤ booked ≤ loaded`. Storage holds `loaded` and `booked`, memory what was spent. Ahead of a tap a payment's room is
//! booked; a tap spends out of that room and touches no storage. After a restart all that was booked counts as spent,
//! until the provider settles ([`OfflineCommand`]).

use tapvault_proto::{Error, offline::OfflineCommand};

tapvault_proto::message! {
    /// What storage holds of a purse.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    Booked {
        /// Number of the provider's last command; 0 before the first.
        sequence: u32,
        /// All that was ever loaded under these keys.
        loaded: u64,
        /// Most that may have been spent of it.
        booked: u64,
        /// Counter up to which the provider has settled.
        closed: u16,
        /// What it said was spent up to there.
        cleared: u64,
    }
}

impl Booked {
    /// Whether the sums can be.
    pub const fn holds(&self) -> bool {
        self.booked <= self.loaded && self.cleared <= self.booked
    }
}

/// A purse in use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Purse {
    stored: Booked,
    spent: u64,
}

impl Purse {
    /// That of a card that was just installed.
    pub const fn new(balance: u64) -> Self {
        let stored = Booked { sequence: 0, loaded: balance, booked: 0, closed: 0, cleared: 0 };
        Self { stored, spent: 0 }
    }

    /// That of a stored card: whatever was booked may have been spent.
    pub const fn restarted(stored: Booked) -> Self {
        Self { stored, spent: stored.booked }
    }

    /// What storage has to hold.
    pub const fn stored(&self) -> &Booked {
        &self.stored
    }

    /// What a tap can spend, minor units.
    pub const fn room(&self) -> u64 {
        self.stored.booked.saturating_sub(self.spent)
    }

    /// What is left of all that was loaded, minor units.
    pub const fn left(&self) -> u64 {
        self.stored.loaded.saturating_sub(self.spent)
    }

    /// The purse with room for one payment of so much, or for what is left. It is to be stored before a tap spends it.
    pub fn with_room(self, payment: u64) -> Self {
        let booked = self.spent.saturating_add(payment.min(self.left())).max(self.stored.booked);
        Self { stored: Booked { booked, ..self.stored }, ..self }
    }

    /// Spends.
    ///
    /// # Errors
    /// [`Error::AmountNotAllowed`] for more than the room; nothing is spent then.
    pub fn spend(&mut self, amount: u64) -> Result<(), Error> {
        if amount > self.room() {
            return Err(Error::AmountNotAllowed);
        }
        self.spent = self.spent.checked_add(amount).ok_or(Error::Internal)?;
        Ok(())
    }

    /// What an authentic command makes of the purse of a card whose counters up to `used` may have left, and are reserved
    /// up to `reserved`. Nothing, when it was here already. It is to be stored before it is believed.
    ///
    /// # Errors
    /// [`Error::CommandOutOfOrder`] for one with a lower number than the last, or with its number and another content;
    /// [`Error::TokenState`] for sums that cannot be, and for a settlement behind which the card may have paid.
    pub fn obey(&self, command: &OfflineCommand, used: u16, reserved: u16) -> Result<Option<Self>, Error> {
        let OfflineCommand { sequence, loaded, closed, cleared, .. } = *command;
        let before = &self.stored;
        if sequence == 0 || sequence < before.sequence {
            return Err(Error::CommandOutOfOrder);
        }
        if sequence == before.sequence {
            let same = (loaded, closed, cleared) == (before.loaded, before.closed, before.cleared);
            return if same { Ok(None) } else { Err(Error::CommandOutOfOrder) };
        }
        if loaded < before.loaded || cleared < before.cleared || cleared > loaded {
            return Err(Error::TokenState);
        }
        let settled = (closed, cleared) != (before.closed, before.cleared);
        // Counters above the reserved ones are not the card's to give up; below the used ones it would forget a payment.
        if settled && (closed <= before.closed || !(used..=reserved).contains(&closed)) {
            return Err(Error::TokenState);
        }
        let (booked, spent) = if settled { (cleared, cleared) } else { (before.booked, self.spent) };
        Ok(Some(Self { stored: Booked { sequence, loaded, booked, closed, cleared }, spent }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tapvault_proto::{
        id::{CardId, ProviderId},
        pin::ProviderCertificate,
    };

    fn command(sequence: u32, loaded: u64, closed: u16, cleared: u64) -> OfflineCommand {
        let certificate =
            ProviderCertificate { provider: ProviderId([0; 16]), key: [0; 65], signature: [0; 64] };
        let (card, signature) = (CardId([0; 16]), [0; 64]);
        OfflineCommand { certificate, card, key_version: 1, sequence, loaded, closed, cleared, signature }
    }

    #[test]
    fn what_was_booked_counts_as_spent_until_it_is_settled() {
        let mut purse = Purse::new(500).with_room(200);
        assert_eq!((purse.room(), purse.left()), (200, 500));
        purse.spend(150).unwrap();
        assert_eq!(purse.spend(51), Err(Error::AmountNotAllowed));
        // Room that is not used goes on.
        assert_eq!((purse.room(), purse.with_room(200).room(), purse.with_room(10).room()), (50, 200, 50));
        let purse = Purse::restarted(*purse.stored());
        assert_eq!((purse.room(), purse.left()), (0, 300));
        let settled = purse.obey(&command(1, 500, 16, 150), 16, 16).unwrap().unwrap();
        assert_eq!((settled.room(), settled.left()), (0, 350));
        assert_eq!(settled.with_room(400).room(), 350, "no more than there is");
    }

    #[test]
    fn a_command_is_obeyed_in_order_and_only_where_it_can_be_true() {
        let mut purse = Purse::new(500).with_room(200);
        purse.spend(150).unwrap();
        let purse = purse.obey(&command(3, 600, 4, 150), 4, 16).unwrap().unwrap();
        assert_eq!(purse.obey(&command(3, 600, 4, 150), 5, 16), Ok(None), "the last one again");
        let refusals = [
            (command(0, 600, 4, 150), Error::CommandOutOfOrder, "no number"),
            (command(2, 600, 4, 150), Error::CommandOutOfOrder, "an older one"),
            (command(3, 601, 4, 150), Error::CommandOutOfOrder, "the last number, other words"),
            (command(4, 599, 4, 150), Error::TokenState, "loaded less"),
            (command(4, 600, 5, 601), Error::TokenState, "cleared more than loaded"),
            (command(4, 600, 4, 151), Error::TokenState, "another sum for the same counters"),
            (command(4, 600, 3, 150), Error::TokenState, "opened again"),
            (command(4, 600, 5, 149), Error::TokenState, "cleared less"),
            (command(4, 600, 17, 150), Error::TokenState, "not reserved"),
        ];
        for (command, error, why) in refusals {
            assert_eq!(purse.obey(&command, 4, 16), Err(error), "{why}");
        }
        assert_eq!(purse.obey(&command(4, 600, 5, 150), 6, 16), Err(Error::TokenState), "paid behind it");
        let loaded = purse.obey(&command(9, 1000, 4, 150), 7, 16).unwrap().unwrap();
        assert_eq!((loaded.left(), loaded.stored().booked), (850, 150), "a number may be left out");
    }
}
