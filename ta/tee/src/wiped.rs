//! A place on the heap for what holds keys.

use alloc::boxed::Box;
use core::{
    mem::MaybeUninit,
    ops::{Deref, DerefMut},
    slice,
};
use zeroize::Zeroize;

/// A box that wipes the whole of its block before it is freed. A value that wipes its keys when dropped is not enough:
/// what a value does not use of its type, such as the rest of a shorter variant or of a vector's room, holds whatever
/// lay on the stack where the value was made, and keys lay there.
pub struct Wiped<T>(Box<MaybeUninit<T>>);

impl<T> Wiped<T> {
    /// Puts a value on the heap.
    #[must_use]
    pub fn new(value: T) -> Self {
        Self(Box::new(MaybeUninit::new(value)))
    }
}

impl<T> Deref for Wiped<T> {
    type Target = T;

    fn deref(&self) -> &T {
        // SAFETY: `new` is the one place that makes the box, with a value; only `drop` takes it.
        unsafe { self.0.assume_init_ref() }
    }
}

impl<T> DerefMut for Wiped<T> {
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: as for `deref`.
        unsafe { self.0.assume_init_mut() }
    }
}

impl<T> Drop for Wiped<T> {
    fn drop(&mut self) {
        // SAFETY: as for `deref`; nothing looks at the value after this.
        unsafe { self.0.assume_init_drop() };
        slice::from_mut(&mut *self.0).zeroize();
    }
}

/// Drops what is in a place, where it lies, if `ends` says so. Taken out of the place, a value that wipes itself would wipe
/// the copy that was taken, and leave the one in the place.
pub fn drop_if<V>(place: &mut Option<V>, ends: impl FnOnce(&V) -> bool) {
    if place.as_ref().is_some_and(ends) {
        *place = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::rc::Rc;

    #[test]
    fn it_holds_a_value_and_drops_it_once() {
        let counted = Rc::new(());
        let mut wiped = Wiped::new((7, Rc::clone(&counted)));
        let (number, _) = &mut *wiped;
        *number += 1;
        let (number, _) = &*wiped;
        assert_eq!((*number, Rc::strong_count(&counted)), (8, 2));
        drop(wiped);
        assert_eq!(Rc::strong_count(&counted), 1);
    }
}
