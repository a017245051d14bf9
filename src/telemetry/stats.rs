//! Counters of one thread.
//!
//! Every thread that serves clients (each UDP shard, the TCP thread, the admin thread) has one
//! [`Stats`] and is its only writer; everybody may read. So counting is a plain load, add and
//! store, with neither a locked instruction nor a cache line that two writers touch. Whoever reads
//! sees each counter whole, and two counters perhaps a query apart.
//!
//! A hit costs six stores (`request`, `request_size` two, `response`, `response_size` two), and its
//! batch two more (`duration`). Nothing here allocates after [`Stats::new`], formats, or panics.

use std::sync::atomic::{AtomicU64, Ordering};

use super::histogram::{DURATION_BUCKETS, SIZE_BUCKETS, duration_bucket, size_bucket};
use super::labels::{
    Autopath, DropReason, Family, Proto, RCODE_COUNT, ShedReason, Source, TYPE_COUNT, rcode_index,
    type_index,
};
use crate::config::MAX_ROUTES;

/// A number that only grows, written by **one thread**, read by any.
///
/// The contract is the caller's: two threads that write one counter lose counts (never more than
/// that). It wraps at 2^64.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Adds `n`. To be called by the counter's one writer.
    #[inline]
    pub fn add(&self, n: u64) {
        self.0.store(self.0.load(Ordering::Relaxed).wrapping_add(n), Ordering::Relaxed);
    }

    /// The present value.
    #[inline]
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Counters that share cache lines with nobody else: 128 bytes, since processors fetch lines in
/// pairs.
#[derive(Debug, Default)]
#[repr(align(128))]
struct Line([Counter; LINE]);

const LINE: usize = 16;

/// Positions of the counters. First those without a route, then a block per route; the block of
/// [`NO_ROUTE`] comes first, so that the counters of fewer routes are a prefix of those of more.
pub(super) mod layout {
    use super::*;

    /// Buckets and their sum.
    pub const SIZE_CELLS: usize = SIZE_BUCKETS + 1;
    pub const DURATION_CELLS: usize = DURATION_BUCKETS + 1;

    pub const REQUEST_SIZE: usize = 0;
    pub const RESPONSE_SIZE: usize = REQUEST_SIZE + Proto::COUNT * SIZE_CELLS;
    pub const DROPPED: usize = RESPONSE_SIZE + Proto::COUNT * SIZE_CELLS;
    pub const SHED: usize = DROPPED + DropReason::COUNT;
    pub const AUTOPATH: usize = SHED + ShedReason::COUNT;
    pub const BLOCKS: usize = (AUTOPATH + Autopath::COUNT).next_multiple_of(LINE);

    pub const REQUESTS: usize = 0;
    pub const RESPONSES: usize = REQUESTS + Proto::COUNT * Family::COUNT * TYPE_COUNT;
    pub const MISSES: usize = RESPONSES + Source::CELLS * RCODE_COUNT;
    pub const RENEWALS: usize = MISSES + 1;
    pub const DURATIONS: usize = RENEWALS + 1;
    pub const BLOCK: usize =
        (DURATIONS + Source::LABELS.len() * DURATION_CELLS).next_multiple_of(LINE);

    /// Where a block's counter is. `slot` 0 is [`NO_ROUTE`]'s.
    #[inline]
    pub const fn in_block(slot: usize, at: usize) -> usize {
        BLOCKS + slot * BLOCK + at
    }

    #[inline]
    pub const fn request(proto: Proto, family: Family, type_index: usize) -> usize {
        REQUESTS + (proto as usize * Family::COUNT + family as usize) * TYPE_COUNT + type_index
    }

    #[inline]
    pub const fn response(source_cell: usize, rcode_index: usize) -> usize {
        RESPONSES + source_cell * RCODE_COUNT + rcode_index
    }

    #[inline]
    pub const fn duration(source_index: usize) -> usize {
        DURATIONS + source_index * DURATION_CELLS
    }
}

/// The route of queries that belong to none: refused before routing, or answered locally. Shown as
/// [`NO_ROUTE_NAME`]. A route number beyond those of the configuration counts here too.
pub const NO_ROUTE: u16 = u16::MAX;
/// Label value of [`NO_ROUTE`]; no configured route can be called so.
pub const NO_ROUTE_NAME: &str = "(none)";

/// All counters of one thread; see the module's text for who may write.
#[derive(Debug)]
pub struct Stats {
    /// Blocks, [`NO_ROUTE`]'s included.
    slots: usize,
    lines: Box<[Line]>,
    /// Requests by namespace; empty where they are not counted.
    namespaces: Box<[Line]>,
}

impl Stats {
    /// Counters for routes 0..`routes`, at most [`MAX_ROUTES`] (more count as [`NO_ROUTE`]).
    /// About 2 KiB a route.
    pub fn new(routes: usize) -> Stats {
        let slots = routes.min(MAX_ROUTES) + 1;
        let cells = layout::in_block(slots, 0);
        Stats { slots, lines: lines(cells), namespaces: Box::default() }
    }

