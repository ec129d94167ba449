//! The client library: what a wallet app links.
//!
//! [`Wallet`] is the door. It speaks over a [`Transport`]: `optee` reaches real trusted apps through
//! libteec; `sim` runs the same trusted-app logic in the process, **without any security**.
//!
//! ```no_run
//! # #[cfg(feature = "optee")]
//! # fn main() -> Result<(), tapvault::ClientError> {
//! use tapvault::{Wallet, optee::{Login, Optee}};
//!
//! let mut wallet = Wallet::new(Optee::connect(Login::User)?);
//! for card in wallet.cards()? {
//!     println!("{}", card.card);
//! }
//! # Ok(())
//! # }
//! # #[cfg(not(feature = "optee"))]
//! # fn main() {}
//! ```

mod bank_pin;
pub mod binding;
#[cfg(feature = "chip")]
pub mod chip;
pub mod contact;
pub mod error;
#[cfg(feature = "maker")]
pub mod maker;
pub mod online;
#[cfg(feature = "optee")]
#[allow(unsafe_code, reason = "the adapter to libteec, which is C")]
pub mod optee;
pub mod pad;
pub mod payments;
pub mod platform;
pub mod reader;
mod route;
#[cfg(feature = "sim")]
pub mod sim;
pub mod tap;
pub mod transport;
pub mod trustlet;
pub mod wallet;

pub use contact::ContactCard;
pub use error::ClientError;
pub use pad::PadLink;
pub use platform::PlatformLink;
pub use tap::Tap;
pub use transport::{Channel, Transport};
pub use wallet::Wallet;
