//! The test of docs/first-trustlet.md.

use hello::{Greet, Hello, Refused};
use tapvault_trustlet::{proto::wire::Bytes, testing::Guest};

#[test]
fn greets_by_name_and_counts() {
    let mut guest = Guest::<Hello>::new();
    guest.world.time = 1234;
    let greeting = guest.call(&Greet { name: Bytes::from_slice(b"Ada").unwrap() }).unwrap();
    assert_eq!(&greeting.text[..], b"Hello, Ada");
    assert_eq!((greeting.count, greeting.time), (1, 1234));
    assert_eq!(guest.world.lines, [b"somebody was greeted"]);
}

#[test]
fn greets_nobody_without_a_name() {
    let mut guest = Guest::<Hello>::new();
    assert_eq!(guest.call(&Greet { name: Bytes::new() }), Err(Refused::NoName.into()));
    assert!(guest.world.lines.is_empty());
}
