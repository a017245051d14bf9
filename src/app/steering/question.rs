//! What the daemon asks itself: `shard.horizond` in class CH. Only this server knows the name, and its
//! answer says which of its threads gave it.

use std::io;

use crate::local::chaos::SHARD;
use crate::wire::header::Rcode;

/// The header behind the id: RD, one question (RFC 1035, 4.1.1).
const HEADER: &[u8; 10] = b"\x01\0\0\x01\0\0\0\0\0\0";
/// TXT, CH.
const TYPE_AND_CLASS: &[u8; 4] = b"\0\x10\0\x03";
/// From the answer record's owner to the length of its data.
const FIXED: usize = 12;

/// Why an answer does not show that the daemon serves.
#[derive(Debug, thiserror::Error)]
pub(super) enum Fault {
    /// Nothing came.
    #[error("no answer")]
    Silent,
    /// What the system said.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// The host may not ask its own server.
    #[error("REFUSED: the host itself must be allowed to ask (\"node\" in [admit] allow)")]
    Refused,
    /// Any other failure.
    #[error("answered with rcode {0}")]
    Failed(u8),
    /// Not as this server answers.
    #[error("an answer that is not this server's")]
    Foreign,
}

/// Who answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Thread {
    /// A shard, by its number.
    Shard(usize),
    /// The thread of TCP clients.
    Tcp,
}

/// The question, under a random id.
pub(super) fn question() -> ([u8; 2], Vec<u8>) {
    let id: [u8; 2] = rand::random();
    (id, [&id, &HEADER[..], SHARD, TYPE_AND_CLASS].concat())
}

/// Who sent this answer to the question with `id`; `None` if it answers another.
pub(super) fn judge(answer: &[u8], id: [u8; 2]) -> Option<Result<Thread, Fault>> {
    let header = answer.first_chunk::<12>().filter(|header| header[..2] == id)?;
    let rcode = header[3] & 0x0f;
    if rcode == Rcode::REFUSED.0 as u8 {
        return Some(Err(Fault::Refused));
    }
    if rcode != 0 {
        return Some(Err(Fault::Failed(rcode)));
    }
    let thread = answer[12..]
        .strip_prefix(SHARD)
        .and_then(|rest| rest.strip_prefix(TYPE_AND_CLASS))
        .and_then(|record| record.get(FIXED..))
        .and_then(|data| data.get(1..=usize::from(*data.first()?)))
        .and_then(thread);
    Some(thread.ok_or(Fault::Foreign))
}

/// From its name, as [`crate::app`] gives it.
fn thread(name: &[u8]) -> Option<Thread> {
    if name == b"tcp" {
        return Some(Thread::Tcp);
    }
    let number = std::str::from_utf8(name.strip_prefix(b"shard-")?).ok()?;
    number.parse().ok().map(Thread::Shard)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::answer::Question;
    use crate::local::chaos;
    use crate::wire::{CLASS_CH, rtype};

    /// As the server makes it, under `id`.
    fn answer(id: [u8; 2], says: &str) -> Vec<u8> {
        let question = Question { name: SHARD, qtype: rtype::TXT, qclass: CLASS_CH };
        let made = chaos::answer(question, &[says.to_owned()]);
        let mut bytes = made.wire().to_vec();
        bytes[..2].copy_from_slice(&id);
        bytes
    }

    #[test]
    fn only_the_servers_own_answer_counts() {
        let (id, _) = question();
        let thread = |says| judge(&answer(id, says), id).unwrap().ok();
        assert_eq!(thread("shard-0"), Some(Thread::Shard(0)));
        assert_eq!(thread("shard-63"), Some(Thread::Shard(63)));
        assert_eq!(thread("tcp"), Some(Thread::Tcp));
        for other in ["", "shard-", "shard-x", "coredns", "main"] {
            assert_eq!(thread(other), None, "{other}");
        }
    }

    #[test]
    fn a_refusal_is_no_answer_and_a_foreign_id_is_nothing() {
        let (id, query) = question();
        let mut refused = query.clone();
        refused[2..4].copy_from_slice(&[0x81, 0x85]);
        assert!(matches!(judge(&refused, id), Some(Err(Fault::Refused))));
        refused[3] = 0x82;
        assert!(matches!(judge(&refused, id), Some(Err(Fault::Failed(2)))));
        // CoreDNS, where the name is nobody's: no record.
        refused[3] = 0x80;
        assert!(matches!(judge(&refused, id), Some(Err(Fault::Foreign))));
        assert!(judge(&answer([id[0], !id[1]], "shard-0"), id).is_none());
        let whole = answer(id, "shard-1");
        for len in 0..whole.len() {
            assert!(!matches!(judge(&whole[..len], id), Some(Ok(_))), "{len} bytes");
        }
    }
}
