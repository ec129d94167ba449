//! The binary codec: big-endian integers, `u16`-length-prefixed byte strings, no padding.

use crate::Error;
use heapless::Vec;

/// An owned byte string of at most `N` bytes; two length bytes and the bytes on the wire.
pub type Bytes<const N: usize> = Vec<u8, N>;

/// A value that crosses the boundary.
pub trait Wire: Sized {
    /// The longest encoding in bytes.
    const MAX: usize;

    /// Appends the encoding.
    ///
    /// # Errors
    /// [`Error::ShortBuffer`] when the output has no room left.
    fn encode(&self, out: &mut Writer<'_>) -> Result<(), Error>;

    /// Takes the value off the front of `input`.
    ///
    /// # Errors
    /// [`Error::BadParameters`] for anything that [`Wire::encode`] cannot have produced.
    fn decode(input: &mut Reader<'_>) -> Result<Self, Error>;
}

/// Decodes `bytes` in full; a trailing byte is an error.
///
/// # Errors
/// [`Error::BadParameters`] for malformed, over-long or trailing input.
pub fn decode_exact<T: Wire>(bytes: &[u8]) -> Result<T, Error> {
    if bytes.len() > T::MAX {
        return Err(Error::BadParameters);
    }
    let mut reader = Reader::new(bytes);
    let value = T::decode(&mut reader)?;
    reader.finish()?;
    Ok(value)
}

/// Encodes `value` to the front of `out` and returns the length in bytes.
///
/// # Errors
/// [`Error::ShortBuffer`] when `out` is too short.
pub fn encode_into<T: Wire>(value: &T, out: &mut [u8]) -> Result<usize, Error> {
    let mut writer = Writer::new(out);
    value.encode(&mut writer)?;
    Ok(writer.len())
}

/// A bounded cursor over received bytes.
pub struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    /// Starts at the front of `bytes`.
    #[must_use]
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    /// Takes the next `n` bytes.
    ///
    /// # Errors
    /// [`Error::BadParameters`] when fewer are left.
    pub fn take(&mut self, n: usize) -> Result<&'a [u8], Error> {
        let (head, tail) = self.rest.split_at_checked(n).ok_or(Error::BadParameters)?;
        self.rest = tail;
        Ok(head)
    }

    /// Takes the next `N` bytes as an array.
    ///
    /// # Errors
    /// [`Error::BadParameters`] when fewer are left.
    pub fn array<const N: usize>(&mut self) -> Result<[u8; N], Error> {
        self.take(N)?.try_into().map_err(|_| Error::BadParameters)
    }

    /// What is left.
    #[must_use]
    pub fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// Ends the decoding.
    ///
    /// # Errors
    /// [`Error::BadParameters`] when bytes are left over.
    pub fn finish(self) -> Result<(), Error> {
        if self.rest.is_empty() { Ok(()) } else { Err(Error::BadParameters) }
    }
}

/// A bounded cursor over an output buffer.
pub struct Writer<'a> {
    out: &'a mut [u8],
    at: usize,
}

impl<'a> Writer<'a> {
    /// Starts at the front of `out`.
    #[must_use]
    pub fn new(out: &'a mut [u8]) -> Self {
        Self { out, at: 0 }
    }

    /// Appends `bytes` as they are.
    ///
    /// # Errors
    /// [`Error::ShortBuffer`] when they do not fit.
    pub fn put(&mut self, bytes: &[u8]) -> Result<(), Error> {
        let end = self.at.checked_add(bytes.len()).ok_or(Error::ShortBuffer)?;
        self.out.get_mut(self.at..end).ok_or(Error::ShortBuffer)?.copy_from_slice(bytes);
        self.at = end;
        Ok(())
    }

    /// Bytes written so far.
    #[must_use]
    pub fn len(&self) -> usize {
        self.at
    }

    /// Whether nothing has been written.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.at == 0
    }
}

