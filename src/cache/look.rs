//! Looking into the cache, a page at a time, so that nobody holds all of it.

use std::fmt;
use std::str::FromStr;

use super::table::Place;
use super::{Cache, Entry, Filter, Freshness};
use crate::time::Tick;

/// Places looked at for one page: a fraction of a second's work, however seldom the filter takes
/// something.
const PLACES: usize = 1 << 16;

/// Where the next page begins. Its text says nothing to anyone but the process that wrote it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cursor(At);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum At {
    Answers(Place),
    /// The failures with at least this hash, behind all answers.
    Failures(u64),
}

impl Default for Cursor {
    /// The beginning.
    fn default() -> Cursor {
        Cursor(At::Answers(Place { stripe: 0, hash: 0 }))
    }
}

/// In front of a hash among the failures: no number in hexadecimal digits, as parts of the table have.
const FAILURES: &str = "failures";

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            At::Answers(place) => write!(f, "{:x}.{:x}", place.stripe, place.hash),
            At::Failures(hash) => write!(f, "{FAILURES}.{hash:x}"),
        }
    }
}

/// No text of a [`Cursor`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("is no place in the cache: take \"next\" of the page before")]
pub struct NoCursor;

impl FromStr for Cursor {
    type Err = NoCursor;

    fn from_str(text: &str) -> Result<Cursor, NoCursor> {
        let (stripe, hash) = text.split_once('.').ok_or(NoCursor)?;
        let hash = u64::from_str_radix(hash, 16).map_err(|_| NoCursor)?;
        if stripe == FAILURES {
            return Ok(Cursor(At::Failures(hash)));
        }
        let stripe = u32::from_str_radix(stripe, 16).map_err(|_| NoCursor)? as usize;
        Ok(Cursor(At::Answers(Place { stripe, hash })))
    }
}

impl Cache {
    /// About `most` entries (at least 1) that the filter takes and that are of some use at `now`,
    /// in no order that means anything, and where the next page begins; `None` at the end. A page
    /// may have fewer, or none, and not be the last. What is there from the first page to the last
    /// is in one of them; what comes and goes meanwhile may be.
    ///
    /// No lock is held for longer than some microseconds.
    pub fn page(
        &self,
        from: Cursor,
        filter: &Filter,
        most: usize,
        now: Tick,
    ) -> (Vec<Entry>, Option<Cursor>) {
        let most = most.max(1);
        let wanted = |entry: &Entry| filter.takes(entry) && entry.freshness(now) != Freshness::Dead;
        let hash = match from.0 {
            At::Answers(place) => {
                let (found, next) = self.answers.page(place, (most, PLACES), wanted);
                let next = next.map_or(At::Failures(0), At::Answers);
                return (found, Some(Cursor(next)));
            }
            At::Failures(hash) => hash,
        };
        // One more tells where the next page begins.
        let mut found = self.failures.page(hash, most + 1, |key| self.hashed(key).hash, wanted);
        let beyond = if found.len() > most { found.pop() } else { None };
        let next = beyond.map(|(hash, _)| Cursor(At::Failures(hash)));
        (found.into_iter().map(|(_, entry)| entry).collect(), next)
    }
}

#[cfg(test)]
mod tests;
