//! Which entries a flush takes, and which a look into the cache shows.

use super::Entry;
use crate::wire::name::{Name, is_within};

/// What is to be forgotten.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Scope {
    /// Everything.
    All,
    /// What is known of one name, of whatever type and for whatever flags.
    Name(Name),
    /// What is known of a name and of all names below it.
    Suffix(Name),
    /// What came by the route of this index.
    Route(u16),
}

impl Scope {
    /// Whether an entry goes. With a name also goes the knowledge that a name above it does not
    /// exist, since that denies the name too (RFC 8020): after the flush it shall be asked for.
    pub(super) fn covers(&self, entry: &Entry) -> bool {
        let denies = |name: &Name| entry.is_of_name() && is_within(name.as_wire(), entry.name());
        match self {
            Scope::All => true,
            Scope::Name(name) => entry.name() == name.as_wire() || denies(name),
            Scope::Suffix(name) => is_within(entry.name(), name.as_wire()) || denies(name),
            Scope::Route(route) => entry.route() == *route,
        }
    }
}

/// What is to be shown; what is not given does not matter.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filter {
    /// A name and all below it.
    pub suffix: Option<Name>,
    /// Index of a route.
    pub route: Option<u16>,
}

impl Filter {
    pub(super) fn takes(&self, entry: &Entry) -> bool {
        self.route.is_none_or(|route| entry.route() == route)
            && self.suffix.as_ref().is_none_or(|name| is_within(entry.name(), name.as_wire()))
    }
}
