//! New content of the hosts file, taken over while queries are served.

use super::Server;
use crate::cache::Key;
use crate::local::hosts::Hosts;
use crate::wire::name::Name;
use crate::wire::rtype;

/// The types that are asked for of hosts and of addresses.
const TYPES: [u16; 4] = [rtype::A, rtype::AAAA, rtype::PTR, rtype::HTTPS];

impl Server {
    /// Answers from what the hosts file says now, and forgets what is cached of the names of which
    /// it said something else before (reverse names among them); returns these. Answers of rarer
    /// types stay cached until they expire.
    pub fn set_hosts(&self, hosts: Hosts) -> Vec<Name> {
        let changed = self.local.set_hosts(hosts);
        for name in &changed {
            self.forget_name(name);
        }
        changed
    }

    fn forget_name(&self, name: &Name) {
        for (dnssec_ok, checking) in [(false, false), (false, true), (true, false), (true, true)] {
            for qtype in TYPES {
                let key = Key::of(name.as_wire(), qtype, dnssec_ok, checking);
                self.cache.forget(self.cache.hashed(key.as_bytes()));
            }
            let any = Key::of(name.as_wire(), 0, dnssec_ok, checking);
            let whole = Key::of_name(any.as_bytes());
            self.cache.forget(self.cache.hashed(whole.as_bytes()));
        }
    }
}
