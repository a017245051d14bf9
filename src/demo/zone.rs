//! One zone as a table of names, and how a name is found in it.
//!
//! It owns the rules of RFC 1034, 4.3.2 and RFC 4592 that a small authority needs: exact names,
//! empty non-terminals, wildcards below the closest encloser, and names that are computed rather
//! than stored. It never looks at a message or a socket; [`super::authority`] does.

use std::borrow::Cow;
use std::collections::HashMap;

use hickory_proto::op::ResponseCode;
use hickory_proto::rr::rdata::SOA;
use hickory_proto::rr::{Name, RData, Record, RecordType};

/// Makes the records of a name that is not stored; `None` if there is no such name. The owner of
/// the records does not matter: it is replaced by the name that was asked.
pub type Computed = fn(&Name) -> Option<Vec<Record>>;

/// Which types follow an alias.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Aliases {
    /// Every type, as the standard has it (RFC 1034, 3.6.2).
    Every,
    /// Addresses and text only; other types see NODATA. CoreDNS treats ExternalName Services so.
    AddressesAndText,
}

/// A zone: what it holds, and what it says about what it does not hold.
#[derive(Debug)]
pub struct Zone {
    apex: Name,
    soa: Option<Record>,
    unknown: ResponseCode,
    aliases: Aliases,
    empty_non_terminals: bool,
    names: HashMap<Name, Vec<Record>>,
    computed: Vec<Computed>,
}

impl Zone {
    /// An empty zone whose negative answers carry `soa` with `ttl` (the least of it and the SOA's
    /// MINIMUM is how long they may be kept, RFC 2308, 5). The apex exists.
    pub fn new(apex: Name, ttl: u32, soa: SOA) -> Zone {
        let record = Record::from_rdata(apex.clone(), ttl, RData::SOA(soa));
        let mut zone = Zone::bare(apex.clone(), ResponseCode::NXDomain);
        zone.soa = Some(record.clone());
        zone.names.insert(apex, vec![record]);
        zone
    }

    /// An empty zone without a SOA, whose unknown names (the apex among them) get `unknown`.
    pub fn bare(apex: Name, unknown: ResponseCode) -> Zone {
        Zone {
            apex,
            soa: None,
            unknown,
            aliases: Aliases::Every,
            empty_non_terminals: true,
            names: HashMap::new(),
            computed: Vec::new(),
        }
    }

    /// Only the names that are added or named by [`Zone::exists`] exist: their ancestors do not.
    /// To be called before names are added.
    pub fn without_empty_non_terminals(mut self) -> Zone {
        self.empty_non_terminals = false;
        self
    }

    /// Which types follow an alias; [`Aliases::Every`] if this is not called.
    pub fn follow(mut self, aliases: Aliases) -> Zone {
        self.aliases = aliases;
        self
    }

    /// Names made by `computed` exist, too. Stored names win.
    pub fn compute(mut self, computed: Computed) -> Zone {
        self.computed.push(computed);
        self
    }

    /// Adds one record. A name may begin with `*` to be a wildcard.
    pub fn add(&mut self, owner: &Name, ttl: u32, data: RData) {
        debug_assert!(self.apex.zone_of(owner), "{owner} lies outside {}", self.apex);
        self.names.entry(owner.clone()).or_default().push(Record::from_rdata(
            owner.clone(),
            ttl,
            data,
        ));
        let mut ancestor = owner.base_name();
        while self.empty_non_terminals && ancestor.num_labels() > self.apex.num_labels() {
            self.exists(&ancestor);
            ancestor = ancestor.base_name();
        }
    }

    /// The name exists, with or without records.
    pub fn exists(&mut self, name: &Name) {
        self.names.entry(name.clone()).or_default();
    }

    /// The name at which the zone begins.
    pub fn apex(&self) -> &Name {
        &self.apex
    }

    /// What negative answers carry.
    pub fn soa(&self) -> Option<&Record> {
        self.soa.as_ref()
    }

    /// What a name that does not exist gets.
    pub fn unknown(&self) -> ResponseCode {
        self.unknown
    }

