//! Which namespaces are counted apart.
//!
//! A namespace gets its slot when its first pod is seen and keeps it while the daemon runs: a counter
//! that changed its meaning would mislead. So their number is bounded; whatever comes later is
//! counted as `other`.

use std::sync::Arc;

use hashbrown::HashMap;

/// Label value of clients behind which no pod or no namespace is known; no namespace can be called so.
pub const NO_NAMESPACE: &str = "(none)";
/// Label value of the namespaces for which there was no room.
pub const OTHER: &str = "other";

/// The slots: 0 is [`NO_NAMESPACE`]'s, 1 is [`OTHER`]'s, then a namespace each.
#[derive(Debug)]
pub struct Namespaces {
    slots: HashMap<Box<str>, u16>,
    names: Vec<Box<str>>,
    most: usize,
}

impl Namespaces {
    /// At most `most` namespaces of their own, up to 1000.
    pub fn new(most: usize) -> Namespaces {
        let names: Vec<Box<str>> = vec![NO_NAMESPACE.into(), OTHER.into()];
        // A namespace that is called so is among the others.
        let slots = HashMap::from_iter([(OTHER.into(), 1)]);
        Namespaces { slots, names, most: most.min(1000) }
    }

    /// How many slots `most` namespaces take.
    pub fn slots(most: usize) -> usize {
        most + 2
    }

    pub(super) fn slot(&mut self, namespace: Option<&str>) -> u16 {
        let Some(namespace) = namespace else { return 0 };
        if let Some(slot) = self.slots.get(namespace) {
            return *slot;
        }
        if self.names.len() >= Namespaces::slots(self.most) {
            return 1;
        }
        let slot = self.names.len() as u16;
        self.names.push(namespace.into());
        self.slots.insert(namespace.into(), slot);
        slot
    }

    pub(super) fn names(&self) -> Arc<[Box<str>]> {
        self.names.clone().into()
    }
}
