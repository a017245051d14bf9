//! What a route has from the block, and what it keeps when the file goes bad.
//!
//! A file that is missing, empty, half-written or of another shape says nothing, and what says nothing
//! changes nothing: a private name must not go to the internet because a file was away for a second. Of
//! the two lists each is believed where it names something. Only `"enable": false` takes all away.

use std::fmt::Write;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use super::{Block, ReadError};
use crate::cni::magic_dns::MagicDns;
use crate::config::{MAX_UPSTREAMS, Route, UpstreamAddr, suffix};
use crate::resolv_conf::{Nameserver, usable};
use crate::route::RouteTable;
use crate::wire::name::{Name, is_within};

/// The trees of reverse names, in wire format.
const REVERSE: [&[u8]; 2] = [b"\x07in-addr\x04arpa\0", b"\x03ip6\x04arpa\0"];

/// What the route with a `headcni_conflist` has from it.
#[derive(Debug, Clone, PartialEq)]
pub struct Learnt {
    /// Index of the route.
    pub route: u16,
    /// The file.
    pub file: PathBuf,
    /// The key of the block that was believed last; `None` before the first.
    pub key: Option<String>,
    /// Whether that block has said `"enable": false`, or none has been believed yet.
    pub off: bool,
    /// Suffixes from `search_domains`, beside the route's own; in the block's order.
    pub suffixes: Vec<Name>,
    /// Servers from `nameservers`, at most [`MAX_UPSTREAMS`]; before [`Learnt::usable`].
    pub servers: Vec<UpstreamAddr>,
    /// Search domains that are not taken because another route owns them: which, and who.
    pub left: Vec<String>,
    /// Values that were passed over, and why.
    pub refused: Vec<String>,
    /// Why the file says nothing, or not all, now.
    pub fault: Option<String>,
}

/// Servers that may be asked, and what is to be said about the others.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Servers {
    /// In the block's order.
    pub servers: Vec<UpstreamAddr>,
    /// What a person should know, a line each.
    pub said: Vec<String>,
}

impl Learnt {
    /// Nothing yet, for the route that learns from a file; `None` where none does.
    pub fn of(routes: &[Route]) -> Option<Learnt> {
        let (index, file) = routes
            .iter()
            .enumerate()
            .find_map(|(index, route)| Some((index, route.headcni_conflist.clone()?)))?;
        Some(Learnt {
            route: index as u16,
            file,
            key: None,
            off: true,
            suffixes: Vec::new(),
            servers: Vec::new(),
            left: Vec::new(),
            refused: Vec::new(),
            fault: None,
        })
    }

    /// Takes in what one look at the file has brought; `routes` are those of the configuration.
    pub fn take(&mut self, look: Result<Block, ReadError>, routes: &[Route]) {
        let block = match look {
            Ok(block) => block,
            Err(error) => {
                self.fault = Some(error.to_string());
                return;
            }
        };
        let file = self.file.display().to_string();
        let said = &block.said;
        if said.enable.is_none() {
            self.fault = Some(format!("{file}: {} does not say \"enable\": true", block.key));
            return;
        }
        (self.left, self.refused, self.fault) = (Vec::new(), Vec::new(), None);
        self.off = !said.is_enabled();
        if self.off {
            (self.suffixes, self.servers) = (Vec::new(), Vec::new());
        } else {
            let named = [
                (self.take_domains(said, routes), "search_domains names no domain"),
                (self.take_servers(said), "nameservers names no server"),
            ];
            let faults: Vec<&str> =
                named.iter().filter(|(good, _)| !good).map(|(_, what)| *what).collect();
            if !faults.is_empty() {
                self.fault = Some(format!("{file}: {}: {}", block.key, faults.join(", ")));
            }
        }
        self.key = Some(block.key);
    }

    /// False where the list has no domain; then nothing has changed.
    fn take_domains(&mut self, said: &MagicDns, routes: &[Route]) -> bool {
        let table = RouteTable::of(routes);
        let mut suffixes = Vec::new();
        let mut any = false;
        for text in &said.search_domains {
            let name = match domain(text) {
                Ok(name) => name,
                Err(why) => {
                    self.refused.push(format!("search_domains: {} {why}", shown(text)));
                    continue;
                }
            };
            any = true;
            // Also what lies below a suffix of theirs: a search list has svc.cluster.local in it, which is
            // no name of the tailnet's.
            let owner = table.find(name.as_wire()).filter(|owner| !owner.is_root());
            match owner.and_then(|owner| Some((owner, routes.get(usize::from(owner.route))?))) {
                Some((owner, route)) if owner.route != self.route => {
                    let rule = owner.describe(name.as_wire());
                    self.left.push(format!("{name} (route {}, {rule})", route.name));
                }
                Some((owner, _)) if owner.is_apex(name.as_wire()) => {}
                _ if suffixes.contains(&name) => {}
                _ => suffixes.push(name),
            }
        }
        if any {
            self.suffixes = suffixes;
        }
        any
    }

