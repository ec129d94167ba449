//! The client library: what a wallet app links.
//!
//! [`Wallet`] is the door. It speaks over a [`Transport`]: [`optee`] reaches real trusted apps through
//! libteec; [`sim`] runs the same trusted-app logic in the process, **without any security**.
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
#![cfg_attr(not(feature = "optee"), forbid(unsafe_code))]

pub mod error;
#[cfg(feature = "optee")]
pub mod optee;
pub mod pad;
pub mod reader;
#[cfg(feature = "sim")]
pub mod sim;
pub mod tap;
pub mod transport;
pub mod wallet;

pub use error::ClientError;
pub use pad::{InsecureTestPad, PinPad};
pub use tap::Tap;
pub use transport::{Channel, Transport};
pub use wallet::Wallet;
