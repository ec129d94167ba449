//! BER-TLV against a parser nobody here wrote: the crate `emv` (MIT or Apache-2.0), whose tags and lengths are taken one
//! by one. Either both read the same object, or ours refuses what it says it does not read: tags of more than two
//! bytes, lengths of more than one byte behind 81, and what runs past the end.
#![no_main]

use emv::core::{tag::Tag, tlv::parse_length};
use libfuzzer_sys::fuzz_target;
use tapvault_proto::{
    emv::tlv::{Tlv, find, objects, push},
    wire::Bytes,
};

/// What the foreign parser makes of the front: tag, its length, the value, and all of the object.
fn foreign(bytes: &[u8]) -> Option<(u32, &[u8], usize, u8)> {
    let (tag, tag_len) = Tag::parse(bytes).ok()?;
    let rest = bytes.get(tag_len..)?;
    let (len, len_len) = parse_length(rest).ok()?;
    let value = rest.get(len_len..)?.get(..len)?;
    Some((tag.0, value, tag_len + len_len + len, rest[0]))
}

/// Compares one level, then the templates in it; how deep is bounded by the input's length.
fn compare(mut bytes: &[u8]) {
    let whole = bytes;
    let mut seen: Vec<Tlv<'_>> = Vec::new();
    for object in objects(whole) {
        let theirs = foreign(bytes);
        match (object, theirs) {
            (Ok(ours), Some((tag, value, len, _))) => {
                assert_eq!((u32::from(ours.tag), ours.value), (tag, value));
                // Written again it is as short as can be, and read again the same.
                let mut written = Bytes::<300>::new();
                push(&mut written, ours.tag, ours.value).expect("it was read from fewer");
                assert!(written.len() <= len);
                assert_eq!(objects(&written).next(), Some(Ok(ours)));
                bytes = &bytes[len..];
                let first = if ours.tag > 0xFF { ours.tag >> 8 } else { ours.tag };
                if first & 0x20 != 0 {
                    compare(ours.value);
                }
                seen.push(ours);
            }
            (Ok(ours), None) => panic!("only ours reads {ours:?}"),
            (Err(_), Some((tag, .., form))) => {
                assert!(tag > 0xFFFF || form > 0x81, "only theirs reads {tag:X}")
            }
            (Err(_), None) => {}
        }
    }
    for object in &seen {
        let first = seen.iter().find(|other| other.tag == object.tag).map(|other| other.value);
        assert_eq!(find(whole, object.tag), first);
    }
}

fuzz_target!(|bytes: &[u8]| compare(bytes));