    /// False where the list has no address; then nothing has changed.
    fn take_servers(&mut self, said: &MagicDns) -> bool {
        let mut servers = Vec::new();
        for text in &said.nameservers {
            match text.parse::<UpstreamAddr>() {
                Ok(_) if servers.len() == MAX_UPSTREAMS => {
                    let what =
                        format!("nameservers: {} is one more than {MAX_UPSTREAMS}", shown(text));
                    self.refused.push(what);
                }
                Ok(server) => servers.push(server),
                Err(error) => self.refused.push(format!("nameservers: {} {error}", shown(text))),
            }
        }
        let any = !servers.is_empty();
        if any {
            self.servers = servers;
        }
        any
    }

    /// The servers that do not lead back to us or nowhere; `listen` and `own` as for
    /// [`usable`](fn@usable).
    pub fn usable(&self, listen: &[SocketAddr], own: &[IpAddr]) -> Servers {
        let list: Vec<Nameserver> = self
            .servers
            .iter()
            .map(|server| Nameserver { ip: server.addr.ip(), port: Some(server.addr.port()) })
            .collect();
        let found = usable(&list, listen, own, false);
        let refused = found.refused.iter().map(ToString::to_string);
        let said = refused.chain(found.warnings.iter().map(ToString::to_string)).collect();
        let server = |addr: &SocketAddr| self.servers.iter().find(|s| s.addr == *addr).copied();
        Servers { servers: found.servers.iter().filter_map(server).collect(), said }
    }

    /// `FILE, KEY`: where suffixes and servers come from. The file alone before it was read.
    pub fn origin(&self) -> String {
        match &self.key {
            Some(key) => format!("{}, {key}", self.file.display()),
            None => self.file.display().to_string(),
        }
    }

    /// Whether a suffix of so many labels, of `name`, comes from the file.
    pub fn gave(&self, name: &[u8], labels: usize) -> bool {
        self.suffixes.iter().any(|s| s.labels() == labels && is_within(name, s.as_wire()))
    }

    /// What is to be known of the file beside what it gives: that it is bad, or turned off. `None`
    /// mostly.
    pub fn trouble(&self) -> Option<String> {
        let mut text = match (&self.fault, self.off && self.key.is_some()) {
            (Some(fault), _) => fault.clone(),
            (None, true) => return Some(format!("{}: enable is false", self.origin())),
            (None, false) => return None,
        };
        let kept = if self.key.is_some() {
            "what it said last holds"
        } else {
            "nothing is known of it yet"
        };
        // Writing to a String does not fail.
        let _ = write!(text, "; {kept}");
        Some(text)
    }

    /// The suffixes that only one of the two has.
    pub fn moved(&self, before: &Learnt) -> Vec<Name> {
        let only = |a: &Learnt, b: &Learnt| -> Vec<Name> {
            a.suffixes.iter().filter(|name| !b.suffixes.contains(name)).cloned().collect()
        };
        [only(before, self), only(self, before)].concat()
    }

    /// Who owns which name, with what was learnt.
    pub fn table(&self, routes: &[Route]) -> RouteTable {
        let mut table = RouteTable::of(routes);
        self.suffixes.iter().for_each(|suffix| table.learn(suffix, self.route));
        table
    }
}

/// A search domain that can be a suffix of a route.
fn domain(text: &str) -> Result<Name, String> {
    let name = suffix::parse(text).map_err(|error| error.to_string())?;
    if name.is_root() {
        return Err("would be everything".into());
    }
    if REVERSE.iter().any(|tree| is_within(name.as_wire(), tree) || is_within(tree, name.as_wire()))
    {
        return Err("has reverse names, which are written in the route's reverse".into());
    }
    Ok(name)
}

/// A text of the file for a message: in quotes, control characters escaped, not too long.
fn shown(text: &str) -> String {
    match text.char_indices().nth(60) {
        None => format!("{text:?}"),
        Some((end, _)) => format!("{:?}...", text.get(..end).unwrap_or_default()),
    }
}
