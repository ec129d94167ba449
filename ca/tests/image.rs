//! Which images the maker's tools sign as a TVM.
#![cfg(feature = "maker")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a test fails by panic"
)]

use std::{fs, path::PathBuf};
use tapvault::maker::{
    MakerError,
    enrol::{Enrolment, enrol},
    image::Image,
};
use tapvault_proto::id::{ProviderId, Uuid};

/// `TA_FLAG_SINGLE_INSTANCE | TA_FLAG_MULTI_SESSION | TA_FLAG_INSTANCE_KEEP_ALIVE` (`user_ta_header.h`).
const TVM_FLAGS: u32 = 0x1C;
const CONCURRENT: u32 = 0x100;
const MARK: &[u8] = b"TapVault stamp 1";
const HEAD_AT: usize = 64;

/// The least ELF-64 file (gABI, chapter 4) whose section `section` holds a trusted app's header, followed by
/// `marks` places for a stamp.
fn elf(section: &str, flags: u32, marks: usize) -> Vec<u8> {
    let mut head = [[0; 16].as_slice(), &0x1000_u32.to_le_bytes(), &flags.to_le_bytes(), &[0; 8]].concat();
    for _ in 0..marks {
        head.extend([MARK, &[0xAA; 16 + 65]].concat());
    }
    let names = format!("\0{section}\0.shstrtab\0");
    let (names_at, headers_at) = (HEAD_AT + head.len(), HEAD_AT + head.len() + names.len());
    let words = |words: &[u64]| words.iter().flat_map(|word| word.to_le_bytes()).collect::<Vec<_>>();
    let halves = |halves: &[u16]| halves.iter().flat_map(|half| half.to_le_bytes()).collect::<Vec<_>>();
    let header = |name: usize, kind: u32, at: usize, len: usize| {
        let start = [u32::try_from(name).unwrap().to_le_bytes(), kind.to_le_bytes()].concat();
        [start, words(&[0, 0, at as u64, len as u64, 0, 1, 0])].concat()
    };
    let mut file = b"\x7FELF\x02\x01\x01".to_vec();
    file.resize(16, 0);
    // ET_DYN, EM_AARCH64, EV_CURRENT; no entry, no program headers.
    file.extend([halves(&[3, 183]), vec![1, 0, 0, 0], words(&[0, 0, headers_at as u64])].concat());
    file.extend([vec![0; 4], halves(&[64, 56, 0, 64, 3, 2])].concat());
    file.extend([head.as_slice(), names.as_bytes()].concat());
    file.extend(header(0, 0, 0, 0));
    file.extend(header(1, 1, HEAD_AT, head.len()));
    file.extend(header(section.len() + 2, 3, names_at, names.len()));
    file
}

fn refusal(bytes: Vec<u8>) -> String {
    Image::parse(bytes).err().expect("taken").to_string()
}

#[test]
fn one_approval_serves_every_provider() {
    let image = Image::parse(elf(".ta_head", TVM_FLAGS, 1)).unwrap();
    let stamped = |provider| {
        let bytes = image.stamped(Uuid([provider; 16]), ProviderId([provider; 16]), &[provider; 65]);
        Image::parse(bytes).unwrap()
    };
    assert_eq!(stamped(1).digest(), image.digest());
    assert_eq!(stamped(1).digest(), stamped(2).digest());
    let mut other = elf(".ta_head", TVM_FLAGS, 1);
    other[HEAD_AT + 16] ^= 1;
    assert_ne!(Image::parse(other).unwrap().digest(), image.digest());
}

#[test]
fn a_stamp_says_who_and_the_header_carries_the_uuid() {
    let bytes = Image::parse(elf(".ta_head", TVM_FLAGS, 1)).unwrap().stamped(
        Uuid(*b"\x01\x02\x03\x04\x05\x06\x07\x08\x09\x0A\x0B\x0C\x0D\x0E\x0F\x10"),
        ProviderId([7; 16]),
        &[9; 65],
    );
    // TEE_UUID: one u32, two u16, little-endian, then eight bytes.
    assert_eq!(bytes[HEAD_AT..][..16], *b"\x04\x03\x02\x01\x06\x05\x08\x07\x09\x0A\x0B\x0C\x0D\x0E\x0F\x10");
    let mark = bytes.windows(MARK.len()).position(|window| window == MARK).unwrap() + MARK.len();
    assert_eq!((&bytes[mark..][..16], &bytes[mark + 16..][..65]), (&[7; 16][..], &[9; 65][..]));
}

#[test]
fn other_properties_are_refused() {
    assert!(refusal(elf(".ta_head", TVM_FLAGS | CONCURRENT, 1)).contains("CONCURRENT"));
    let without = [0x04, 0x08, 0x10].map(|flag| TVM_FLAGS & !flag);
    for flags in [0, TVM_FLAGS | 0x02, !CONCURRENT].into_iter().chain(without) {
        assert!(refusal(elf(".ta_head", flags, 1)).contains("properties"), "{flags:X}");
    }
}

#[test]
fn foreign_files_are_refused() {
    assert!(refusal(Vec::new()).contains("not an ELF"));
    assert!(refusal(b"\0asm\x01\0\0\0".to_vec()).contains("not an ELF"));
    assert!(refusal(elf(".text", TVM_FLAGS, 1)).contains(".ta_head"));
    for marks in [0, 2] {
        assert!(refusal(elf(".ta_head", TVM_FLAGS, marks)).contains("one stamp"), "{marks}");
    }
    let whole = elf(".ta_head", TVM_FLAGS, 1);
    for len in 0..whole.len() {
        assert!(Image::parse(whole[..len].to_vec()).is_err(), "cut off after {len} bytes");
    }
}

#[test]
fn an_image_that_nobody_approved_is_not_signed() {
    let folder = std::env::temp_dir().join(format!("tapvault-image-{}", std::process::id()));
    let path = |name: &str| -> PathBuf { folder.join(name) };
    fs::create_dir_all(&folder).unwrap();
    fs::write(path("tvm.elf"), elf(".ta_head", TVM_FLAGS, 1)).unwrap();
    fs::write(path("approved"), format!("{}\n", "00".repeat(32))).unwrap();
    let refused = enrol(&Enrolment {
        image: &path("tvm.elf"),
        approved: &path("approved"),
        provider: ProviderId([1; 16]),
        key: [4; 65],
        platform_key: &path("platform.pem"),
        subkey: &path("subkey.pem"),
        sign_tool: &path("no-tool"),
        ta_version: 0,
        out: &path("out"),
    });
    assert!(matches!(refused, Err(MakerError::Image(_))), "{refused:?}");
    let mut left: Vec<_> = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    left.sort();
    assert_eq!(left, ["approved", "tvm.elf"]);
    fs::remove_dir_all(&folder).unwrap();
}
