//! What one function may look like.
//!
//! A translation keeps a few numbers for every value on the operand stack, every branch and every target, and
//! grows their lists by doubling: a stack that only rises costs forty-eight bytes for every byte of the
//! module, a `br_table` sixty-three. Here are bounds for both, and for how much is translated at once.

use super::check::{MAX_BODY, hold, invalid, within};
use alloc::vec::Vec;
use tapvault_proto::Error;
use wasmparser::{BlockType, FunctionBody, Operator};

/// Locals of one function, its parameters left out.
const MAX_LOCALS: u64 = 256;
/// Nesting of blocks in one function.
const MAX_NESTING: usize = 64;
/// Values on the operand stack.
const MAX_HEIGHT: usize = 128;
/// Targets of all `br_table`s in one function.
const MAX_TARGETS: u32 = 512;

/// How many values functions take and leave.
#[derive(Default)]
pub struct Arities {
    /// By type.
    pub types: Vec<(u8, u8)>,
    /// The type of each function, the import first.
    pub functions: Vec<u32>,
}

impl Arities {
    fn of_type(&self, index: u32) -> Result<(usize, usize), Error> {
        let (takes, leaves) = self.types.get(index as usize).ok_or(Error::ModuleInvalid)?;
        Ok((usize::from(*takes), usize::from(*leaves)))
    }

    fn of_function(&self, index: u32) -> Result<(usize, usize), Error> {
        self.of_type(*self.functions.get(index as usize).ok_or(Error::ModuleInvalid)?)
    }
}

/// Checks a function of a module, whose bytes are `module`.
///
/// # Errors
/// [`Error::ModuleInvalid`].
pub fn check(body: &FunctionBody<'_>, module: &[u8], arities: &Arities) -> Result<(), Error> {
    hold(body.range().len() <= MAX_BODY)?;
    let mut locals = 0;
    for group in body.get_locals_reader().map_err(invalid)? {
        locals += u64::from(group.map_err(invalid)?.0);
        within(locals, MAX_LOCALS)?;
    }
    let mut operators = body.get_operators_reader().map_err(invalid)?;
    let (mut stack, mut targets) = (Stack::default(), 0_u32);
    while !operators.eof() {
        let (operator, at) = operators.read_with_offset().map_err(invalid)?;
        match operator {
            Operator::Block { blockty } | Operator::Loop { blockty } => stack.open(blockty)?,
            Operator::If { blockty } => {
                stack.change((1, 0))?;
                stack.open(blockty)?;
            }
            Operator::Else => stack.drop_block(),
            Operator::End => stack.close()?,
            Operator::Br { .. } | Operator::Return | Operator::Unreachable => stack.drop_block(),
            Operator::BrIf { .. } => stack.change((1, 0))?,
            Operator::BrTable { targets: more } => {
                targets = targets.saturating_add(more.len());
                hold(targets <= MAX_TARGETS)?;
                stack.drop_block();
            }
            Operator::Call { function_index } => stack.change(arities.of_function(function_index)?)?,
            Operator::CallIndirect { type_index, .. } => {
                stack.change((1, 0))?;
                stack.change(arities.of_type(type_index)?)?;
            }
            _ => {
                let opcode = module.get(at).copied().ok_or(Error::ModuleInvalid)?;
                stack.change(arity(opcode).ok_or(Error::ModuleInvalid)?)?;
            }
        }
    }
    Ok(())
}

/// How high the operand stack is, for a function that is valid; wasmi finds out about the others.
#[derive(Default)]
struct Stack {
    height: usize,
    /// The height below each open block, and how many values the block leaves.
    blocks: heapless::Vec<(usize, usize), MAX_NESTING>,
}

impl Stack {
    fn change(&mut self, (takes, leaves): (usize, usize)) -> Result<(), Error> {
        // Where no code is reached values may be taken that are not there.
        self.height = self.height.saturating_sub(takes).max(self.floor()) + leaves;
        hold(self.height <= MAX_HEIGHT)
    }

    fn open(&mut self, kind: BlockType) -> Result<(), Error> {
        let leaves = match kind {
            BlockType::Empty => 0,
            BlockType::Type(_) => 1,
            BlockType::FuncType(_) => return Err(Error::ModuleInvalid),
        };
        self.blocks.push((self.height, leaves)).map_err(|_| Error::ModuleInvalid)
    }

    fn close(&mut self) -> Result<(), Error> {
        // The function's own end closes no block.
        let (below, leaves) = self.blocks.pop().unwrap_or_default();
        self.height = below;
        self.change((0, leaves))
    }

    /// What is left of the block begins with nothing.
    fn drop_block(&mut self) {
        self.height = self.floor();
    }

    fn floor(&self) -> usize {
        self.blocks.last().map_or(0, |(below, _)| *below)
    }
}

/// How many values an operator takes and leaves, by its opcode (WebAssembly 1.0, index of instructions);
/// `None` for floating point and for everything since but sign extension.
const fn arity(opcode: u8) -> Option<(usize, usize)> {
    Some(match opcode {
        // nop
        0x01 => (0, 0),
        // drop, local.set, global.set
        0x1A | 0x21 | 0x24 => (1, 0),
        // select
        0x1B => (3, 1),
        // local.get, global.get, memory.size, i32.const, i64.const
        0x20 | 0x23 | 0x3F | 0x41 | 0x42 => (0, 1),
        // local.tee, loads, memory.grow
        0x22 | 0x28 | 0x29 | 0x2C..=0x35 | 0x40 => (1, 1),
        // stores
        0x36 | 0x37 | 0x3A..=0x3E => (2, 0),
        // eqz; clz, ctz, popcnt; wrap and extend; sign extension
        0x45 | 0x50 | 0x67..=0x69 | 0x79..=0x7B | 0xA7 | 0xAC | 0xAD | 0xC0..=0xC4 => (1, 1),
        // comparisons; arithmetic
        0x46..=0x4F | 0x51..=0x5A | 0x6A..=0x78 | 0x7C..=0x8A => (2, 1),
        _ => return None,
    })
}
