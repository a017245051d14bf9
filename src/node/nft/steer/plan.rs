//! What the node's table should hold, as a plain value, and the rules that follow from it.
//!
//! Base chains only look at the port, so that a packet that is not DNS costs two comparisons (four
//! on its way out), however many addresses there are.

use std::collections::HashSet;
use std::net::IpAddr;

use super::super::expr::{End, Expr};
use super::super::message::Batch;
use super::super::pairs::check_pairs;
use super::super::rules::{
    TRANSPORTS, address_in, address_is, base_chain, plain_chain, port_is_dns, set_address,
};
use super::super::table::{Chain, PRIORITY_FILTER, PRIORITY_RAW, Set, Table};
use super::super::{MAX_ADDRESSES, Pair, PlanError};
use super::{TABLE, check};

const ALIVE_V4: &str = "alive4";
const ALIVE_V6: &str = "alive6";
/// The sets of addresses that are alive.
pub(super) const ALIVE: [&str; 2] = [ALIVE_V4, ALIVE_V6];
const ARRIVING: &str = "arriving";
const QUERIES: &str = "queries";
const ANSWERS: &str = "answers";
const ASKED: &str = "asked";
const ANSWERED: &str = "answered";

/// The addresses of the node's server and the part of each.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    local: Vec<IpAddr>,
    stand_ins: Vec<Pair>,
    services: Vec<IpAddr>,
    /// Pairs whose stand-ins nobody answers on any more.
    led: Vec<Pair>,
}

impl Plan {
    /// `local`: addresses that we alone answer on, always untracked. `stand_ins` (`cni` mode): pairs
    /// as in [`super::super::redirect::add`]. `services` (`service-ip` mode): cluster DNS addresses
    /// that we have bound. Each at most [`super::super::MAX_ADDRESSES`]; not all empty; no address
    /// of ours in two of them.
    pub fn new(
        local: Vec<IpAddr>,
        stand_ins: Vec<Pair>,
        services: Vec<IpAddr>,
    ) -> Result<Self, PlanError> {
        check(&local, &stand_ins, &services)?;
        Ok(Self { local, stand_ins, services, led: Vec::new() })
    }

    /// The plan of a node without a server of ours, whose redirected pods are led to the cluster DNS; `None`
    /// without a pair. One that contradicts those before it is passed over, and so are those beyond
    /// [`MAX_ADDRESSES`].
    pub fn fallback(pairs: &[Pair]) -> Option<Self> {
        let mut stand_ins: Vec<Pair> = Vec::new();
        for pair in pairs {
            stand_ins.push(*pair);
            if check(&[], &stand_ins, &[]).is_err() {
                stand_ins.pop();
            }
        }
        Self::new(Vec::new(), stand_ins, Vec::new()).ok()
    }

    /// Leads to the cluster DNS, always, what comes for the stand-ins of these pairs: pods that were
    /// redirected under another configuration live on. A pair that the plan has already or that contradicts
    /// it is passed over, and so are those beyond [`MAX_ADDRESSES`].
    pub fn leading(mut self, pairs: &[Pair]) -> Self {
        let mut taken: HashSet<IpAddr> = self.ours().into_iter().collect();
        taken.extend(self.stand_ins.iter().map(|(cluster, _)| *cluster));
        for pair in pairs {
            let usable = check_pairs(&[*pair]).is_ok() && !taken.contains(&pair.1);
            if usable
                && !self.led.iter().any(|(c, _)| *c == pair.1)
                && self.led.len() < MAX_ADDRESSES
            {
                taken.insert(pair.1);
                self.led.push(*pair);
            }
        }
        self
    }

    /// The plan of a node whose server is gone for good, if redirected pods need any.
    pub(super) fn at_rest(&self) -> Option<Self> {
        let (stand_ins, led) = (self.stand_ins.clone(), self.led.clone());
        let rest = Self { local: Vec::new(), stand_ins, services: Vec::new(), led };
        (!(rest.stand_ins.is_empty() && rest.led.is_empty())).then_some(rest)
    }

    /// Whether any address is ours only while we are alive.
    pub fn has_pulse(&self) -> bool {
        !(self.stand_ins.is_empty() && self.services.is_empty())
    }

