//! A first look at a packet, so that what its answer needs is on the way from memory when it is looked
//! at in earnest. Decides nothing.

use super::Desk;
use crate::cache::{Key, NameHash};
use crate::wire::query::Query;

/// What was found out about a packet before it is looked at in earnest.
#[derive(Debug, Clone, Copy, Default)]
pub struct Foreseen(pub(super) Option<(NameHash, u16)>);

impl Desk {
    /// Reads as much of a packet as it takes to know where its answer would be, and has the processor
    /// fetch that place: what other packets need meanwhile hides the wait for memory.
    #[inline]
    pub fn foresee(&self, packet: &[u8]) -> Foreseen {
        let Some((name, qtype)) = Query::peek(packet) else { return Foreseen(None) };
        let hash = self.name_hash(name);
        self.front.borrow().prefetch_places(hash, qtype);
        Foreseen(Some((hash, qtype)))
    }

    #[inline]
    pub(super) fn name_hash(&self, name: &[u8]) -> NameHash {
        let folded = Key::fold(name);
        self.server.cache.name_hash(Key::name(folded.as_bytes()))
    }

    /// The second step: has the processor fetch the answer itself.
    #[inline]
    pub fn foresee_answer(&self, foreseen: Foreseen) {
        if let Some((name, qtype)) = foreseen.0
            && !self.front.borrow().prefetch_entry(name, qtype)
        {
            self.server.cache.prefetch(name, qtype);
        }
    }
}
