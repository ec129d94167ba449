//! The build-script half of every trusted app: its properties in one place, and how it is linked.

use optee_utee_build::{Builder, LinkerType, TaConfig};
pub use tapvault_proto::service::Service;

/// One instance for all callers, several sessions, alive without any: `TA_FLAG_SINGLE_INSTANCE`,
/// `TA_FLAG_MULTI_SESSION` and `TA_FLAG_INSTANCE_KEEP_ALIVE` of `user_ta_header.h`.
const FLAGS: u32 = 0x04 | 0x08 | 0x10;
/// A trusted app's memory in bytes; docs/measurements.md says what is needed.
#[derive(Clone, Copy)]
pub struct Memory {
    /// Deep enough for a P-256 verification and an HPKE open on top of parsed documents.
    pub stack: u32,
    /// For what OP-TEE's libraries and the crates ask for.
    pub heap: u32,
}

impl Memory {
    /// What a trusted app has that needs nothing special.
    pub const USUAL: Self = Self { stack: 64 * 1024, heap: 8 * 1024 };
}

/// Added to the linker script of the TA dev kit.
const NO_UNWINDING: &str = "SECTIONS { /DISCARD/ : { *(.eh_frame) *(.eh_frame.*) *(.gcc_except_table) *(.gcc_except_table.*) } } INSERT BEFORE .text;\n";

/// Sets up the trusted app of `service`; does nothing without the feature `optee`.
///
/// # Errors
/// When `TA_DEV_KIT_DIR` is not set, or a file cannot be written.
pub fn service(service: Service, memory: Memory) -> Result<(), Box<dyn std::error::Error>> {
    let hex = service.uuid().to_string();
    let mut parts = Vec::new();
    let mut rest = hex.as_str();
    for len in [8, 4, 4, 4, 12] {
        let (part, tail) = rest.split_at_checked(len).ok_or("a UUID has 32 digits")?;
        parts.push(part);
        rest = tail;
    }
    let memory = Memory {
        stack: overridden(&format!("TAPVAULT_{}_STACK", service.name().to_uppercase()), memory.stack)?,
        heap: overridden(&format!("TAPVAULT_{}_HEAP", service.name().to_uppercase()), memory.heap)?,
    };
    trusted_app(&parts.join("-"), memory)
}

/// UUID of a TVM's image as it is built; every provider's is stamped over it.
pub const TVM_IMAGE: &str = "7a9d1c7e-3f3a-4d0b-9a55-1f0c5f5e0004";

/// Sets up a trusted app with guests: allocations of Rust code go through `tapvault-tee`'s arenas.
///
/// # Errors
/// As [`service`].
pub fn with_arenas(uuid: &str, memory: Memory) -> Result<(), Box<dyn std::error::Error>> {
    trusted_app(uuid, memory)?;
    if std::env::var_os("CARGO_FEATURE_OPTEE").is_some() {
        println!("cargo:rustc-link-arg-bins=--wrap=memalign");
        println!("cargo:rustc-link-arg-bins=--wrap=free");
    }
    Ok(())
}

/// Sets up a trusted app with this UUID; does nothing without the feature `optee`.
///
/// # Errors
/// As [`service`].
pub fn trusted_app(uuid: &str, memory: Memory) -> Result<(), Box<dyn std::error::Error>> {
    println!("cargo:rerun-if-changed=build.rs");
    if std::env::var_os("CARGO_FEATURE_OPTEE").is_none() {
        return Ok(());
    }
    let stack = overridden("TAPVAULT_TA_STACK", memory.stack)?;
    let heap = overridden("TAPVAULT_TA_HEAP", memory.heap)?;
    // How much of it a method may have left secrets on (`tapvault_tee::stack`).
    println!("cargo:rustc-env=TAPVAULT_STACK={stack}");
    let config = TaConfig::new_default_with_cargo_env(uuid)
        .map_err(reason)?
        .ta_flags(FLAGS)
        .ta_stack_size(stack)
        .ta_data_size(heap)
        // Errors only: a trusted app of this project prints nothing.
        .trace_level(1);
    // A trusted app aborts where another program unwinds; the tables for it are a sixth of its size.
    let script = std::path::PathBuf::from(std::env::var("OUT_DIR")?).join("no-unwinding.ld");
    std::fs::write(&script, NO_UNWINDING)?;
    println!("cargo:rustc-link-arg-bins=--no-eh-frame-hdr");
    println!("cargo:rustc-link-arg-bins=-T{}", script.display());
    // gcc as linker would add NEEDED libc.so.6, which OP-TEE's loader refuses.
    Builder::new(config).linker_type(LinkerType::Ld).build().map_err(reason)?;
    Ok(())
}

/// A size in bytes out of the environment: for `tools/measure-memory`, which finds the smallest that does.
fn overridden(name: &str, usual: u32) -> Result<u32, Box<dyn std::error::Error>> {
    println!("cargo:rerun-if-env-changed={name}");
    match std::env::var(name) {
        Ok(bytes) => bytes.parse().map_err(|_| format!("{name} is a number of bytes").into()),
        Err(_) => Ok(usual),
    }
}

/// `optee_utee_build::Error` is no `std::error::Error`.
fn reason(error: optee_utee_build::Error) -> String {
    format!("{error:?}; is TA_DEV_KIT_DIR the folder of a TA dev kit?")
}
