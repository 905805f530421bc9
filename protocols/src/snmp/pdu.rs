//! Protocol data units (RFC 3416): what is asked, and what is answered.
//!
//! Not here: the message around one (see `message`), traps of version 1, which have a shape of their own.
//!
//! Invariant: a [`Pdu`] in hand has been walked to its end, so its variable bindings cannot fail.

use super::ber::{OBJECT_IDENTIFIER, Reader, SEQUENCE, Writer};
use super::oid::OidRef;
use super::value::Value;
use crate::ParseError;

/// What a unit is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PduKind {
    /// Asks for these instances.
    Get,
    /// Asks for what follows each.
    GetNext,
    /// An answer.
    Response,
    /// Asks for several rows at once; not in version 1.
    GetBulk,
    /// An event that wants an answer.
    Inform,
    /// An event that wants none; versions 2c and 3.
    Trap,
    /// Version 3 about itself: an engine's identity, its clock, or why a request was refused.
    Report,
}

impl PduKind {
    const ALL: [(u8, Self); 7] = [
        (0xa0, Self::Get),
        (0xa1, Self::GetNext),
        (0xa2, Self::Response),
        (0xa5, Self::GetBulk),
        (0xa6, Self::Inform),
        (0xa7, Self::Trap),
        (0xa8, Self::Report),
    ];

    fn tag(self) -> u8 {
        Self::ALL.iter().find(|(_, kind)| *kind == self).map_or(0xa2, |(tag, _)| *tag)
    }
}

/// Why a request failed as a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorStatus {
    /// It did not.
    None,
    /// The answer would not fit: ask for less.
    TooBig,
    /// Version 1: one of the names is unknown, or a walk is over.
    NoSuchName,
    /// The agent failed at something else.
    General,
    /// The one asking may not see it.
    NoAccess,
    /// The access was refused as a whole.
    Authorization,
    /// A code with no meaning for reading.
    Other(i32),
}

impl ErrorStatus {
    fn of(code: i32) -> Self {
        match code {
            0 => Self::None,
            1 => Self::TooBig,
            2 => Self::NoSuchName,
            5 => Self::General,
            6 => Self::NoAccess,
            16 => Self::Authorization,
            other => Self::Other(other),
        }
    }

    fn code(self) -> i32 {
        match self {
            Self::None => 0,
            Self::TooBig => 1,
            Self::NoSuchName => 2,
            Self::General => 5,
            Self::NoAccess => 6,
            Self::Authorization => 16,
            Self::Other(code) => code,
        }
    }
}

/// One name and its value.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct VarBind<'a> {
    /// The instance.
    pub name: OidRef<'a>,
    /// What it holds; NULL in a request.
    pub value: Value<'a>,
}

/// One unit.
#[derive(Debug, Clone, Copy)]
pub struct Pdu<'a> {
    /// What it is for.
    pub kind: PduKind,
    /// Chosen by the one asking, repeated in the answer.
    pub request_id: i32,
    /// Error status, or a GetBulk's non-repeaters.
    second: i32,
    /// Error index, or a GetBulk's max-repetitions.
    third: i32,
    var_binds: Reader<'a>,
}

impl<'a> Pdu<'a> {
    /// Reads a unit and looks at all of it.
    pub(super) fn read(reader: &mut Reader<'a>) -> Result<Self, ParseError> {
        let start = reader.offset();
        let element = reader.next()?;
        let kind = PduKind::ALL.iter().find(|(tag, _)| *tag == element.tag);
        let Some((_, kind)) = kind else {
            return Err(ParseError::UnexpectedTag { offset: start, tag: element.tag });
        };
        let mut fields = Reader::of(element);
        let request_id = fields.integer()?;
        let second = fields.integer()?;
        let third = fields.integer()?;
        let var_binds = Reader::of(fields.expect(SEQUENCE)?);
        fields.end()?;
        let mut rest = var_binds;
        while !rest.is_empty() {
            read_var_bind(&mut rest)?;
        }
        Ok(Self { kind: *kind, request_id, second, third, var_binds })
    }