    /// Counts requests by namespace too, in so many slots.
    #[must_use]
    pub fn with_namespaces(mut self, slots: usize) -> Stats {
        self.namespaces = lines(slots);
        self
    }

    /// Whether requests are counted by namespace.
    pub fn counts_namespaces(&self) -> bool {
        !self.namespaces.is_empty()
    }

    /// A client of the namespace with this slot has asked. One store.
    pub fn namespace(&self, slot: u16) {
        let slot = usize::from(slot);
        if let Some(line) = self.namespaces.get(slot / LINE) {
            line.0[slot % LINE].add(1);
        }
    }

    /// A query arrived and its question is known. One store; **per hit**. What cannot be parsed is
    /// counted with [`NO_ROUTE`] and type 0.
    #[inline]
    pub fn request(&self, route: u16, proto: Proto, family: Family, qtype: u16) {
        self.add_in(route, layout::request(proto, family, type_index(qtype)), 1);
    }

    /// An answer was made. One store; **per hit**. [`Source::Cache`] counts the cache hit too, and
    /// [`Source::Stale`] the stale answer; there is no other call for them. `rcode` is the whole
    /// one, extended bits included.
    #[inline]
    pub fn response(&self, route: u16, rcode: u16, source: Source) {
        self.add_in(route, layout::response(source.cell(), rcode_index(rcode)), 1);
    }

    /// `n` answers took `nanos` each, from arrival to the handing over for sending. Two stores; hits
    /// **once a batch**, others once each.
    #[inline]
    pub fn duration(&self, route: u16, source: Source, nanos: u64, n: u64) {
        let base = layout::duration(source.index());
        self.add_in(route, base + duration_bucket(nanos), n);
        self.add_in(route, base + DURATION_BUCKETS, nanos.saturating_mul(n));
    }

    /// Size of a query, TCP's length field not counted. Two stores; **per hit**.
    #[inline]
    pub fn request_size(&self, proto: Proto, bytes: usize) {
        self.size(layout::REQUEST_SIZE, proto, bytes);
    }

    /// Size of an answer, TCP's length field not counted. Two stores; **per hit**.
    #[inline]
    pub fn response_size(&self, proto: Proto, bytes: usize) {
        self.size(layout::RESPONSE_SIZE, proto, bytes);
    }

    /// The cache had no fresh entry. One store; per miss.
    #[inline]
    pub fn cache_miss(&self, route: u16) {
        self.add_in(route, layout::MISSES, 1);
    }

    /// An answer was asked for anew before it expired. One store.
    #[inline]
    pub fn cache_renewal(&self, route: u16) {
        self.add_in(route, layout::RENEWALS, 1);
    }

    /// Something got no answer. One store; rare.
    #[inline]
    pub fn dropped(&self, reason: DropReason) {
        self.add(layout::DROPPED + reason as usize, 1);
    }

    /// A ceiling turned something away. One store; rare.
    #[inline]
    pub fn shed(&self, reason: ShedReason) {
        self.add(layout::SHED + reason as usize, 1);
    }

    /// A walk along a pod's search list has ended. One store.
    #[inline]
    pub fn autopath(&self, result: Autopath) {
        self.add(layout::AUTOPATH + result as usize, 1);
    }

    /// Blocks, [`NO_ROUTE`]'s included.
    pub(super) fn slots(&self) -> usize {
        self.slots
    }

    /// Every counter's present value, in the order of the layout.
    pub(super) fn read(&self) -> impl Iterator<Item = u64> + '_ {
        self.lines.iter().flat_map(|line| line.0.iter().map(Counter::get))
    }

    /// Every namespace's counter, by slot, and perhaps some behind the last that stay 0.
    pub(super) fn read_namespaces(&self) -> impl Iterator<Item = u64> + '_ {
        self.namespaces.iter().flat_map(|line| line.0.iter().map(Counter::get))
    }

    #[inline]
    fn size(&self, base: usize, proto: Proto, bytes: usize) {
        let base = base + proto as usize * layout::SIZE_CELLS;
        self.add(base + size_bucket(bytes), 1);
        self.add(base + SIZE_BUCKETS, bytes as u64);
    }

    #[inline]
    fn add_in(&self, route: u16, at: usize, n: u64) {
        // NO_ROUTE wraps to slot 0.
        let slot = usize::from(route.wrapping_add(1));
        let slot = if slot < self.slots { slot } else { 0 };
        self.add(layout::in_block(slot, at), n);
    }

    #[inline]
    fn add(&self, cell: usize, n: u64) {
        if let Some(line) = self.lines.get(cell / LINE) {
            line.0[cell % LINE].add(n);
        }
    }
}

/// Lines for at least so many counters.
fn lines(cells: usize) -> Box<[Line]> {
    (0..cells.div_ceil(LINE)).map(|_| Line::default()).collect()
}

#[cfg(test)]
mod tests;
