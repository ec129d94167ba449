//! The tries that the service platform grants, each by itself: stored tries can be put back with the rest of the store,
//! and this trusted app be made to start again. The platform books a try as spent until a success in the same run.

use heapless::Vec;
use tapvault_proto::{
    Error,
    freshness::{FreshnessStatement, GrantedTries, PinRun},
    id::ProviderId,
    pin::TRY_LIMIT,
    supervisor::MAX_PROVIDERS,
};
use tapvault_tee::Tee;
use tapvault_trust::RunNonce;

/// One provider's tries, counted from the start of the run.
struct Tries {
    provider: ProviderId,
    granted: u32,
    used: u32,
    settled: u32,
    /// Spent since the last success, or since the provider gave tries back: storage can say less.
    spent: u8,
    /// Which record the tries were for that no success has settled, by its salt.
    record: [u8; 16],
}

/// This run of the trusted app.
#[derive(Default)]
pub struct Run {
    nonce: RunNonce,
    asked: Option<ProviderId>,
    tries: Vec<Tries, MAX_PROVIDERS>,
}

impl Run {
    /// What the card trusted app asks the platform.
    pub fn report<T: Tee>(&mut self, tee: &mut T) -> PinRun {
        let nonce = self.nonce.get(|out| tee.random(out));
        let granted = |provider, granted| GrantedTries { provider, granted };
        let asked =
            self.asked.map(|provider| granted(provider, self.of(provider).map_or(0, |tries| tries.granted)));
        let settled = self.tries.iter().filter(|tries| tries.settled > 0);
        let settled = settled.map(|tries| granted(tries.provider, tries.settled)).collect();
        PinRun { nonce, asked, settled }
    }

    /// Takes the platform's word.
    ///
    /// # Errors
    /// [`Error::NoChallenge`] before it was asked in this run, [`Error::SignatureInvalid`], [`Error::WrongChallenge`];
    /// [`Error::OutOfMemory`] for a provider beyond [`MAX_PROVIDERS`].
    pub fn grant(&mut self, statement: &FreshnessStatement) -> Result<(), Error> {
        self.nonce.check(statement, &statement.said.pin_nonce)?;
        let Some(grant) = statement.said.granted else { return Ok(()) };
        let provider = grant.provider;
        match self.of(provider) {
            Some(tries) => tries.granted = tries.granted.max(grant.granted),
            None => {
                let granted = grant.granted;
                let tries = Tries { provider, granted, used: 0, settled: 0, spent: 0, record: [0; 16] };
                // Nobody is forgotten: the tries that were used would come back.
                self.tries.push(tries).map_err(|_| Error::OutOfMemory)?;
            }
        }
        self.asked = self.asked.filter(|asked| *asked != provider);
        Ok(())
    }

    /// How many tries are left, where storage says so many: what was spent in this run stays spent.
    pub fn left(&mut self, provider: ProviderId, stored: u8) -> u8 {
        self.of(provider).map_or(stored, |tries| stored.min(TRY_LIMIT.saturating_sub(tries.spent)))
    }

    /// Uses a granted try of a record up.
    ///
    /// # Errors
    /// [`Error::PinLocked`] for another record than the one that tries were used for: its PIN, known from before it was
    /// changed, would settle them. [`Error::TryNotGranted`]: the next question asks for one.
    pub fn take(&mut self, provider: ProviderId, record: &[u8; 16]) -> Result<(), Error> {
        match self.of(provider) {
            Some(tries) if tries.used > tries.settled && tries.record != *record => Err(Error::PinLocked),
            Some(tries) if tries.used < tries.granted => {
                tries.used += 1;
                tries.spent += 1;
                tries.record = *record;
                Ok(())
            }
            _ => {
                self.asked = Some(provider);
                Err(Error::TryNotGranted)
            }
        }
    }

    /// Gives a try back for which the pad submitted nothing.
    pub fn give_back(&mut self, provider: ProviderId) {
        if let Some(tries) = self.of(provider) {
            tries.used = tries.used.saturating_sub(1);
            tries.spent = tries.spent.saturating_sub(1);
        }
    }

    /// The provider gave all tries of this record back, or permitted it. What the platform booked stays booked.
    pub fn renew(&mut self, provider: ProviderId, record: &[u8; 16]) {
        if let Some(tries) = self.of(provider) {
            tries.spent = 0;
            tries.record = *record;
        }
    }

    /// The right PIN came: all that was granted is settled, and nothing of it is left.
    pub fn succeed(&mut self, provider: ProviderId) {
        if let Some(tries) = self.of(provider) {
            tries.used = tries.granted;
            tries.settled = tries.granted;
            tries.spent = 0;
        }
    }

    fn of(&mut self, provider: ProviderId) -> Option<&mut Tries> {
        self.tries.iter_mut().find(|tries| tries.provider == provider)
    }
}
