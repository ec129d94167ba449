//! A guest's heap as a TVM gives it (`ta/tee/src/optee/arena.rs`): every block has a header in front,
//! and growing takes the new block before the old one is given back.

#![allow(unsafe_code, reason = "a global allocator is made of it")]

use linked_list_allocator::Heap;
use std::{
    alloc::{GlobalAlloc, Layout, System},
    cell::{Cell, RefCell},
    ptr::{NonNull, null_mut},
};

/// In front of a block.
const HEADER: usize = 2 * size_of::<usize>();

/// Heap taken by [`measure`], without the linear memory.
#[derive(Clone, Copy, Debug, Default)]
pub struct Cost {
    /// Held now.
    pub held: usize,
    /// Held at most so far.
    pub peak: usize,
}

thread_local! {
    static COST: Cell<Option<Cost>> = const { Cell::new(None) };
    static LINEAR: Cell<usize> = const { Cell::new(usize::MAX) };
    static ARENA: RefCell<Option<Arena>> = const { RefCell::new(None) };
    /// The first request that the arena had no room for.
    static REFUSED: Cell<usize> = const { Cell::new(0) };
}

/// Counts what `act` takes off the heap. A block of `linear` bytes is the linear memory and is left out.
pub fn measure<R>(linear: usize, act: impl FnOnce() -> R) -> (R, Cost) {
    LINEAR.set(linear);
    COST.set(Some(Cost::default()));
    let result = act();
    let cost = COST.take().unwrap_or_default();
    LINEAR.set(usize::MAX);
    (result, cost)
}

/// Runs `act` in a heap of `len` bytes; `Err` with the size of the first block it had no room for. As in
/// a trusted app a failed allocation ends everything, so here it comes from the system and is only noted.
pub fn within<R>(len: usize, act: impl FnOnce() -> R) -> Result<R, usize> {
    let arena = Arena::new(len);
    REFUSED.set(0);
    ARENA.with_borrow_mut(|slot| *slot = Some(arena));
    let result = act();
    let arena = ARENA.with_borrow_mut(Option::take);
    // What `act` gives back must not lie in the arena.
    drop(arena);
    if REFUSED.get() == 0 { Ok(result) } else { Err(REFUSED.get()) }
}

struct Arena {
    start: *mut u8,
    layout: Layout,
    heap: Heap,
}

impl Arena {
    fn new(len: usize) -> Self {
        let layout = Layout::from_size_align(len, 4096).unwrap();
        // SAFETY: the layout is not empty; the heap is the only user of the block until the arena drops.
        unsafe {
            let start = System.alloc(layout);
            assert!(!start.is_null());
            let mut heap = Heap::empty();
            heap.init(start, len);
            Self { start, layout, heap }
        }
    }

    fn holds(&self, block: *mut u8) -> bool {
        (self.start as usize..self.start as usize + self.layout.size()).contains(&(block as usize))
    }
}

impl Drop for Arena {
    fn drop(&mut self) {
        // SAFETY: `new` took the block with this layout.
        unsafe { System.dealloc(self.start, self.layout) };
    }
}

/// What [`measure`] counts and [`within`] confines.
pub struct Allocator;

#[global_allocator]
static ALLOCATOR: Allocator = Allocator;

/// The layout that `ta/tee/src/optee/arena.rs` asks the heap for.
fn with_header(layout: Layout) -> Layout {
    let front = HEADER.max(layout.align());
    Layout::from_size_align(layout.size() + front, front).unwrap_or(layout)
}

fn count(layout: Layout, taken: bool) {
    let bytes = with_header(layout).pad_to_align().size();
    if layout.size() == LINEAR.get() {
        return;
    }
    if let Some(Cost { held, peak }) = COST.get() {
        let held = if taken { held + bytes } else { held.saturating_sub(bytes) };
        COST.set(Some(Cost { held, peak: peak.max(held) }));
    }
}

// SAFETY: every block comes from `System` or from an arena's heap, with one layout for both directions, and
// goes back to where its address says it came from.
unsafe impl GlobalAlloc for Allocator {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout, true);
        let whole = with_header(layout);
        let inside = ARENA.try_with(|arena| {
            let mut arena = arena.try_borrow_mut().ok()?;
            let block = arena.as_mut()?.heap.allocate_first_fit(whole).ok();
            if block.is_none() && REFUSED.get() == 0 {
                REFUSED.set(layout.size());
            }
            block
        });
        match inside {
            // SAFETY: the block is longer than `align` bytes, which keep the rest aligned.
            Ok(Some(block)) => unsafe { block.as_ptr().add(whole.align()) },
            // SAFETY: the caller's promise, passed on.
            _ => unsafe { System.alloc(layout) },
        }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        count(layout, false);
        let whole = with_header(layout);
        let inside = ARENA.try_with(|arena| {
            let Ok(mut arena) = arena.try_borrow_mut() else { return false };
            let Some(arena) = arena.as_mut().filter(|arena| arena.holds(block)) else { return false };
            // SAFETY: `alloc` made it of the same layout, `align` bytes before `block`.
            unsafe {
                if let Some(start) = NonNull::new(block.sub(whole.align())) {
                    arena.heap.deallocate(start, whole);
                }
            }
            true
        });
        if inside != Ok(true) {
            // SAFETY: the caller's promise, passed on.
            unsafe { System.dealloc(block, layout) };
        }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, len: usize) -> *mut u8 {
        let Ok(new) = Layout::from_size_align(len, layout.align()) else { return null_mut() };
        // SAFETY: the caller's promise, passed on; both blocks hold the bytes that are copied.
        unsafe {
            let moved = self.alloc(new);
            if !moved.is_null() {
                moved.copy_from_nonoverlapping(block, layout.size().min(len));
                self.dealloc(block, layout);
            }
            moved
        }
    }
}
