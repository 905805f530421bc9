//! What a request says of who it is from: a bearer token `NAME.SECRET`, or a name and a password.
//!
//! Not here: whether that is true (see `guard`).

use super::users::is_name;
use std::fmt;

/// Longest value of the header.
const BYTES_MAX: usize = 4096;

/// A name and the secret that shall prove it.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    /// Whose they are.
    pub name: String,
    /// What proves it.
    pub secret: String,
}

impl fmt::Debug for Credentials {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "Credentials({}, ..)", self.name)
    }
}

impl Credentials {
    /// Of the header `Authorization`; nothing if it cannot be understood.
    pub fn parse(header: &[u8]) -> Option<Self> {
        if header.len() > BYTES_MAX {
            return None;
        }
        let text = std::str::from_utf8(header).ok()?;
        let (scheme, rest) = text.split_once(' ')?;
        let rest = rest.trim();
        let (name, secret) = if scheme.eq_ignore_ascii_case("bearer") {
            let (name, secret) = rest.split_once('.')?;
            (name.to_owned(), secret.to_owned())
        } else if scheme.eq_ignore_ascii_case("basic") {
            let decoded = String::from_utf8(base64(rest)?).ok()?;
            let (name, secret) = decoded.split_once(':')?;
            (name.to_owned(), secret.to_owned())
        } else {
            return None;
        };
        (is_name(&name) && !secret.is_empty()).then_some(Self { name, secret })
    }
}

/// Bytes of base64 (RFC 4648, section 4), with or without the signs that fill it up.
fn base64(text: &str) -> Option<Vec<u8>> {
    let text = text.trim_end_matches('=');
    let mut out = Vec::with_capacity(text.len() * 3 / 4);
    let (mut bits, mut held) = (0u32, 0);
    for byte in text.bytes() {
        let six = match byte {
            b'A'..=b'Z' => byte - b'A',
            b'a'..=b'z' => byte - b'a' + 26,
            b'0'..=b'9' => byte - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            _ => return None,
        };
        bits = bits << 6 | u32::from(six);
        held += 6;
        if held >= 8 {
            held -= 8;
            out.push((bits >> held) as u8);
            bits &= (1 << held) - 1;
        }
    }
    // What is left over of a whole text is nothing.
    (bits == 0 && held < 6).then_some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accepts() {
        let of = |header: &str| Credentials::parse(header.as_bytes()).map(|found| (found.name, found.secret));
        let pair = |name: &str, secret: &str| Some((name.to_owned(), secret.to_owned()));
        assert_eq!(of("Bearer a.b.c"), pair("a", "b.c"));
        assert_eq!(of("bearer  agent-1.x"), pair("agent-1", "x"));
        // RFC 7617, section 2.
        assert_eq!(of("Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ=="), pair("Aladdin", "open sesame"));
        assert_eq!(of("BASIC YTpiOmM="), pair("a", "b:c"));
    }

    #[test]
    fn rejects() {
        for header in [
            "",
            "Bearer",
            "Bearer x",
            "Bearer .x",
            "Bearer a.",
            "Basic !",
            "Basic YQ==",
            "Basic OmI=",
            "Digest a.b",
            "a",
        ] {
            assert_eq!(Credentials::parse(header.as_bytes()), None, "{header}");
        }
        assert_eq!(Credentials::parse(format!("Bearer a.{}", "x".repeat(BYTES_MAX)).as_bytes()), None);
        assert_eq!(Credentials::parse(b"Bearer a.\xff"), None);
    }

    #[test]
    fn nothing_prints_a_secret() {
        let credentials = Credentials::parse(b"Bearer a.hunter2").unwrap();
        assert_eq!(format!("{credentials:?}"), "Credentials(a, ..)");
    }
}
