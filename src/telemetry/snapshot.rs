//! The counters of all threads, added up.
//!
//! Made by readers (a scrape, `/status`), never by a query thread.

use std::sync::Arc;

use super::histogram::{DURATION_BUCKETS, Distribution, SIZE_BUCKETS};
use super::labels::{Autopath, DropReason, Family, Kind, Proto, RCODE_COUNT, ShedReason, Source};
use super::stats::{NO_ROUTE, Stats, layout};

/// Sums over some threads' [`Stats`].
#[derive(Debug, Clone)]
pub struct Snapshot {
    slots: usize,
    cells: Vec<u64>,
    namespaces: Vec<u64>,
}

impl Snapshot {
    /// Adds up. Stats may differ in their number of routes.
    pub fn of(stats: &[Arc<Stats>]) -> Snapshot {
        let slots = stats.iter().map(|stats| stats.slots()).max().unwrap_or(1);
        let mut cells = vec![0u64; layout::in_block(slots, 0)];
        for stats in stats {
            for (sum, value) in cells.iter_mut().zip(stats.read()) {
                *sum = sum.wrapping_add(value);
            }
        }
        let mut namespaces = Vec::new();
        for stats in stats {
            for (slot, value) in stats.read_namespaces().enumerate() {
                if slot == namespaces.len() {
                    namespaces.push(0u64);
                }
                namespaces[slot] = namespaces[slot].wrapping_add(value);
            }
        }
        Snapshot { slots, cells, namespaces }
    }

    /// Queries of a route. `type_index` as in [`super::labels::type_index`].
    pub fn requests(&self, route: u16, proto: Proto, family: Family, type_index: usize) -> u64 {
        self.block(route, layout::request(proto, family, type_index))
    }

    /// Queries of a route, all together.
    pub fn all_requests(&self, route: u16) -> u64 {
        (layout::REQUESTS..layout::RESPONSES).map(|at| self.block(route, at)).sum()
    }

    /// Answers of a route. `source_index` as in [`Source::index`], `rcode_index` as in
    /// [`super::labels::rcode_index`].
    pub fn responses(&self, route: u16, source_index: usize, rcode_index: usize) -> u64 {
        let of = |source: Source| self.block(route, layout::response(source.cell(), rcode_index));
        match source_index {
            0 => Kind::ALL.iter().map(|&kind| of(Source::Cache(kind))).sum(),
            1 => Kind::ALL.iter().map(|&kind| of(Source::Stale(kind))).sum(),
            2 => of(Source::Upstream),
            3 => of(Source::Local),
            _ => of(Source::Refused),
        }
    }

    /// Answers of one source and kind, all rcodes together: hits and stale answers.
    pub fn answered(&self, route: u16, source: Source) -> u64 {
        (0..RCODE_COUNT)
            .map(|rcode| self.block(route, layout::response(source.cell(), rcode)))
            .sum()
    }

    /// Fresh answers from the cache, all kinds together.
    pub fn hits(&self, route: u16) -> u64 {
        Kind::ALL.iter().map(|&kind| self.answered(route, Source::Cache(kind))).sum()
    }

    /// Questions that the cache could not answer.
    pub fn misses(&self, route: u16) -> u64 {
        self.block(route, layout::MISSES)
    }

    /// Answers asked for anew before they expired.
    pub fn renewals(&self, route: u16) -> u64 {
        self.block(route, layout::RENEWALS)
    }

    /// How long answers took, in nanoseconds.
    pub fn durations(&self, route: u16, source_index: usize) -> Distribution {
        let base = layout::in_block(self.slot(route), layout::duration(source_index));
        self.distribution(base, DURATION_BUCKETS)
    }

    /// Queries of a namespace's clients, by its slot; `None` where they are not counted.
    pub fn namespace(&self, slot: usize) -> Option<u64> {
        self.namespaces.get(slot).copied()
    }

    /// Sizes of queries in bytes.
    pub fn request_sizes(&self, proto: Proto) -> Distribution {
        let base = layout::REQUEST_SIZE + proto as usize * layout::SIZE_CELLS;
        self.distribution(base, SIZE_BUCKETS)
    }

    /// Sizes of answers in bytes.
    pub fn response_sizes(&self, proto: Proto) -> Distribution {
        let base = layout::RESPONSE_SIZE + proto as usize * layout::SIZE_CELLS;
        self.distribution(base, SIZE_BUCKETS)
    }

    /// What got no answer.
    pub fn dropped(&self, reason: DropReason) -> u64 {
        self.cell(layout::DROPPED + reason as usize)
    }

    /// What a ceiling turned away.
    pub fn shed(&self, reason: ShedReason) -> u64 {
        self.cell(layout::SHED + reason as usize)
    }

    /// Walks along search lists.
    pub fn autopath(&self, result: Autopath) -> u64 {
        self.cell(layout::AUTOPATH + result as usize)
    }

    /// Every route number that is counted apart, [`NO_ROUTE`] last.
    pub fn routes(&self) -> impl Iterator<Item = u16> + use<> {
        (0..self.slots as u16 - 1).chain([NO_ROUTE])
    }

    fn slot(&self, route: u16) -> usize {
        let slot = usize::from(route.wrapping_add(1));
        if slot < self.slots { slot } else { 0 }
    }

    fn block(&self, route: u16, at: usize) -> u64 {
        self.cell(layout::in_block(self.slot(route), at))
    }

    fn cell(&self, at: usize) -> u64 {
        self.cells.get(at).copied().unwrap_or(0)
    }

    fn distribution(&self, base: usize, buckets: usize) -> Distribution {
        Distribution {
            buckets: (base..base + buckets).map(|at| self.cell(at)).collect(),
            sum: self.cell(base + buckets),
        }
    }
}
