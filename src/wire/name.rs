//! Domain names in wire format (RFC 1035, 3.1; RFC 4343 for case).

use std::fmt;
use std::str::FromStr;

/// Longest name in wire format, root label included (RFC 1035, 2.3.4).
pub const MAX_NAME: usize = 255;
/// Longest label (RFC 1035, 2.3.4).
pub const MAX_LABEL: usize = 63;

/// An absolute domain name, owned, uncompressed, folded to lower case.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Name(Box<[u8]>);

/// Why a text is not a domain name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// Two dots in a row, or a dot in front.
    #[error("has an empty label")]
    EmptyLabel,
    /// A label of more than 63 bytes.
    #[error("has a label of more than 63 bytes")]
    LongLabel,
    /// More than 255 bytes in wire format.
    #[error("is longer than 255 bytes")]
    LongName,
    /// A backslash without three digits or a character behind it.
    #[error("has an unfinished escape")]
    Escape,
    /// No text at all.
    #[error("is empty (the root is written \".\")")]
    Empty,
}

impl Name {
    /// The root.
    pub fn root() -> Name {
        Name(Box::new([0]))
    }

    /// Takes a checked wire-format name, folding its case. `None` if `wire` is not exactly one
    /// uncompressed name.
    pub fn from_wire(wire: &[u8]) -> Option<Name> {
        (end_of(wire) == Some(wire.len())).then(|| {
            let mut folded: Box<[u8]> = wire.into();
            folded.make_ascii_lowercase();
            Name(folded)
        })
    }

    /// The wire format, root label included: 1..=255 bytes.
    pub fn as_wire(&self) -> &[u8] {
        &self.0
    }

    /// How many labels, the root not counted: 0..=127.
    pub fn labels(&self) -> usize {
        Labels(&self.0).count()
    }

    /// Whether this is the root.
    pub fn is_root(&self) -> bool {
        self.0.len() == 1
    }
}

/// So that a table by name can be asked with the folded bytes of one: both hash and compare alike.
impl std::borrow::Borrow<[u8]> for Name {
    fn borrow(&self) -> &[u8] {
        &self.0
    }
}

impl FromStr for Name {
    type Err = NameError;

    /// Presentation format (RFC 1035, 5.1), with or without the dot at the end; `\.` and `\DDD`
    /// are understood.
    fn from_str(text: &str) -> Result<Name, NameError> {
        if text.is_empty() {
            return Err(NameError::Empty);
        }
        if text == "." {
            return Ok(Name::root());
        }
        let mut wire = Vec::with_capacity(text.len() + 2);
        let mut label = Vec::with_capacity(MAX_LABEL);
        let mut bytes = text.bytes();
        while let Some(byte) = bytes.next() {
            match byte {
                b'.' => push_label(&mut wire, &mut label)?,
                b'\\' => label.push(unescape(&mut bytes)?),
                _ => label.push(byte.to_ascii_lowercase()),
            }
        }
        if !label.is_empty() {
            push_label(&mut wire, &mut label)?;
        }
        wire.push(0);
        if wire.len() > MAX_NAME {
            return Err(NameError::LongName);
        }
        Ok(Name(wire.into()))
    }
}

fn push_label(wire: &mut Vec<u8>, label: &mut Vec<u8>) -> Result<(), NameError> {
    match label.len() {
        0 => Err(NameError::EmptyLabel),
        len @ 1..=MAX_LABEL => {
            wire.push(len as u8);
            wire.append(label);
            Ok(())
        }
        _ => Err(NameError::LongLabel),
    }
}

fn unescape(bytes: &mut std::str::Bytes<'_>) -> Result<u8, NameError> {
    let first = bytes.next().ok_or(NameError::Escape)?;
    if !first.is_ascii_digit() {
        return Ok(first.to_ascii_lowercase());
    }
    let mut value = u32::from(first - b'0');
    for _ in 0..2 {
        let digit = bytes.next().filter(u8::is_ascii_digit).ok_or(NameError::Escape)?;
        value = value * 10 + u32::from(digit - b'0');
    }
    u8::try_from(value).map(|b| b.to_ascii_lowercase()).map_err(|_| NameError::Escape)
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Presentation(&self.0).fmt(f)
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{self}\"")
    }
}

/// Shows wire-format bytes in presentation format, with the dot at the end. Bytes that are not a
/// name are shown as far as they are one.
pub struct Presentation<'a>(pub &'a [u8]);

