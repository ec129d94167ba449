//! What a module may look like, checked before wasmi sees it.
//!
//! wasmi bounds neither how much memory a parse takes nor how much a few bytes can make of themselves: a
//! type of three bytes becomes two hundred, a declaration of locals of four bytes becomes a megabyte. The
//! bounds here keep the parse within [`reserve`], which was measured over modules made for the purpose
//! (`docs/teei.md`).

use tapvault_proto::{Error, trustlet::abi};
use wasmparser::{FuncType, Operator, Parser, Payload, TypeRef, ValType};

use crate::manifest::Limits;

const MAX_TYPES: u32 = 128;
const MAX_FUNCTIONS: u32 = 1024;
const MAX_GLOBALS: u32 = 32;
const MAX_EXPORTS: u32 = 16;
const MAX_SEGMENTS: u32 = 64;
/// Entries of the one table, and of all its segments.
const MAX_TABLE: u64 = 256;
/// Locals of one function, its parameters left out.
const MAX_LOCALS: u64 = 256;
/// Nesting of blocks in one function.
const MAX_NESTING: u32 = 64;
/// Parameters of one function, and results of one.
const MAX_VALUES: usize = 32;

/// Memory that parsing, compiling and holding a module takes at most: per byte of it, and in any case.
const PARSE_FACTOR: usize = 40;
const PARSE_BASE: usize = 24 * 1024;

/// Bytes to set aside for a module of `size` bytes besides its linear memory.
#[must_use]
pub fn reserve(size: usize, limits: &Limits) -> usize {
    // The module's own bytes, the parse, the value stack (which doubles as it grows), frames.
    let stack = 2 * limits.stack as usize + usize::from(limits.depth) * 64;
    size + PARSE_BASE + PARSE_FACTOR * size + stack
}

/// Checks a module's shape against the rules and its limits.
///
/// # Errors
/// [`Error::ModuleInvalid`].
pub fn module(bytes: &[u8], limits: &Limits) -> Result<(), Error> {
    let mut segments = 0;
    let mut table_entries = 0;
    let mut memories = 0;
    for payload in Parser::new(0).parse_all(bytes) {
        match payload.map_err(invalid)? {
            Payload::Version { encoding: wasmparser::Encoding::Module, .. } | Payload::End(_) => {}
            Payload::TypeSection(types) => {
                within(u64::from(types.count()), u64::from(MAX_TYPES))?;
                for kind in types.into_iter_err_on_gc_types() {
                    values(&kind.map_err(invalid)?)?;
                }
            }
            Payload::ImportSection(imports) => {
                within(u64::from(imports.count()), 1)?;
                for import in imports {
                    let import = import.map_err(invalid)?;
                    let known = (import.module, import.name) == (abi::IMPORT_MODULE, abi::IMPORT_CALL)
                        && matches!(import.ty, TypeRef::Func(_));
                    hold(known)?;
                }
            }
            Payload::FunctionSection(functions) => {
                within(u64::from(functions.count()), u64::from(MAX_FUNCTIONS))?;
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
            Payload::CodeSectionEntry(body) => function(&body)?,
            // Names and producers, which compilers add.
            Payload::CustomSection(_) => {}
            // A start function would run before the first call; the rest are proposals that are off.
            _ => return Err(Error::ModuleInvalid),
        }
        within(u64::from(segments), u64::from(MAX_SEGMENTS))?;
    }
    hold(memories == 1)
}

fn function(body: &wasmparser::FunctionBody<'_>) -> Result<(), Error> {
    let mut locals = 0;
    for group in body.get_locals_reader().map_err(invalid)? {
        locals += u64::from(group.map_err(invalid)?.0);
        within(locals, MAX_LOCALS)?;
    }
    let mut nesting = 0_u32;
    for operator in body.get_operators_reader().map_err(invalid)? {
        match operator.map_err(invalid)? {
            Operator::Block { .. } | Operator::Loop { .. } | Operator::If { .. } => {
                nesting += 1;
                within(u64::from(nesting), u64::from(MAX_NESTING))?;
            }
            Operator::End => nesting = nesting.saturating_sub(1),
            _ => {}
        }
    }
    Ok(())
}

fn values(kind: &FuncType) -> Result<(), Error> {
    let plain = |value: &ValType| matches!(value, ValType::I32 | ValType::I64);
    hold(kind.params().len() <= MAX_VALUES && kind.results().len() <= 1)?;
    hold(kind.params().iter().chain(kind.results()).all(plain))
}

fn within(value: u64, most: u64) -> Result<(), Error> {
    hold(value <= most)
}

fn hold(holds: bool) -> Result<(), Error> {
    if holds { Ok(()) } else { Err(Error::ModuleInvalid) }
}

fn invalid(_: wasmparser::BinaryReaderError) -> Error {
    Error::ModuleInvalid
}