    /// Why the request failed; [`ErrorStatus::None`] unless this is an answer.
    pub fn error_status(&self) -> ErrorStatus {
        if self.kind == PduKind::GetBulk { ErrorStatus::None } else { ErrorStatus::of(self.second) }
    }

    /// Which variable binding made the request fail, counted from 1; 0 when none did.
    pub fn error_index(&self) -> usize {
        if self.kind == PduKind::GetBulk { 0 } else { usize::try_from(self.third).unwrap_or(0) }
    }

    /// Of a GetBulk: how many names at the front are asked once, and how often the others are.
    pub fn repetitions(&self) -> Option<(usize, usize)> {
        let count = |number| usize::try_from(number).unwrap_or(0);
        (self.kind == PduKind::GetBulk).then_some((count(self.second), count(self.third)))
    }

    /// Its variable bindings in order.
    pub fn var_binds(&self) -> impl Iterator<Item = VarBind<'a>> + use<'a> {
        let mut rest = self.var_binds;
        std::iter::from_fn(move || if rest.is_empty() { None } else { read_checked_var_bind(&mut rest).ok() })
    }

    /// Bytes that its variable bindings take.
    pub(super) fn var_binds_bytes(&self) -> usize {
        self.var_binds.len()
    }

    /// The request id of a unit that was not read, where one stands.
    pub(super) fn peek_id(reader: &mut Reader<'_>) -> Result<i32, ParseError> {
        Reader::of(reader.next()?).integer()
    }
}

pub(super) fn read_var_bind<'a>(reader: &mut Reader<'a>) -> Result<VarBind<'a>, ParseError> {
    let mut fields = Reader::of(reader.expect(SEQUENCE)?);
    let name = fields.expect(OBJECT_IDENTIFIER)?;
    let name = OidRef::check(name.contents, name.offset)?;
    let value = Value::read(&mut fields)?;
    fields.end()?;
    Ok(VarBind { name, value })
}

/// The same where the names have been checked before.
fn read_checked_var_bind<'a>(reader: &mut Reader<'a>) -> Result<VarBind<'a>, ParseError> {
    let mut fields = Reader::of(reader.next()?);
    let name = OidRef::trusted(fields.next()?.contents);
    Ok(VarBind { name, value: Value::read(&mut fields)? })
}

/// A unit to send.
#[derive(Debug, Clone, Copy)]
pub struct PduBuilder<'a> {
    /// What it is for.
    pub kind: PduKind,
    /// Repeated in the answer.
    pub request_id: i32,
    /// Error status, or a GetBulk's non-repeaters.
    pub second: i32,
    /// Error index, or a GetBulk's max-repetitions.
    pub third: i32,
    /// The variable bindings.
    pub var_binds: &'a [VarBind<'a>],
}

impl<'a> PduBuilder<'a> {
    /// A Get or GetNext.
    pub fn request(kind: PduKind, request_id: i32, var_binds: &'a [VarBind<'a>]) -> Self {
        Self { kind, request_id, second: 0, third: 0, var_binds }
    }

    /// A GetBulk: the first `non_repeaters` names once, of each other the next `max_repetitions`.
    pub fn bulk(request_id: i32, non_repeaters: i32, max_repetitions: i32, var_binds: &'a [VarBind<'a>]) -> Self {
        Self { kind: PduKind::GetBulk, request_id, second: non_repeaters, third: max_repetitions, var_binds }
    }

    /// An answer.
    pub fn response(request_id: i32, error: ErrorStatus, error_index: i32, var_binds: &'a [VarBind<'a>]) -> Self {
        Self { kind: PduKind::Response, request_id, second: error.code(), third: error_index, var_binds }
    }

    pub(super) fn write(&self, writer: &mut Writer) {
        let end = writer.len();
        for var_bind in self.var_binds.iter().rev() {
            let end = writer.len();
            var_bind.value.write(writer);
            writer.element(OBJECT_IDENTIFIER, var_bind.name.as_bytes());
            writer.header(SEQUENCE, end);
        }
        writer.header(SEQUENCE, end);
        writer.integer(i64::from(self.third));
        writer.integer(i64::from(self.second));
        writer.integer(i64::from(self.request_id));
        writer.header(self.kind.tag(), end);
    }
}
