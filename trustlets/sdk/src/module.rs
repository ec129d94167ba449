//! Where a module meets its TVM: one import, three exports, the only `unsafe` of a trustlet.
//! All of it exists for wasm32 only.
#![allow(unsafe_code)]

use crate::{
    Error, Trustlet, World,
    dispatch::dispatch,
    proto::{service::Service, trustlet::abi::BUFFER_LEN},
};
use core::cell::{RefCell, UnsafeCell};

/// What the module keeps between calls: the buffer that it shares with the TVM, and the trustlet.
pub struct Module<T> {
    buffer: UnsafeCell<[u8; BUFFER_LEN]>,
    trustlet: RefCell<Option<T>>,
}

// SAFETY: a module has one thread: it imports no shared memory, and the interface gives it no other way to
// another one (`abi`). There is no `Module` on any other target.
unsafe impl<T> Sync for Module<T> {}

impl<T: Trustlet> Module<T> {
    /// A module that nobody has called yet.
    #[must_use]
    #[allow(clippy::new_without_default)]
    pub const fn new() -> Self {
        Self { buffer: UnsafeCell::new([0; BUFFER_LEN]), trustlet: RefCell::new(None) }
    }

    /// The export `trustlet_buffer`.
    pub fn buffer(&self) -> *mut u8 {
        self.buffer.get().cast()
    }

    /// The export `trustlet_handle`.
    pub fn handle(&self, len: i32, world: &mut impl World) -> i32 {
        // Entered again from within a call, which no TVM does: refused, and the borrow below stays single.
        let Ok(mut trustlet) = self.trustlet.try_borrow_mut() else { return Error::Busy.code() as i32 };
        // SAFETY: the one borrow of the buffer, since `trustlet` is held as long; between calls the TVM
        // writes to it through the address, and not while the module runs.
        let buffer = unsafe { &mut *self.buffer.get() };
        dispatch(trustlet.get_or_insert_with(T::new), buffer, len, world)
    }
}

/// The world behind the import.
pub struct Tvm;

impl World for Tvm {
    fn exchange(
        &mut self,
        service: Service,
        method: u32,
        request: &[u8],
        reply: &mut [u8],
    ) -> Result<usize, Error> {
        #[link(wasm_import_module = "teei")]
        unsafe extern "C" {
            fn call(
                service: i32,
                method: i32,
                request: *const u8,
                request_len: i32,
                reply: *mut u8,
                reply_len: i32,
            ) -> i32;
        }
        // SAFETY: addresses and lengths are those of two live slices, the second one exclusive; the TVM
        // reads and writes within these bounds (`abi`) and keeps neither address.
        let returned = unsafe {
            call(
                service as i32,
                method as i32,
                request.as_ptr(),
                request.len() as i32,
                reply.as_mut_ptr(),
                reply.len() as i32,
            )
        };
        usize::try_from(returned).map_err(|_| Error::from_code(returned as u32).unwrap_or(Error::Internal))
    }
}

/// A panic traps: the TVM ends the guest.
#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    core::arch::wasm32::unreachable()
}
