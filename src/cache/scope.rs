//! Which entries a flush takes, and which a look into the cache shows.

use super::Entry;
use crate::wire::name::{Name, is_within};
use crate::wire::records::{NameBuf, Records};
use crate::wire::rtype;

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
    /// What is known of these names and of all names below them, and every answer in which one of them
    /// is spoken of: their owner has changed, and with it whom to believe about them.
    Moved(Vec<Name>),
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
            Scope::Moved(names) => {
                let within = |name: &[u8]| names.iter().any(|n| is_within(name, n.as_wire()));
                within(entry.name()) || names.iter().any(denies) || speaks_of(entry, within)
            }
        }
    }
}

/// Whether an answer has records of such names, or an alias that leads to one. One that cannot be
/// read may have.
fn speaks_of(entry: &Entry, such: impl Fn(&[u8]) -> bool) -> bool {
    let (view, [_, answer, authority, additional]) = (entry.view(), entry.header().counts);
    let named = |at: usize| NameBuf::expand(view.wire, at).is_none_or(|name| such(name.as_wire()));
    Records::new(view.wire, view.question_end, [answer, authority, additional]).any(|record| {
        let Ok(record) = record else { return true };
        let alias = matches!(record.rtype, rtype::CNAME | rtype::DNAME);
        named(record.start) || alias && named(record.rdata.start)
    })
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