macro_rules! wire_integer {
    ($($int:ty),*) => {$(
        impl Wire for $int {
            const MAX: usize = size_of::<$int>();
            fn encode(&self, out: &mut Writer<'_>) -> Result<(), Error> {
                out.put(&self.to_be_bytes())
            }
            fn decode(input: &mut Reader<'_>) -> Result<Self, Error> {
                Ok(Self::from_be_bytes(input.array()?))
            }
        }
    )*};
}
wire_integer!(u8, u16, u32, u64);

impl Wire for bool {
    const MAX: usize = 1;
    fn encode(&self, out: &mut Writer<'_>) -> Result<(), Error> {
        u8::from(*self).encode(out)
    }
    fn decode(input: &mut Reader<'_>) -> Result<Self, Error> {
        match u8::decode(input)? {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(Error::BadParameters),
        }
    }
}

impl<const N: usize> Wire for [u8; N] {
    const MAX: usize = N;
    fn encode(&self, out: &mut Writer<'_>) -> Result<(), Error> {
        out.put(self)
    }
    fn decode(input: &mut Reader<'_>) -> Result<Self, Error> {
        input.array()
    }
}

impl<T: Wire, const N: usize> Wire for Vec<T, N> {
    const MAX: usize = 2 + N * T::MAX;
    fn encode(&self, out: &mut Writer<'_>) -> Result<(), Error> {
        u16::try_from(self.len()).map_err(|_| Error::ShortBuffer)?.encode(out)?;
        self.iter().try_for_each(|item| item.encode(out))
    }
    fn decode(input: &mut Reader<'_>) -> Result<Self, Error> {
        let count = u16::decode(input)?;
        let mut items = Vec::new();
        for _ in 0..count {
            items.push(T::decode(input)?).map_err(|_| Error::BadParameters)?;
        }
        Ok(items)
    }
}

impl<T: Wire> Wire for Option<T> {
    const MAX: usize = 1 + T::MAX;
    fn encode(&self, out: &mut Writer<'_>) -> Result<(), Error> {
        self.is_some().encode(out)?;
        self.as_ref().map_or(Ok(()), |value| value.encode(out))
    }
    fn decode(input: &mut Reader<'_>) -> Result<Self, Error> {
        if bool::decode(input)? { T::decode(input).map(Some) } else { Ok(None) }
    }
}

/// Declares a message: a struct whose fields go over the wire in the order written.
#[macro_export]
macro_rules! message {
    ($(#[$meta:meta])* $name:ident { $($(#[$fmeta:meta])* $field:ident: $type:ty),* $(,)? }) => {
        $(#[$meta])*
        pub struct $name { $($(#[$fmeta])* pub $field: $type),* }

        impl $crate::wire::Wire for $name {
            const MAX: usize = 0 $(+ <$type as $crate::wire::Wire>::MAX)*;
            fn encode(&self, _out: &mut $crate::wire::Writer<'_>) -> Result<(), $crate::Error> {
                $(self.$field.encode(_out)?;)*
                Ok(())
            }
            fn decode(_input: &mut $crate::wire::Reader<'_>) -> Result<Self, $crate::Error> {
                Ok(Self { $($field: <$type as $crate::wire::Wire>::decode(_input)?),* })
            }
        }
    };
}

/// Declares a one-byte enumeration; a value that is not listed is refused.
#[macro_export]
macro_rules! code {
    ($(#[$meta:meta])* $name:ident { $($(#[$vmeta:meta])* $variant:ident = $value:literal),* $(,)? }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[repr(u8)]
        pub enum $name { $($(#[$vmeta])* $variant = $value),* }

        impl $crate::wire::Wire for $name {
            const MAX: usize = 1;
            fn encode(&self, out: &mut $crate::wire::Writer<'_>) -> Result<(), $crate::Error> {
                (*self as u8).encode(out)
            }
            fn decode(input: &mut $crate::wire::Reader<'_>) -> Result<Self, $crate::Error> {
                match u8::decode(input)? {
                    $($value => Ok(Self::$variant),)*
                    _ => Err($crate::Error::BadParameters),
                }
            }
        }
    };
}
