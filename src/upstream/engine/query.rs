//! The query that goes to an upstream.

use crate::accept::Spelling;
use crate::answer::Question;
use crate::cache::Key;
use crate::wire::CLASS_IN;
use crate::wire::edns::{OPT_LEN, OptWriter};
use crate::wire::header::{self, Header, flag};
use crate::wire::name::MAX_NAME;

/// Longest query of ours: header, name, type and class, OPT.
pub(super) const QUERY_MAX: usize = header::LEN + MAX_NAME + 4 + OPT_LEN;

/// Writes our query for a key, id 0; returns its length. RD is always set; AD asks for the AD bit
/// of the answer (RFC 6840, 5.7); CD and DO are the client's, and in the key.
pub(super) fn write_query(
    key: &[u8],
    edns: bool,
    spelling: Spelling,
    out: &mut [u8; QUERY_MAX],
) -> usize {
    let (dnssec_ok, checking_disabled) = Key::flags(key);
    let cd = if checking_disabled { flag::CD } else { 0 };
    let head = Header { id: 0, flags: flag::RD | flag::AD | cd, counts: [1, 0, 0, edns.into()] };
    let name = Key::name(key);
    let question = Question { name, qtype: Key::qtype(key), qclass: CLASS_IN };
    let end = header::LEN + name.len();
    out[..header::LEN].copy_from_slice(&head.to_bytes());
    out[header::LEN..end].copy_from_slice(name);
    spelling.write(&mut out[header::LEN..end]);
    out[end..end + 2].copy_from_slice(&question.qtype.to_be_bytes());
    out[end + 2..end + 4].copy_from_slice(&question.qclass.to_be_bytes());
    match edns.then(|| OptWriter::begin(out, end + 4, 0, dnssec_ok)).flatten() {
        Some(opt) => opt.finish(),
        None => end + 4,
    }
}
