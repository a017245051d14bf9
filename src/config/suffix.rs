//! A suffix as people write it, in the configuration and in files that routes learn from.

use crate::wire::name::{Name, NameError};

/// Why a text is no suffix of a route.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SuffixError {
    /// It begins with `*.`.
    #[error("has a wildcard")]
    Wildcard,
    /// Blanks, control characters, other alphabets.
    #[error("has characters that are not printable ASCII")]
    NotPrintable,
    /// No domain name.
    #[error(transparent)]
    Name(#[from] NameError),
}

impl SuffixError {
    /// What would be right.
    pub fn hint(&self) -> &'static str {
        match self {
            SuffixError::Wildcard => {
                "leave \"*.\" away: a suffix has all names below it and itself"
            }
            SuffixError::NotPrintable => {
                "write other alphabets in their xn-- form, and odd bytes as \\DDD"
            }
            SuffixError::Name(NameError::EmptyLabel) => {
                "write one dot between labels and none in front"
            }
            SuffixError::Name(NameError::Empty) => "write \".\" for everything else",
            SuffixError::Name(NameError::Escape) => "write \\DDD with three digits up to 255",
            SuffixError::Name(NameError::LongLabel | NameError::LongName) => {
                "write a name that DNS can carry"
            }
        }
    }
}

/// Reads one.
///
/// # Errors
/// Says what is wrong with it.
pub fn parse(text: &str) -> Result<Name, SuffixError> {
    let name = text.parse::<Name>()?;
    if text.starts_with("*.") {
        return Err(SuffixError::Wildcard);
    }
    match text.bytes().all(|byte| byte.is_ascii_graphic()) {
        true => Ok(name),
        false => Err(SuffixError::NotPrintable),
    }
}
