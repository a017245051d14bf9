//! Puts one answer together from several.

use crate::answer::{Answer, Question, View};
use crate::respond::Ttl;
use crate::wire::records::NameBuf;

/// One of the answers that another is made of.
pub struct Part<'a> {
    /// It.
    pub view: View<'a>,
    /// What happens to its TTLs.
    pub ttl: Ttl,
}

/// STUB
pub fn compose(
    _question: Question<'_>,
    _parts: &[Part<'_>],
    _dnssec_ok: bool,
    _back: Option<&dyn Fn(&[u8]) -> Option<NameBuf>>,
) -> Option<Answer> {
    None
}

/// STUB
pub fn target(_view: View<'_>) -> Option<NameBuf> {
    None
}
