//! Modules written for tests, in Wasm's text.

/// Where the modules here keep the buffer.
pub const BUFFER: u32 = 1024;

/// A module that handles a message with `body` (it gets the length as `$len` and leaves an i32), with
/// `rest` beside it: data, functions, globals.
#[must_use]
pub fn handler(body: &str, rest: &str) -> Vec<u8> {
    compile(&format!(
        r#"(module
            (import "teei" "call" (func $call (param i32 i32 i32 i32 i32 i32) (result i32)))
            (memory (export "memory") 1 1)
            (func (export "trustlet_buffer") (result i32) i32.const {BUFFER})
            (func (export "trustlet_handle") (param $len i32) (result i32) {body})
            {rest})"#
    ))
}

/// A module out of its text.
#[must_use]
pub fn compile(text: &str) -> Vec<u8> {
    wat::parse_str(text).unwrap_or_else(|error| panic!("{error}\n{text}"))
}

/// Answers the byte 7.
#[must_use]
pub fn empty() -> Vec<u8> {
    handler("i32.const 1024 i32.const 7 i32.store8 i32.const 1", "")
}

/// Calls `service` `method` with the request in `data`, and answers with the call's result, 4 bytes, and
/// up to 400 bytes of the reply.
#[must_use]
pub fn caller(service: u32, method: u32, request: &[u8]) -> Vec<u8> {
    let data: String = request.iter().map(|byte| format!("\\{byte:02x}")).collect();
    let len = request.len();
    handler(
        &format!(
            "(local $result i32)
             (local.set $result (call $call (i32.const {service}) (i32.const {method})
                (i32.const 8192) (i32.const {len}) (i32.const 1028) (i32.const 400)))
             (i32.store (i32.const 1024) (local.get $result))
             (if (result i32) (i32.lt_s (local.get $result) (i32.const 0))
                (then (i32.const 4)) (else (i32.add (local.get $result) (i32.const 4))))"
        ),
        &format!("(data (i32.const 8192) \"{data}\")"),
    )
}

/// Stores one byte.
#[must_use]
pub fn write() -> Vec<u8> {
    caller(0x13, 2, b"\x00\x01k\x01\x00\x01v")
}

/// Makes the call that the message spells out: service, method, request address and length, reply address
/// and length, each a little-endian i32, behind the sender; answers with the result, 4 bytes. The
/// message begins at `head`.
#[must_use]
pub fn relay(head: u32) -> Vec<u8> {
    let word = |index: u32| format!("(i32.load (i32.const {}))", BUFFER + head + 4 * index);
    let arguments: String = (0..6).map(word).collect();
    handler(&format!("(i32.store (i32.const 1024) (call $call {arguments})) i32.const 4"), "")
}

/// Never ends.
#[must_use]
pub fn spin() -> Vec<u8> {
    handler("(loop br 0) unreachable", "")
}

/// Calls a service for ever.
#[must_use]
pub fn storm() -> Vec<u8> {
    handler(
        "(loop (drop (call $call (i32.const 16) (i32.const 1) (i32.const 8192) (i32.const 1)
            (i32.const 9000) (i32.const 100))) br 0) unreachable",
        "(data (i32.const 8192) \"\\40\")",
    )
}
