//! A heap of its own for every guest, so that a guest cannot use up its neighbours' memory, and all of it
//! goes back to the TEE when the guest ends.
//!
//! `optee-utee` sets the global allocator: libutils' `memalign` and `free`. A TVM is linked with
//! `--wrap` for both (`ta/build`), which brings every allocation of Rust code here. While
//! [`Arena::within`] runs, blocks come out of the arena and from nowhere else; a block is given back to
//! where it lies.

use super::memory::Region;
use core::{
    alloc::Layout,
    cell::UnsafeCell,
    ffi::c_void,
    ptr::{NonNull, null_mut},
};
use linked_list_allocator::Heap;
use tapvault_proto::Error;

/// Most guests at once in one TVM.
const ARENAS: usize = 8;
/// In front of a block: its whole length, and how far it begins in front of what was asked for.
const HEADER: usize = 2 * size_of::<usize>();

unsafe extern "C" {
    fn __real_memalign(align: usize, size: usize) -> *mut c_void;
    fn __real_free(block: *mut c_void);
}

struct Slot {
    region: Region,
    heap: Heap,
}

struct Table {
    slots: [Option<Slot>; ARENAS],
    current: Option<usize>,
}

struct Arenas(UnsafeCell<Table>);

// SAFETY: OP-TEE lets one thread at a time into a trusted app's instance (`busy` in
// core/kernel/tee_ta_manager.c), and no function here calls another that borrows the table.
unsafe impl Sync for Arenas {}

static TABLE: Arenas = Arenas(UnsafeCell::new(Table { slots: [const { None }; ARENAS], current: None }));

fn table<R>(act: impl FnOnce(&mut Table) -> R) -> R {
    // SAFETY: see `Sync` above; the reference does not leave `act`, which allocates nothing.
    act(unsafe { &mut *TABLE.0.get() })
}

/// One guest's memory.
pub struct Arena {
    index: usize,
}

impl Arena {
    /// Takes memory of `len` bytes.
    ///
    /// # Errors
    /// [`Error::OutOfMemory`].
    pub fn map(len: usize) -> Result<Self, Error> {
        let region = Region::map(len, false)?;
        let mut heap = Heap::empty();
        // SAFETY: the region is this heap's alone until the slot is dropped, region last.
        unsafe { heap.init(region.start().as_ptr(), region.len()) };
        table(|table| {
            let free = table.slots.iter().position(Option::is_none).ok_or(Error::OutOfMemory)?;
            *table.slots.get_mut(free).ok_or(Error::OutOfMemory)? = Some(Slot { region, heap });
            Ok(Self { index: free })
        })
    }

    /// Runs `act` with its allocations in this arena.
    pub fn within<R>(&mut self, act: impl FnOnce() -> R) -> R {
        let before = table(|table| table.current.replace(self.index));
        let result = act();
        table(|table| table.current = before);
        result
    }
}

impl Drop for Arena {
    fn drop(&mut self) {
        let slot = table(|table| table.slots.get_mut(self.index).and_then(Option::take));
        drop(slot);
    }
}

/// Every allocation of Rust code in a TVM.
///
/// # Safety
/// As C's `memalign`: `align` is a power of two.
#[unsafe(no_mangle)]
unsafe extern "C" fn __wrap_memalign(align: usize, size: usize) -> *mut c_void {
    let inside = table(|table| {
        let slot = table.slots.get_mut(table.current?)?.as_mut()?;
        Some(take(&mut slot.heap, align, size).unwrap_or(null_mut()))
    });
    match inside {
        Some(block) => block.cast(),
        // SAFETY: the caller's promise, passed on.
        None => unsafe { __real_memalign(align, size) },
    }
}

/// Every release, of C code as well.
///
/// # Safety
/// As C's `free`: `block` is null or came from `memalign`, and is released once.
#[unsafe(no_mangle)]
unsafe extern "C" fn __wrap_free(block: *mut c_void) {
    let inside = table(|table| {
        let Some(block) = NonNull::new(block.cast::<u8>()) else { return false };
        let mut slots = table.slots.iter_mut().flatten();
        match slots.find(|slot| holds(&slot.region, block)) {
            Some(slot) => {
                // SAFETY: the block lies in this arena, so `take` made it.
                unsafe { give_back(&mut slot.heap, block) };
                true
            }
            None => false,
        }
    });
    if !inside {
        // SAFETY: the caller's promise, passed on.
        unsafe { __real_free(block) };
    }
}

fn holds(region: &Region, block: NonNull<u8>) -> bool {
    let start = region.start().as_ptr() as usize;
    (start..start + region.len()).contains(&(block.as_ptr() as usize))
}

fn take(heap: &mut Heap, align: usize, size: usize) -> Option<*mut u8> {
    let front = HEADER.max(align);
    let whole = size.checked_add(front)?;
    let layout = Layout::from_size_align(whole, front).ok()?;
    let start = heap.allocate_first_fit(layout).ok()?;
    // SAFETY: `front` bytes of the block lie before `block`, of which the header takes the last ones; it
    // is aligned, since `front` is a multiple of a word.
    unsafe {
        let block = start.as_ptr().add(front);
        block.sub(HEADER).cast::<[usize; 2]>().write([whole, front]);
        Some(block)
    }
}

/// # Safety
/// `block` came from [`take`] of this heap and was not given back.
unsafe fn give_back(heap: &mut Heap, block: NonNull<u8>) {
    // SAFETY: the caller's promise; `take` wrote the header and made the layout of the same numbers.
    unsafe {
        let [whole, front] = block.as_ptr().sub(HEADER).cast::<[usize; 2]>().read();
        let layout = Layout::from_size_align_unchecked(whole, front);
        heap.deallocate(block.sub(front), layout);
    }
}
