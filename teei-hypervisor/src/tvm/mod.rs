//! The engine of a TVM: a trustlet as a Wasm module under wasmi, metered, limited, interruptible.
//!
//! wasmi 1.1, not 2.0: its interpreter is one loop, so a guest's calls never grow the native stack; 2.0
//! dispatches by tail calls that hold this promise only at optimisation levels a trusted app does not
//! use. Every proposal that is not needed is off, its strict limits are on, and [`check`] bounds before
//! parsing what these leave open, since wasmi's own allocations end a trusted app when they fail.

mod body;
pub mod check;
pub mod guest;
