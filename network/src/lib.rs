//! The other side of TapVault's wire: what a bank, an issuer and a contactless terminal do.
//!
//! * [`terminal`]: a contactless terminal (qPBOC, online, offline or both) that explains every exchange.
//! * [`input`]: what commands read.
//! * [`frame`]: how terminal and card reach each other, the protocol of vsmartcard's `vpcd`.
//! * [`issuer`]: says yes or no to a payment; [`registry`] issues cards, [`state`] keeps both on disk,
//!   [`request`] is what a terminal asks, [`suite`] the cryptograms, [`kind`] the cards there are.
//! * [`device`]: the factory that certifies devices, and how a bank checks them.
//! * [`keyblock`]: TR-31 key blocks; [`sm2_seal`]: the domestic way to seal.
//! * [`limited`]: batches of limited-use keys.
//! * [`code`] takes a code that a holder shows to the issuer; [`online`] signs payment requests and opens the answers.
//! * [`contact`]: the contact test profile, made and answered for.
//! * [`binding`]: how a card comes to a phone: data or chip, the network's code, the holder's name, the order.
//! * [`hsm`]: the bank's security module: PIN blocks, the numbers behind tokens, bank PINs.
//! * [`oda`]: certificates and keys of offline data authentication.
//! * [`offline`]: loads cards for offline payments, and takes those later.
//! * [`element`]: a secure element in software, for the TEE's channel to one.
//! * [`bank`]: seals cards for a phone and permits PINs; [`lab`] holds the keys everybody knows.
//!
//! **For the lab only.** Every key here is computed from a published text. A product replaces
//! [`bank`], [`issuer`] and [`lab`] by its bank's systems; [`terminal`] and [`frame`] hold no keys.
#![forbid(unsafe_code)]

pub mod amount;
pub mod bank;
pub mod binding;
pub mod calendar;
pub mod code;
pub mod contact;
pub mod device;
pub mod element;
pub mod frame;
pub mod hsm;
pub mod input;
pub mod issuer;
pub mod keyblock;
pub mod kind;
pub mod lab;
pub mod limited;
pub mod message;
pub mod oda;
pub mod offline;
pub mod online;
pub mod platform;
pub mod registry;
pub mod request;
pub mod sm2_seal;
pub mod state;
pub mod suite;
pub mod terminal;
