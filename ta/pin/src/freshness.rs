//! The tries that the service platform grants, each by itself: stored tries can be put back with the rest of the store, and
//! this trusted app be made to start again. The platform books a try as spent until a success in the same run.

use heapless::Vec;
use subtle::ConstantTimeEq;
use tapvault_proto::{
    Error,
    freshness::{FreshnessStatement, GrantedTries, PinRun},
    id::ProviderId,
    pin::TRY_LIMIT,
    supervisor::MAX_PROVIDERS,
};
use tapvault_tee::Tee;
use tapvault_trust::PLATFORM_KEY;

/// One provider's tries, counted from the start of the run.
struct Tries {
    provider: ProviderId,
    granted: u32,
    used: u32,
    settled: u32,
    /// Spent since the last success, or since the provider gave tries back: storage can say less.
    spent: u8,
}

/// This run of the trusted app.
#[derive(Default)]
pub struct Run {
    nonce: Option<[u8; 32]>,
    asked: Option<ProviderId>,
    tries: Vec<Tries, MAX_PROVIDERS>,
}

impl Run {
    /// What the card trusted app asks the platform.
    pub fn report<T: Tee>(&mut self, tee: &mut T) -> PinRun {
        let nonce = *self.nonce.get_or_insert_with(|| {
            let mut nonce = [0; 32];
            tee.random(&mut nonce);
            nonce
        });
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
        let nonce = self.nonce.as_ref().ok_or(Error::NoChallenge)?;
        if !PLATFORM_KEY.verifies(&statement.said.signed_bytes()?, &statement.signature) {
            return Err(Error::SignatureInvalid);
        }
        if !bool::from(nonce.ct_eq(&statement.said.pin_nonce)) {
            return Err(Error::WrongChallenge);
        }
        let Some(grant) = statement.said.granted else { return Ok(()) };
        let provider = grant.provider;
        match self.of(provider) {
            Some(tries) => tries.granted = tries.granted.max(grant.granted),
            None => {
                let tries = Tries { provider, granted: grant.granted, used: 0, settled: 0, spent: 0 };
                // Nobody is forgotten: the tries that were used would come back.
                self.tries.push(tries).map_err(|_| Error::OutOfMemory)?;
            }
        }
        self.asked = self.asked.filter(|asked| *asked != provider);
        Ok(())
    }

    /// Uses a granted try up.
    ///
    /// # Errors
    /// [`Error::PinLocked`] when as many as there are were spent in this run, whatever storage says; [`Error::TryNotGranted`]:
    /// the next question asks for one.
    pub fn take(&mut self, provider: ProviderId) -> Result<(), Error> {
        match self.of(provider) {
            Some(tries) if tries.spent >= TRY_LIMIT => Err(Error::PinLocked),
            Some(tries) if tries.used < tries.granted => {
                tries.used += 1;
                tries.spent += 1;
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
            // A success since has settled it.
            tries.used = tries.used.saturating_sub(1).max(tries.settled);
            tries.spent = tries.spent.saturating_sub(1);
        }
    }

    /// The provider gave all stored tries back, or permitted a new PIN. What the platform booked stays booked.
    pub fn renew(&mut self, provider: ProviderId) {
        if let Some(tries) = self.of(provider) {
            tries.spent = 0;
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
