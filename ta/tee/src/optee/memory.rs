//! Memory taken from the TEE at run time: System PTA's MAP_ZI, through libutee.

use core::{ffi::c_void, ptr::NonNull};
use tapvault_proto::Error;

/// Size of a page; MAP_ZI gives whole ones.
const PAGE: usize = 4096;
/// `TEE_MEMORY_ACCESS_ANY_OWNER`: may be handed to another trusted app as it is, without a copy.
const ANY_OWNER: u32 = 4;

unsafe extern "C" {
    // tee_internal_api_extensions.h
    fn tee_map_zi(len: usize, flags: u32) -> *mut c_void;
    fn tee_unmap(buf: *mut c_void, len: usize) -> u32;
}

/// Zeroed pages, given back when dropped.
pub struct Region {
    start: NonNull<u8>,
    len: usize,
}

impl Region {
    /// Takes `len` bytes, rounded up to pages; `shareable` with other trusted apps.
    ///
    /// # Errors
    /// [`Error::OutOfMemory`].
    pub fn map(len: usize, shareable: bool) -> Result<Self, Error> {
        let len = len.checked_next_multiple_of(PAGE).ok_or(Error::OutOfMemory)?;
        // SAFETY: no memory of ours is passed; what comes back is null or `len` bytes that are ours alone.
        let start = unsafe { tee_map_zi(len, if shareable { ANY_OWNER } else { 0 }) };
        NonNull::new(start.cast()).map(|start| Self { start, len }).ok_or(Error::OutOfMemory)
    }

    /// The first byte.
    #[cfg(feature = "arena")]
    pub fn start(&self) -> NonNull<u8> {
        self.start
    }

    /// Length in bytes.
    #[cfg(feature = "arena")]
    pub fn len(&self) -> usize {
        self.len
    }

    /// All of it.
    pub fn bytes(&mut self) -> &mut [u8] {
        // SAFETY: `len` initialised bytes that nobody else points to; they live as long as `self`.
        unsafe { core::slice::from_raw_parts_mut(self.start.as_ptr(), self.len) }
    }
}

impl Drop for Region {
    fn drop(&mut self) {
        // SAFETY: mapped in `map` with this length, and unmapped once.
        unsafe { tee_unmap(self.start.as_ptr().cast(), self.len) };
    }
}
