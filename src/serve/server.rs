//! What all threads share.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use arc_swap::{ArcSwap, ArcSwapOption};

use super::{Waiter, chaos};
use crate::admit::AddressSet;
use crate::admit::cookies::Cookies;
use crate::admit::rate::Rate;
use crate::cache::{Cache, Front};
use crate::coalesce::Flights;
use crate::config::{Config, Nat64, Refuse, Source as ClientSource};
use crate::headcni::Learnt;
use crate::local;
use crate::pods;
use crate::route::RouteTable;
use crate::time::Clock;
use crate::upstream::Routes;

/// What all threads share.
pub struct Server {
    /// Answers.
    pub cache: Cache,
    /// Questions in flight and who waits for them.
    pub flights: Flights<Waiter>,
    /// Which route owns which name; replaced by [`Server::set_suffixes`].
    pub table: ArcSwap<RouteTable>,
    /// How often it was replaced.
    pub(super) moves: AtomicU64,
    /// What a route has from HeadCNI's block, for people.
    pub learnt: ArcSwapOption<Learnt>,
    /// What is answered without an upstream.
    pub local: local::Data,
    /// What the configuration says of each route.
    pub policies: Box<[RoutePolicy]>,
    /// Counts the replacements of the next three.
    changes: AtomicU64,
    /// The routes' upstreams, replaced when a resolver file changes.
    pub routes: ArcSwap<Routes>,
    /// Who may ask, replaced when the host's addresses change.
    pub acls: ArcSwap<Acls>,
    /// Whose clients' addresses are, replaced when pods come and go.
    pub pods: pods::Known,
    /// Name of this node, for `id.server` and NSID; 1 to 255 bytes.
    pub node: Box<str>,
    /// The clock of all ticks.
    pub clock: Clock,
    /// Makes server cookies.
    pub(super) cookies: Cookies,
    /// How much a client may ask, where that is limited.
    pub(super) rate: Option<Rate>,
    /// After how long an idle TCP connection is closed, in units of 100 ms (RFC 7828).
    pub(super) keepalive: u16,
    /// Entries of each thread's table in front of the cache.
    pub(super) front: usize,
    pub(super) stale_after: Duration,
    pub(super) prefetch: bool,
    /// Whether search lists of pods are walked.
    pub(super) autopath: bool,
    /// Names that are asked for as others.
    pub(super) rewrites: local::Rewrites,
    pub(super) refuse: Refuse,
    admit: (Vec<ClientSource>, Vec<ClientSource>),
}

/// A route's part of the configuration that answers depend on.
#[derive(Debug, Clone)]
pub struct RoutePolicy {
    /// Its name.
    pub name: Box<str>,
    /// Whether its names must not reach other routes' upstreams.
    pub private: bool,
    /// Whether its aliases into private routes are followed, where it is not private itself.
    pub follow_private: bool,
    /// Whether failures are answered NXDOMAIN.
    pub servfail_as_nxdomain: bool,
    /// How long past their expiry positive answers may serve.
    pub stale: Duration,
    /// The NAT64 for whose clients addresses are made (RFC 6147).
    pub dns64: Option<Nat64>,
    /// Its suffixes and reverse prefixes, for people.
    pub owns: Box<str>,
}

/// The lists of clients.
#[derive(Debug, Default)]
pub struct Acls {
    /// Who may ask.
    pub allow: AddressSet,
    /// Who may ask about others and the node.
    pub debug: AddressSet,
    /// The host's own addresses that "node" stood for.
    pub own: Vec<IpAddr>,
}

impl Server {
    /// From a validated configuration, the routes' upstreams and the host's addresses. All ticks
    /// are `clock`'s.
    pub fn new(
        config: &Config,
        node: String,
        routes: Routes,
        own: Vec<IpAddr>,
        clock: Clock,
    ) -> Server {
        let policies: Box<[RoutePolicy]> = config
            .routes
            .iter()
            .map(|route| RoutePolicy {
                name: route.name.as_str().into(),
                private: route.private,
                follow_private: route.follow_private,
                servfail_as_nxdomain: route.servfail_as_nxdomain,
                stale: route.stale,
                dns64: route.dns64,
                owns: chaos::owns(route).into(),
            })
            .collect();
        // The threads' tables come out of the budget, a quarter of it at the most.
        let threads = config.listen.shards.unwrap_or_else(crate::sys::cpus) + 1;
        let front = Front::fitting(config.cache.front, config.cache.memory / 4, threads);
        let in_front = (Front::bytes(front) * threads) as u64;
        let server = Server {
            front,
            cache: Cache::new(config.cache.memory - in_front, policies.len()),
            flights: Flights::new(config.listen.waiting, policies.len()),
            table: ArcSwap::from_pointee(RouteTable::new(config)),
            moves: AtomicU64::new(0),
            learnt: ArcSwapOption::empty(),
            policies,
            routes: ArcSwap::from_pointee(routes),
            changes: AtomicU64::new(0),
            acls: ArcSwap::default(),
            pods: pods::Known::default(),
            node: node.into(),
            clock,
            cookies: Cookies::new(config.admit.cookie_secret.as_ref()),
            rate: Rate::new(&config.admit),
            keepalive: tenths(config.listen.tcp.idle),
            stale_after: config.cache.stale_after,
            prefetch: config.cache.prefetch,
            autopath: config.pods.autopath && config.pods.dir.is_some(),
            local: local::Data::new(&config.local),
            rewrites: local::Rewrites::new(&config.local.rewrites),
            refuse: config.admit.refuse,
            admit: (config.admit.allow.clone(), config.admit.debug.clone()),
        };
        server.set_own_addresses(own);
        server
    }

    /// Takes over the host's own addresses; in force with each thread's next batch.
    pub fn set_own_addresses(&self, own: Vec<IpAddr>) {
        let (allow, debug) = &self.admit;
        self.acls.store(Arc::new(Acls {
            allow: AddressSet::new(allow, &own),
            debug: AddressSet::new(debug, &own),
            own,
        }));
        self.changes.fetch_add(1, Ordering::Release);
    }

    /// Takes over the routes' upstreams; in force with each thread's next batch.
    pub fn set_routes(&self, routes: Routes) {
        self.routes.store(Arc::new(routes));
        self.changes.fetch_add(1, Ordering::Release);
    }

    /// Takes over the pods; in force with each thread's next batch.
    pub fn set_pods(&self, pods: pods::Table) {
        self.pods.store(pods);
        self.changes.fetch_add(1, Ordering::Release);
    }

    /// Changes whenever the lists of clients, the pods or the upstreams were replaced.
    #[inline]
    pub(super) fn changes(&self) -> u64 {
        self.changes.load(Ordering::Acquire)
    }
}

/// In units of 100 ms, as far as sixteen bits go.
fn tenths(time: Duration) -> u16 {
    u16::try_from(time.as_millis() / 100).unwrap_or(u16::MAX)
}