    /// The sets, and what is in each while we are alive.
    pub(super) fn pulse(&self) -> [(&'static str, Vec<IpAddr>); 2] {
        let stand_ins = self.stand_ins.iter().map(|(_, stand_in)| *stand_in);
        let (v4, v6) = stand_ins.chain(self.services.iter().copied()).partition(IpAddr::is_ipv4);
        [(ALIVE_V4, v4), (ALIVE_V6, v6)]
    }

    /// The whole table.
    pub(in super::super) fn table(&self) -> Table {
        let set = |name: &str, ipv6| Set { name: name.to_owned(), ipv6 };
        let prerouting = (libc::NF_INET_PRE_ROUTING, PRIORITY_RAW);
        let output = (libc::NF_INET_LOCAL_OUT, PRIORITY_RAW);
        let input = (libc::NF_INET_LOCAL_IN, PRIORITY_FILTER);
        let leaving = (libc::NF_INET_LOCAL_OUT, PRIORITY_FILTER);
        let (to, from) = (End::Destination, End::Source);
        let mut outgoing = jumps(to, QUERIES);
        outgoing.extend(jumps(from, ANSWERS));
        Table {
            name: TABLE.to_owned(),
            comment: "horizond: DNS of this node and its pods",
            sets: vec![set(ALIVE_V4, false), set(ALIVE_V6, true)],
            chains: vec![
                base_chain("raw_prerouting", "filter", prerouting, jumps(to, ARRIVING)),
                base_chain("raw_output", "filter", output, outgoing),
                base_chain("filter_input", "filter", input, jumps(to, ASKED)),
                base_chain("filter_output", "filter", leaving, jumps(from, ANSWERED)),
                plain_chain(ARRIVING, self.arriving()),
                plain_chain(QUERIES, self.queries()),
                plain_chain(ANSWERS, each(from, &self.ours(), &[Expr::Notrack, Expr::Accept])),
                plain_chain(ASKED, each(to, &self.ours(), &[Expr::Counter, Expr::Accept])),
                self.answered(),
            ],
        }
    }

    /// Every address that we answer on.
    fn ours(&self) -> Vec<IpAddr> {
        let stand_ins = self.stand_ins.iter().map(|(_, stand_in)| stand_in);
        self.local.iter().chain(stand_ins).chain(&self.services).copied().collect()
    }

    /// What is for us goes untracked.
    fn queries(&self) -> Vec<Vec<Expr>> {
        let to = End::Destination;
        let mut rules = each(to, &self.local, &[Expr::Notrack, Expr::Accept]);
        for (set, ips) in self.pulse() {
            if let Some(like) = ips.first() {
                let mut rule = address_in(to, *like, set);
                rule.extend([Expr::Notrack, Expr::Accept]);
                rules.push(rule);
            }
        }
        rules
    }

    /// What comes from pods and is not for us goes to the cluster DNS. Not what the node's own
    /// programs ask: nothing would turn the answers' source back.
    fn arriving(&self) -> Vec<Vec<Expr>> {
        let mut rules = vec![vec![Expr::Jump(QUERIES.to_owned())]];
        rules.extend(self.stand_ins.iter().chain(&self.led).map(way_around));
        rules
    }

    /// Our pairs whose stand-ins a table that was found does not lead to their cluster DNS.
    pub(super) fn lacking(&self, found: &Table) -> Vec<Pair> {
        let rules = rules(found, ARRIVING);
        let lacks =
            |pair: &&Pair| is_contradicted(pair, found) || !rules.contains(&way_around(pair));
        self.stand_ins.iter().filter(lacks).copied().collect()
    }

    /// The whole table, which leads besides what one that was found leads and ours does not.
    pub(super) fn table_beside(&self, found: &Table) -> Table {
        let mut table = self.table();
        let is_ours = |rule: &[Expr]| self.stand_ins.iter().any(|pair| is_about(rule, pair));
        let others = rules(found, ARRIVING).iter().filter(|rule| !is_jump(rule) && !is_ours(rule));
        let others: Vec<Vec<Expr>> = others.cloned().collect();
        let arriving = table.chains.iter_mut().find(|chain| chain.name == ARRIVING);
        arriving.into_iter().for_each(|chain| chain.rules.extend(others.iter().cloned()));
        table
    }

    fn answered(&self) -> Chain {
        let rules = each(End::Source, &self.ours(), &[Expr::Counter, Expr::Accept]);
        plain_chain(ANSWERED, rules)
    }
}

fn rules<'a>(table: &'a Table, name: &str) -> &'a [Vec<Expr>] {
    let chain = table.chains.iter().find(|chain| chain.name == name);
    chain.map(|chain| chain.rules.as_slice()).unwrap_or_default()
}

/// Whether some of its addresses are a daemon's, dead or alive: those that are in no set.
pub(super) fn has_local(table: &Table) -> bool {
    let in_set = |rule: &Vec<Expr>| rule.iter().any(|step| matches!(step, Expr::InSet(_)));
    !rules(table, QUERIES).iter().all(in_set)
}

/// How many stand-ins it leads.
pub(super) fn ways_around(table: &Table) -> usize {
    rules(table, ARRIVING).iter().filter(|rule| !is_jump(rule)).count()
}

/// Whether something else is done first in it with what is for the stand-in.
pub(super) fn is_contradicted(pair: &Pair, table: &Table) -> bool {
    let first = rules(table, ARRIVING).iter().find(|rule| is_about(rule, pair));
    first.is_some_and(|rule| *rule != way_around(pair))
}

/// Leads one more, behind those that are led.
pub(super) fn append(pair: &Pair, batch: &mut Batch) {
    batch.append(TABLE, ARRIVING, &way_around(pair));
}

fn is_about(rule: &[Expr], (_, stand_in): &Pair) -> bool {
    rule.starts_with(&address_is(End::Destination, *stand_in))
}

fn is_jump(rule: &[Expr]) -> bool {
    matches!(rule, [Expr::Jump(_)])
}

/// What is for a stand-in goes to its cluster DNS address.
fn way_around((cluster, stand_in): &Pair) -> Vec<Expr> {
    let to = End::Destination;
    [address_is(to, *stand_in), set_address(to, *cluster)].concat()
}

/// One rule for each address, that does `then`.
fn each(end: End, ips: &[IpAddr], then: &[Expr]) -> Vec<Vec<Expr>> {
    let rule = |ip: &IpAddr| [address_is(end, *ip), then.to_vec()].concat();
    ips.iter().map(rule).collect()
}

/// `udp dport 53 jump CHAIN`, and the same for TCP.
fn jumps(end: End, chain: &str) -> Vec<Vec<Expr>> {
    let jump = || Expr::Jump(chain.to_owned());
    TRANSPORTS.into_iter().map(|t| [port_is_dns(t, end), vec![jump()]].concat()).collect()
}
