//! The wire format of Protocol Buffers, as far as ONNX uses it.
//!
//! Not here: what fields mean (see `file`).
//!
//! Invariant: a reader never leaves its message, and each field read moves it on.

use crate::OnnxError;

/// A field's value.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Value<'a> {
    Number(u64),
    Bytes(&'a [u8]),
    Four([u8; 4]),
    Eight([u8; 8]),
}

impl<'a> Value<'a> {
    pub(crate) fn number(self) -> Result<u64, OnnxError> {
        match self {
            Self::Number(number) => Ok(number),
            _ => Err(OnnxError::Wire("a field has another type than a number")),
        }
    }

    pub(crate) fn bytes(self) -> Result<&'a [u8], OnnxError> {
        match self {
            Self::Bytes(bytes) => Ok(bytes),
            _ => Err(OnnxError::Wire("a field has another type than bytes")),
        }
    }

    pub(crate) fn text(self) -> Result<String, OnnxError> {
        let text = std::str::from_utf8(self.bytes()?);
        text.map(str::to_owned).map_err(|_| OnnxError::Wire("a name is no UTF-8"))
    }

    /// Numbers that may stand one by one or together.
    pub(crate) fn numbers(self, into: &mut Vec<i64>) -> Result<(), OnnxError> {
        match self {
            Self::Number(number) => into.push(number as i64),
            Self::Bytes(bytes) => {
                let mut reader = Reader { bytes };
                while !reader.bytes.is_empty() {
                    into.push(reader.varint()? as i64);
                }
            }
            _ => return Err(OnnxError::Wire("a field has another type than numbers")),
        }
        Ok(())
    }

    /// The same for floats.
    pub(crate) fn floats(self, into: &mut Vec<f32>) -> Result<(), OnnxError> {
        match self {
            Self::Four(four) => into.push(f32::from_le_bytes(four)),
            Self::Bytes(bytes) if bytes.len().is_multiple_of(4) => {
                into.extend(bytes.as_chunks().0.iter().map(|four| f32::from_le_bytes(*four)));
            }
            _ => return Err(OnnxError::Wire("a field has another type than floats")),
        }
        Ok(())
    }
}

/// What is left of a message.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Reader<'a> {
    bytes: &'a [u8],
}

impl<'a> Reader<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes }
    }

    /// The next field's number and value; none at the end.
    pub(crate) fn field(&mut self) -> Result<Option<(u64, Value<'a>)>, OnnxError> {
        if self.bytes.is_empty() {
            return Ok(None);
        }
        let tag = self.varint()?;
        let value = match tag & 7 {
            0 => Value::Number(self.varint()?),
            1 => Value::Eight(self.take_array()?),
            2 => {
                let length = usize::try_from(self.varint()?).map_err(|_| OnnxError::Wire("a length is too large"))?;
                Value::Bytes(self.take(length)?)
            }
            5 => Value::Four(self.take_array()?),
            _ => return Err(OnnxError::Wire("a field has an unknown type")),
        };
        match tag >> 3 {
            0 => Err(OnnxError::Wire("a field has the number 0")),
            number => Ok(Some((number, value))),
        }
    }

    fn take(&mut self, length: usize) -> Result<&'a [u8], OnnxError> {
        let (taken, rest) =
            self.bytes.split_at_checked(length).ok_or(OnnxError::Wire("a field reaches beyond the end"))?;
        self.bytes = rest;
        Ok(taken)
    }

    fn take_array<const N: usize>(&mut self) -> Result<[u8; N], OnnxError> {
        let (taken, rest) = self.bytes.split_first_chunk().ok_or(OnnxError::Wire("a field reaches beyond the end"))?;
        self.bytes = rest;
        Ok(*taken)
    }

    fn varint(&mut self) -> Result<u64, OnnxError> {
        let mut value = 0u64;
        for at in 0..10 {
            let (byte, rest) = self.bytes.split_first().ok_or(OnnxError::Wire("a number reaches beyond the end"))?;
            self.bytes = rest;
            value |= u64::from(byte & 0x7f) << (7 * at);
            if *byte < 0x80 {
                return Ok(value);
            }
        }
        Err(OnnxError::Wire("a number has more than ten bytes"))
    }
}