    /// Whether a question of type `kind` follows an alias in this zone.
    pub fn follows(&self, kind: RecordType) -> bool {
        match self.aliases {
            Aliases::Every => true,
            Aliases::AddressesAndText => {
                matches!(kind, RecordType::A | RecordType::AAAA | RecordType::TXT)
            }
        }
    }

    /// The records of `name`, none of them if it exists without; `None` if it does not exist.
    pub fn find(&self, name: &Name) -> Option<Cow<'_, [Record]>> {
        if let Some(records) = self.names.get(name) {
            return Some(Cow::Borrowed(records));
        }
        if let Some(records) = self.computed.iter().find_map(|computed| computed(name)) {
            return Some(Cow::Owned(records));
        }
        self.wildcard(name).map(Cow::Borrowed)
    }

    /// The source of synthesis (RFC 4592, 3.3.1): the `*` right below the closest encloser, and no
    /// other.
    fn wildcard(&self, name: &Name) -> Option<&[Record]> {
        let mut encloser = name.base_name();
        while encloser.num_labels() >= self.apex.num_labels() {
            if self.names.contains_key(&encloser) {
                let source = encloser.prepend_label("*").ok()?;
                return self.names.get(&source).map(Vec::as_slice);
            }
            if encloser.is_root() {
                return None;
            }
            encloser = encloser.base_name();
        }
        None
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::super::zones::{a, name};
    use super::*;

    fn zone() -> Zone {
        let soa = SOA::new(name("ns.example."), name("hostmaster.example."), 1, 2, 3, 4, 5);
        let mut zone = Zone::new(name("example."), 60, soa);
        zone.add(&name("a.b.c.example."), 60, a("192.0.2.1"));
        zone.add(&name("*.wild.example."), 60, a("192.0.2.2"));
        zone.add(&name("there.wild.example."), 60, a("192.0.2.3"));
        zone
    }

    fn found(zone: &Zone, owner: &str) -> Option<Vec<RData>> {
        let records = zone.find(&name(owner))?;
        Some(records.iter().map(|record| record.data.clone()).collect())
    }

    #[test]
    fn names_and_what_lies_between() {
        let zone = zone();
        assert_eq!(found(&zone, "A.b.C.example."), Some(vec![a("192.0.2.1")]));
        assert_eq!(found(&zone, "b.c.example."), Some(vec![]), "an empty non-terminal");
        assert_eq!(found(&zone, "x.c.example."), None);
        assert!(found(&zone, "example.").is_some_and(|records| records.len() == 1), "the SOA");
    }

    #[test]
    fn only_the_closest_encloser_has_wildcards() {
        let zone = zone();
        assert_eq!(found(&zone, "x.wild.example."), Some(vec![a("192.0.2.2")]));
        assert_eq!(found(&zone, "x.y.wild.example."), Some(vec![a("192.0.2.2")]));
        assert_eq!(found(&zone, "there.wild.example."), Some(vec![a("192.0.2.3")]));
        assert_eq!(found(&zone, "x.there.wild.example."), None, "its encloser is there.wild");
    }

    #[test]
    fn a_zone_may_leave_its_ancestors_out() {
        let mut zone =
            Zone::bare(name("example."), ResponseCode::ServFail).without_empty_non_terminals();
        zone.add(&name("a.b.example."), 60, a("192.0.2.1"));
        assert_eq!(found(&zone, "b.example."), None);
        assert_eq!(found(&zone, "example."), None);
        zone.exists(&name("b.example."));
        assert_eq!(found(&zone, "b.example."), Some(vec![]));
    }

    #[test]
    fn computed_names_give_way_to_stored_ones() {
        let mut zone = Zone::bare(name("example."), ResponseCode::NXDomain).compute(|asked| {
            let label = asked.iter().next()?;
            (label == b"made").then(|| vec![Record::from_rdata(asked.clone(), 1, a("192.0.2.9"))])
        });
        assert_eq!(found(&zone, "made.example."), Some(vec![a("192.0.2.9")]));
        zone.add(&name("made.example."), 60, a("192.0.2.1"));
        assert_eq!(found(&zone, "made.example."), Some(vec![a("192.0.2.1")]));
    }
}
