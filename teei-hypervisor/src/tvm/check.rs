//! What a module may look like, checked before wasmi sees it.
//!
//! wasmi bounds neither how much memory a parse takes nor how much a few bytes can make of themselves: a
//! type of three bytes becomes two hundred, a declaration of locals of four bytes becomes a megabyte. The
//! bounds here keep the parse within [`reserve`], which was measured over modules made for the purpose
//! (`tests/parse_cost`).

use super::body::{self, Arities};
use crate::manifest::Limits;
use alloc::vec::Vec;
use tapvault_proto::{Error, trustlet::abi};
use wasmparser::{BinaryReader, Parser, Payload, TypeRef};

const MAX_TYPES: u32 = 128;
const MAX_FUNCTIONS: u32 = 1024;
const MAX_GLOBALS: u32 = 32;
const MAX_EXPORTS: u32 = 16;
const MAX_SEGMENTS: u32 = 64;
/// Entries of the one table, and of all its segments.
const MAX_TABLE: u64 = 256;
/// Parameters of one function.
const MAX_VALUES: u8 = 32;
/// As encoded (WebAssembly 1.0, 5.3).
const FUNCTION_TYPE: u8 = 0x60;
const I32: u8 = 0x7F;
const I64: u8 = 0x7E;

/// Bytes of one function.
pub const MAX_BODY: usize = 16 * 1024;

/// Memory that parsing, compiling and holding a module takes at most: in any case, for each byte of the
/// module, and for each byte of the longest function it can have, since the lists of a translation double
/// as they grow. Of 5,000 modules made to cost much (`tests/parse_cost`) the worst, branches that carry
/// results in a function of 4,564 bytes, takes 34 bytes for each of its own beyond the base; 21 % of the sum
/// are then left for gaps between blocks.
const PARSE_BASE: usize = 16 * 1024;
const PARSE_FACTOR: usize = 8;
const BODY_FACTOR: usize = 36;
/// A frame as wasmi keeps it, and half as much for the list before it doubled the last time.
const FRAME: usize = 48;

/// Bytes to set aside for a module of `size` bytes besides its linear memory.
#[must_use]
pub fn reserve(size: usize, limits: &Limits) -> usize {
    let parse = PARSE_BASE + PARSE_FACTOR * size + BODY_FACTOR * size.min(MAX_BODY);
    // Taken at once, so it never doubles.
    let stack = limits.stack as usize;
    let frames = usize::from(limits.depth).next_power_of_two() * FRAME;
    // The module's own bytes lie there until it is ready.
    size + parse + stack + frames
}

/// Checks a module's shape against the rules and its limits.
///
/// # Errors
/// [`Error::ModuleInvalid`].
pub fn module(bytes: &[u8], limits: &Limits) -> Result<(), Error> {
    let mut segments = 0;
    let mut table_entries = 0;
    let mut memories = 0;
    let mut arities = Arities::default();
    for payload in Parser::new(0).parse_all(bytes) {
        match payload.map_err(invalid)? {
            Payload::Version { encoding: wasmparser::Encoding::Module, .. } | Payload::End(_) => {}
            Payload::TypeSection(section) => {
                arities.types = types(bytes.get(section.range()).ok_or(Error::ModuleInvalid)?)?;
            }
            Payload::ImportSection(imports) => {
                within(u64::from(imports.count()), 1)?;
                for import in imports {
                    let import = import.map_err(invalid)?;
                    hold((import.module, import.name) == (abi::IMPORT_MODULE, abi::IMPORT_CALL))?;
                    let TypeRef::Func(kind) = import.ty else { return Err(Error::ModuleInvalid) };
                    arities.functions.push(kind);
                }
            }
            Payload::FunctionSection(functions) => {
                within(u64::from(functions.count()), u64::from(MAX_FUNCTIONS))?;
                for kind in functions {
                    arities.functions.push(kind.map_err(invalid)?);
                }
            }
            Payload::TableSection(tables) => {
                within(u64::from(tables.count()), 1)?;
                for table in tables {
                    within(table.map_err(invalid)?.ty.initial, MAX_TABLE)?;
                }
            }
            Payload::MemorySection(section) => {
                for memory in section {
                    let memory = memory.map_err(invalid)?;
                    memories += 1;
                    // All of it is there from the start: growing would need the old and the new at once.
                    hold(memory.maximum == Some(memory.initial) && !memory.memory64 && !memory.shared)?;
                    within(memory.initial, u64::from(limits.pages))?;
                }
            }
            Payload::GlobalSection(globals) => within(u64::from(globals.count()), u64::from(MAX_GLOBALS))?,
            Payload::ExportSection(exports) => within(u64::from(exports.count()), u64::from(MAX_EXPORTS))?,
            Payload::ElementSection(elements) => {
                segments += elements.count();
                for element in elements {
                    let wasmparser::ElementItems::Functions(items) = element.map_err(invalid)?.items else {
                        return Err(Error::ModuleInvalid);
                    };
                    table_entries += u64::from(items.count());
                }
                within(table_entries, MAX_TABLE)?;
            }
            Payload::DataSection(data) => segments += data.count(),
            Payload::CodeSectionStart { count, .. } => within(u64::from(count), u64::from(MAX_FUNCTIONS))?,
            Payload::CodeSectionEntry(function) => body::check(&function, bytes, &arities)?,
            // Names and producers, which compilers add.
            Payload::CustomSection(_) => {}
            // A start function would run before the first call; the rest are proposals that are off.
            _ => return Err(Error::ModuleInvalid),
        }
        within(u64::from(segments), u64::from(MAX_SEGMENTS))?;
    }
    hold(memories == 1)
}

/// How many values each function type takes and leaves. Read here: for a group of types, which no trustlet
/// has, wasmparser takes as much memory as its count promises.
fn types(section: &[u8]) -> Result<Vec<(u8, u8)>, Error> {
    let mut reader = BinaryReader::new(section, 0);
    let count = reader.read_var_u32().map_err(invalid)?;
    within(u64::from(count), u64::from(MAX_TYPES))?;
    let mut types = Vec::new();
    for _ in 0..count {
        hold(reader.read_u8().map_err(invalid)? == FUNCTION_TYPE)?;
        types.push((values(&mut reader, MAX_VALUES)?, values(&mut reader, 1)?));
    }
    hold(reader.eof()).map(|()| types)
}

/// Reads a list of integer types and returns its length.
fn values(reader: &mut BinaryReader<'_>, most: u8) -> Result<u8, Error> {
    let count = u8::try_from(reader.read_var_u32().map_err(invalid)?).map_err(|_| Error::ModuleInvalid)?;
    within(count.into(), most.into())?;
    for _ in 0..count {
        hold(matches!(reader.read_u8().map_err(invalid)?, I32 | I64))?;
    }
    Ok(count)
}

pub(super) fn within(value: u64, most: u64) -> Result<(), Error> {
    hold(value <= most)
}

pub(super) fn hold(holds: bool) -> Result<(), Error> {
    if holds { Ok(()) } else { Err(Error::ModuleInvalid) }
}

pub(super) fn invalid(_: wasmparser::BinaryReaderError) -> Error {
    Error::ModuleInvalid
}
