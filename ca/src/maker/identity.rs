//! Who is who: the UUIDs that kernel and OP-TEE derive.

use sha1::Digest as _;
use sha2::Sha512;
use tapvault_proto::id::{Caller, ProviderId, Uuid, login};

/// Name space of the Linux kernel's client UUIDs (`tee_session_calc_client_uuid`, drivers/tee/tee_core.c).
const LINUX: [u8; 16] = *b"\x58\xac\x9c\xa0\x20\x86\x46\x83\xa1\xb8\xec\x4b\xc0\x8e\x01\xb6";
/// A TVM's name within its provider's name space.
pub const TVM_NAME: &str = "tvm";

/// A user as the kernel vouches for it: UUIDv5 of `uid=` and the id in hexadecimal.
#[must_use]
pub fn user(id: u32) -> Caller {
    Caller { login: login::USER, uuid: linux(&format!("uid={id:x}")) }
}

/// A group as the kernel vouches for it.
#[must_use]
pub fn group(id: u32) -> Caller {
    Caller { login: login::GROUP, uuid: linux(&format!("gid={id:x}")) }
}

/// The UUID of a provider's TVM: the one that OP-TEE lets the provider's subkey sign under the name
/// [`TVM_NAME`]. The name space is the provider's id; truncated SHA-512 (OP-TEE, architecture/subkeys).
#[must_use]
pub fn tvm(provider: ProviderId) -> Uuid {
    let digest = Sha512::new().chain_update(provider.0).chain_update(TVM_NAME).finalize();
    version_5(digest.first_chunk().copied().unwrap_or_default())
}

/// A UUID as tools print it.
#[must_use]
pub fn dashed(uuid: Uuid) -> String {
    let hex = uuid.to_string();
    let part = |range: std::ops::Range<usize>| hex.get(range).unwrap_or_default().to_owned();
    [part(0..8), part(8..12), part(12..16), part(16..20), part(20..32)].join("-")
}

fn linux(name: &str) -> Uuid {
    let digest = sha1::Sha1::new().chain_update(LINUX).chain_update(name).finalize();
    version_5(digest.first_chunk().copied().unwrap_or_default())
}

/// RFC 4122, 4.1.1 and 4.1.3.
fn version_5(mut bytes: [u8; 16]) -> Uuid {
    let [.., version, _, variant, _, _, _, _, _, _, _] = &mut bytes;
    *version = *version & 0x0F | 0x50;
    *variant = *variant & 0x3F | 0x80;
    Uuid(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_and_a_group_are_what_the_kernel_says() {
        // As read on Linux 6.12 by OP-TEE; the policy in qemu-optee/guest names them.
        assert_eq!(user(1000).uuid.to_string(), "fc34275cd8dd5ba7968b504718363b87");
        assert_eq!(group(990).uuid.to_string(), "9c28a2a6fb4f5af9953c4ee04a9c926d");
    }

    #[test]
    fn a_tvm_has_the_uuid_that_the_signing_tool_computes() {
        // `sign_encrypt.py subkey-uuid --name tvm` for a subkey of the first lab bank.
        let provider = ProviderId(*b"\x67\x38\x1d\x66\x7e\xf8\x81\xd1\xeb\xde\xa0\x4d\x94\x42\xb8\x44");
        assert_eq!(dashed(tvm(provider)), TVM_A);
    }

    const TVM_A: &str = "0e420514-c316-558a-af77-d22faf03586b";
}
