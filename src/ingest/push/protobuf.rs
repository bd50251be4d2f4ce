//! The wire format of protocol buffers, read in place: nothing is copied that is not kept.
//!
//! <https://protobuf.dev/programming-guides/encoding/>

/// Bytes that are no message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("it is not protobuf: {0}")]
pub struct WireError(pub &'static str);

/// One field's content.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Wire<'a> {
    /// A number of variable length.
    Varint(u64),
    /// Eight bytes.
    Fixed64(u64),
    /// Four bytes.
    Fixed32(u32),
    /// A string, bytes, a message, or packed numbers.
    Bytes(&'a [u8]),
}

impl<'a> Wire<'a> {
    /// As bytes.
    pub fn bytes(self) -> Result<&'a [u8], WireError> {
        match self {
            Self::Bytes(bytes) => Ok(bytes),
            _ => Err(WireError("a field with a length is due")),
        }
    }

    /// As text.
    pub fn text(self) -> Result<&'a str, WireError> {
        std::str::from_utf8(self.bytes()?).map_err(|_| WireError("a string is not UTF-8"))
    }

    /// As a double.
    pub fn double(self) -> Result<f64, WireError> {
        match self {
            Self::Fixed64(bits) => Ok(f64::from_bits(bits)),
            _ => Err(WireError("a double is due")),
        }
    }

    /// As a whole number, whichever way it was written.
    pub fn int(self) -> Result<i64, WireError> {
        match self {
            Self::Varint(value) | Self::Fixed64(value) => Ok(value.cast_signed()),
            Self::Fixed32(value) => Ok(i64::from(value)),
            Self::Bytes(_) => Err(WireError("a number is due")),
        }
    }
}

/// The fields of a message, in order.
#[derive(Clone)]
pub struct Fields<'a> {
    rest: &'a [u8],
}

impl<'a> Fields<'a> {
    /// Of these bytes.
    pub const fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    /// What is left to read.
    pub const fn rest(&self) -> &'a [u8] {
        self.rest
    }

    fn take(&mut self, length: usize) -> Result<&'a [u8], WireError> {
        let (taken, rest) = self
            .rest
            .split_at_checked(length)
            .ok_or(WireError("it ends within a field"))?;
        self.rest = rest;
        Ok(taken)
    }

    /// The next varint of packed numbers.
    pub fn varint(&mut self) -> Result<u64, WireError> {
        // Most are of one byte.
        if let [first @ 0..=0x7f, rest @ ..] = self.rest {
            self.rest = rest;
            return Ok(u64::from(*first));
        }
        let mut value = 0_u64;
        for (place, byte) in self.rest.iter().take(10).enumerate() {
            value |= u64::from(byte & 0x7f).wrapping_shl(7 * place as u32);
            if byte & 0x80 == 0 {
                self.rest = self.rest.get(place + 1..).unwrap_or_default();
                return Ok(value);
            }
        }
        Err(WireError("a varint without its end"))
    }

    /// True at the end.
    pub const fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// The next field: its number and content.
    pub fn next(&mut self) -> Result<Option<(u64, Wire<'a>)>, WireError> {
        if self.rest.is_empty() {
            return Ok(None);
        }
        let key = self.varint()?;
        let wire = match key & 7 {
            0 => Wire::Varint(self.varint()?),
            1 => Wire::Fixed64(u64::from_le_bytes(self.take(8)?.try_into().unwrap_or_default())),
            2 => {
                let length = usize::try_from(self.varint()?).map_err(|_| WireError("a length beyond all memory"))?;
                Wire::Bytes(self.take(length)?)
            }
            5 => Wire::Fixed32(u32::from_le_bytes(self.take(4)?.try_into().unwrap_or_default())),
            _ => return Err(WireError("a field of a kind that is no longer in use")),
        };
        match key >> 3 {
            0 => Err(WireError("a field without a number")),
            number => Ok(Some((number, wire))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_read_and_what_ends_too_early_is_refused() {
        let mut fields = Fields::new(b"\x08\x96\x01\x12\x03abc\x19\0\0\0\0\0\0\xf0\x3f");
        assert_eq!(fields.next(), Ok(Some((1, Wire::Varint(150)))));
        assert_eq!(fields.next().unwrap().unwrap().1.text(), Ok("abc"));
        assert_eq!(fields.next().unwrap().unwrap().1.double(), Ok(1.0));
        assert_eq!(fields.next(), Ok(None));
        for bad in [
            &b"\x12\x05abc"[..],
            b"\x08",
            b"\x00\x00",
            b"\x0b",
            b"\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff",
        ] {
            assert!(Fields::new(bad).next().is_err(), "{bad:?}");
        }
    }
}