impl fmt::Display for Presentation<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut any = false;
        for label in Labels(self.0) {
            any = true;
            for &byte in label {
                match byte {
                    b'.' | b'\\' | b'"' | b';' | b'(' | b')' | b'@' | b'$' => {
                        write!(f, "\\{}", byte as char)?
                    }
                    0x21..=0x7e => write!(f, "{}", byte as char)?,
                    _ => write!(f, "\\{byte:03}")?,
                }
            }
            f.write_str(".")?;
        }
        if any { Ok(()) } else { f.write_str(".") }
    }
}

/// The labels of an uncompressed name from the left, the root left out. Ends at the root, at a
/// compression pointer, or where the bytes end.
#[derive(Clone)]
pub struct Labels<'a>(pub &'a [u8]);

impl<'a> Iterator for Labels<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        let (&len, rest) = self.0.split_first()?;
        let len = usize::from(len);
        if len == 0 || len > MAX_LABEL || len > rest.len() {
            self.0 = &[];
            return None;
        }
        let (label, rest) = rest.split_at(len);
        self.0 = rest;
        Some(label)
    }
}

/// Whether an uncompressed name is `suffix` or lies below it; both in the same case.
pub fn is_within(name: &[u8], suffix: &[u8]) -> bool {
    let Some(front) = name.strip_suffix(suffix) else { return false };
    let mut at = 0;
    while let Some(len) = front.get(at) {
        at += 1 + usize::from(*len);
    }
    at == front.len()
}

/// Where the uncompressed name at the start of `bytes` ends (root label included). `None` if it is
/// cut short, too long, or holds a compression pointer or a reserved label type.
#[inline]
pub fn end_of(bytes: &[u8]) -> Option<usize> {
    let mut at = 0usize;
    loop {
        let len = usize::from(*bytes.get(at)?);
        at += 1 + len;
        if len == 0 {
            return (at <= MAX_NAME).then_some(at);
        }
        if len > MAX_LABEL || at >= MAX_NAME {
            return None;
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn text_and_back() {
        for (text, shown) in [
            (".", "."),
            ("Cluster.LOCAL", "cluster.local."),
            ("a\\.b.example.", "a\\.b.example."),
            ("\\001\\255.x", "\\001\\255.x."),
        ] {
            let name: Name = text.parse().unwrap();
            assert_eq!(name.to_string(), shown);
            assert_eq!(Name::from_wire(name.as_wire()), Some(name));
        }
    }

    #[test]
    fn texts_that_are_no_names() {
        let long_label = "a".repeat(64);
        let long_name = vec!["a".repeat(63); 4].join(".");
        for (text, error) in [
            ("", NameError::Empty),
            (".a", NameError::EmptyLabel),
            ("a..b", NameError::EmptyLabel),
            (long_label.as_str(), NameError::LongLabel),
            (long_name.as_str(), NameError::LongName),
            ("a\\", NameError::Escape),
            ("a\\25", NameError::Escape),
            ("a\\999", NameError::Escape),
        ] {
            assert_eq!(text.parse::<Name>(), Err(error), "{text}");
        }
    }

    #[test]
    fn a_name_is_within_another_at_label_boundaries() {
        let name: Name = "a.bc.example".parse().unwrap();
        for (suffix, within) in [
            ("a.bc.example", true),
            ("bc.example", true),
            ("example", true),
            (".", true),
            ("c.example", false),
            ("x.a.bc.example", false),
            ("bc", false),
        ] {
            let suffix: Name = suffix.parse().unwrap();
            assert_eq!(is_within(name.as_wire(), suffix.as_wire()), within, "{suffix}");
        }
        assert!(is_within(b"\x0212\x07example\0", b"\x07example\0"));
        // What looks like a label of the suffix is the end of a longer one.
        assert!(!is_within(b"\x04x\x02bc\0", b"\x02bc\0"));
        assert!(!is_within(b"\x03a12\x07example\0", b"\x0212\x07example\0"));
        assert!(!is_within(b"\x06ab\x04tes\x01t\0", b"\x04test\0"));
        assert!(!is_within(b"", b"\0"));
    }

    #[test]
    fn ends() {
        assert_eq!(end_of(b"\x01a\0rest"), Some(3));
        assert_eq!(end_of(b"\0"), Some(1));
        assert_eq!(end_of(b""), None);
        assert_eq!(end_of(b"\x01a"), None);
        assert_eq!(end_of(b"\xc0\x0c"), None);
        assert_eq!(end_of(b"\x05ab"), None);
        let mut longest: Vec<u8> = [&[63u8][..], &[b'x'; 63]].concat().repeat(3);
        longest.extend([&[61u8][..], &[b'x'; 61], &[0]].concat());
        assert_eq!(longest.len(), 255);
        assert_eq!(end_of(&longest), Some(255));
        longest.insert(193, b'x');
        longest[192] = 62;
        assert_eq!(end_of(&longest), None);
    }
}
