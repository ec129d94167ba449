//! The conformance test's entry points on OP-TEE.
#![no_std]
#![no_main]
#![allow(missing_docs, reason = "generated entry points")]

tapvault_tee::trusted_app!(tapvault_conformance::Conformance);
include!(concat!(env!("OUT_DIR"), "/user_ta_header.rs"));
