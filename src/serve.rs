//! The road of a query: the one place that knows all stations and puts them in a row.
//!
//! A [`Desk`] belongs to one thread. It is given a packet and answers at once (a hit, a local name, a
//! fault), keeps silent, or says what must be asked of an upstream; when that has ended it settles
//! what everybody who waited gets. It owns no socket and no clock.

use std::cell::{Cell, RefCell};
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use crate::answer::{self, Answer};
use crate::cache::{Entry, Freshness, Front, Hashed, Key, Probe, SharedKey};
use crate::config::Refuse;
use crate::pods::Table;
use crate::respond::{self, Ask, Ttl};
use crate::telemetry::labels::{DropReason, Family, Kind, Proto, Source};
use crate::telemetry::querylog::{QueryLog, Record};
use crate::telemetry::stats::Stats;
use crate::time::Tick;
use crate::upstream::{RouteRef, RouteView, Routes};
use crate::wire::CLASS_IN;
use crate::wire::edns::Keepalive;
use crate::wire::header::{Rcode, flag};
use crate::wire::query::Query;

mod autopath;
mod borders;
mod chaos;
mod denied;
mod foresee;
mod hosts;
mod journey;
mod late;
mod miss;
mod moved;
mod options;
mod pods;
mod refuse;
mod server;
mod settle;
mod travel;
mod waiter;

pub use foresee::Foreseen;
pub use journey::Arrived;
pub use server::{Acls, RoutePolicy, Server};
pub use settle::Settled;
pub use travel::GoneOn;
pub use waiter::{ReplyTo, StreamSink, Waiter};

use waiter::Waiting;

/// Who asks, and how.
#[derive(Debug, Clone, Copy)]
pub struct Client {
    /// Where the answer goes.
    pub addr: SocketAddr,
    /// By which transport.
    pub proto: Proto,
}

/// What is to be done with a packet.
// A miss is handed on at once, not stored: a box for it would cost more than the copy.
#[allow(clippy::large_enum_variant)]
pub enum Step {
    /// So many bytes of the buffer are the answer.
    Reply(usize),
    /// Nothing.
    Silent,
    /// To be joined, with a way to reply, by [`Desk::join`].
    Miss(Miss),
}

/// A question that only an upstream can answer.
pub struct Miss {
    /// Its key.
    pub key: SharedKey,
    ended: usize,
    /// Index of the route that owns the name.
    pub route: u16,
    /// Whether there is an answer past its expiry.
    late: bool,
    waiter: Waiting,
}

/// What became of a miss.
pub enum Joined {
    /// An exchange must be started for it, by a shard, unless [`Desk::ready`] finds an answer where that may be.
    Start {
        /// Its key.
        key: SharedKey,
        /// Its route.
        route: u16,
        /// Whether [`Desk::ready`] may find an answer.
        look: bool,
        /// After how long [`Desk::late`] has one past its expiry.
        late: Option<Duration>,
    },
    /// It waits with others.
    Waits,
    /// There are too many waiters; nothing will be answered.
    Shed,
}

/// One thread's view of the server, its counters and its share of the query log.
pub struct Desk {
    /// What all share.
    pub server: Arc<Server>,
    /// This thread's counters.
    pub stats: Arc<Stats>,
    log: QueryLog,
    /// The server's count of changes that `acls`, `pods` and `routes` belong to.
    changes: u64,
    acls: Arc<Acls>,
    pods: Arc<Table>,
    /// Whether requests are counted by namespace.
    by_namespace: bool,
    /// Whether search lists of pods are walked.
    autopath: bool,
    routes: Rc<RouteView>,
    /// Hits of the batch by route, for the histogram.
    hits: Vec<Cell<u64>>,
    front: RefCell<Front>,
    /// Questions to be asked for the cache's sake, not for a client's, and their routes.
    renewals: RefCell<Vec<(SharedKey, u16)>>,
    /// When a part of `front` is cleaned.
    next_clean: Tick,
    /// The cache's epoch that `front` belongs to.
    epoch: u64,
}

/// How often a part of a thread's own table is due to be cleaned: all of it within seven seconds, as
/// long as the thread has a turn every second.
const CLEAN_EVERY: Duration = Duration::from_millis(100);
/// The TTL of a stale answer in seconds (RFC 8767, 4).
const STALE_TTL: u32 = 30;

impl Desk {
    /// A desk for the calling thread.
    pub fn new(server: Arc<Server>, stats: Arc<Stats>, log: QueryLog) -> Desk {
        // Read before what it counts: what is replaced from here on is seen with the first batch.
        let changes = server.changes();
        let acls = server.acls.load_full();
        let pods = server.pods.load();
        let by_namespace = stats.counts_namespaces();
        let autopath = server.autopath;
        let routes = Rc::new(RouteView(server.routes.load_full()));
        let hits = vec![Cell::new(0); server.policies.len()];
        let front = RefCell::new(Front::new(server.front));
        let epoch = server.cache.epoch();
        let next_clean = server.clock.now() + CLEAN_EVERY;
        let renewals = RefCell::default();
        Desk {
            server,
            stats,
            log,
            changes,
            acls,
            pods,
            by_namespace,
            autopath,
            routes,
            hits,
            front,
            renewals,
            next_clean,
            epoch,
        }
    }

    /// Looks whether access lists, pods or upstreams were replaced; true if the upstreams were. To be
    /// called once a batch.
    #[inline]
    pub fn refresh(&mut self) -> bool {
        let epoch = self.server.cache.epoch();
        if epoch != self.epoch {
            self.epoch = epoch;
            *self.front.borrow_mut() = Front::new(self.server.front);
        }
        let changes = self.server.changes();
        if changes == self.changes {
            return false;
        }
        self.changes = changes;
        self.acls = self.server.acls.load_full();
        self.pods = self.server.pods.load();
        let routes = self.server.routes.load_full();
        let changed = !Arc::ptr_eq(&routes, &self.routes.0);
        if changed {
            self.routes = Rc::new(RouteView(routes));
        }
        changed
    }

    /// Whether this client may ask.
    pub fn admits(&self, client: IpAddr) -> bool {
        self.acls.allow.contains(client)
    }

    /// Whether clients that may not ask get no answer at all.
    pub fn is_silent_to_strangers(&self) -> bool {
        self.server.refuse == Refuse::Drop
    }

    /// The upstreams as this thread knows them.
    pub fn routes(&self) -> &Routes {
        &self.routes.0
    }

    /// A route of them.
    pub fn route(&self, index: u16) -> Option<RouteRef> {
        RouteRef::new(&self.routes, index)
    }

    /// Answers a packet that came at `now` into `out`, or says what else to do. `out` has at least
    /// 1232 bytes for a datagram and 65,535 for a stream. `foreseen` is what [`Desk::foresee`] said of
    /// the same packet, or nothing.
    #[inline]
    pub fn ask(
        &mut self,
        packet: &[u8],
        foreseen: Foreseen,
        client: Client,
        now: Tick,
        out: &mut [u8],
    ) -> Step {
        self.stats.request_size(client.proto, packet.len());
        let query = match Query::parse(packet) {
            Ok(query) => query,
            Err(fault) => return self.fault(packet, fault, client, now, out),
        };
        if client.addr.port() == 0 {
            self.stats.dropped(DropReason::Source);
            return Step::Silent;
        }
        let stream = client.proto == Proto::Tcp;
        if stream && query.edns.as_ref().is_some_and(|e| e.keepalive == Keepalive::Data) {
            return self.fault(packet, query.malformed(), client, now, out);
        }
        if !self.acls.allow.contains(client.addr.ip()) {
            return self.refuse_stranger(&query, client, now, out);
        }
        if self.is_over_rate(client, now) && !self.is_self_query(&query, client) {
            return self.turn_away(packet, &query, client, out);
        }
        if self.by_namespace && !self.is_self_query(&query, client) {
            self.count_namespace(client);
        }
        let ask = self.ask_of(&query, client);
        if query.qclass != CLASS_IN {
            return self.ask_chaos(&query, &ask, client, now, out);
        }
        if !self.server.rewrites.is_empty()
            && let Some(step) = self.rewritten(&query, &ask, client, now, out)
        {
            return step;
        }
        let cd = query.header.has(flag::CD);
        let name_hash = match foreseen.0 {
            Some((hash, _)) => hash,
            None => self.name_hash(query.name),
        };
        let flags = (query.dnssec_ok(), cd);
        let mut front = self.front.borrow_mut();
        if let Some((entry, age)) =
            front.get(Probe::new(query.name, query.qtype, flags, name_hash), now)
        {
            if !self.autopath || entry.rcode() != Rcode::NXDOMAIN {
                return self.hit(&query, &ask, client, (entry, age), now, out);
            }
            let entry = entry.clone();
            drop(front);
            return self.denied(&query, &ask, client, (&entry, age), now, out);
        }
        let key = Key::of(query.name, query.qtype, flags.0, flags.1);
        let hashed = Hashed::new(key.as_bytes(), name_hash);
        let ended = self.server.flights.ended(hashed);
        let mut late = false;
        if let Some(entry) = self.server.cache.get(hashed) {
            match entry.freshness(now) {
                Freshness::Fresh(age) if entry.is_whole() => {
                    front.put(hashed, &entry);
                    if self.autopath && entry.rcode() == Rcode::NXDOMAIN {
                        drop(front);
                        return self.denied(&query, &ask, client, (&entry, age), now, out);
                    }
                    return self.hit(&query, &ask, client, (&entry, age), now, out);
                }
                Freshness::Fresh(age) => {
                    drop(front);
                    if entry.is_ending(now) {
                        self.renew_ending(&entry, query.header.has(flag::RD));
                    }
                    let found = Settled::fresh(entry, age);
                    return self.beginning(&query, &ask, client, found, now, out);
                }
                Freshness::Stale => late = true,
                Freshness::Dead => {}
            }
        }
        drop(front);
        self.miss(&query, &ask, client, (hashed, ended, late), now, out)
    }

    /// A hit that says that the name does not exist, which may not be the last word: see [`autopath`].
    #[cold]
    fn denied(
        &mut self,
        query: &Query<'_>,
        ask: &Ask<'_>,
        client: Client,
        (entry, age): (&Entry, u32),
        now: Tick,
        out: &mut [u8],
    ) -> Step {
        let Some(path) = self.path(query, entry.name(), client, now) else {
            return self.hit(query, ask, client, (entry, age), now, out);
        };
        let route = entry.route();
        self.stats.request(route, client.proto, Family::of(&client.addr), query.qtype);
        let found = Settled::fresh(entry.clone(), age);
        self.walk(Reply { query, ask, client, route, now }, path, found, out)
    }

    #[inline]
    fn hit(
        &self,
        query: &Query<'_>,
        ask: &Ask<'_>,
        client: Client,
        (entry, age): (&Entry, u32),
        now: Tick,
        out: &mut [u8],
    ) -> Step {
        if entry.is_ending(now) {
            self.renew_ending(entry, query.header.has(flag::RD));
        }
        let nsid = self.server.node.as_bytes();
        let len = respond::answer(entry.view(), ask, Ttl::Elapsed(age), None, nsid, out);
        let route = entry.route();
        self.stats.request(route, client.proto, Family::of(&client.addr), query.qtype);
        let rcode = entry.rcode();
        let source = Source::Cache(kind(entry));
        self.stats.response(route, rcode.0, source);
        self.stats.response_size(client.proto, len);
        if let Some(hits) = self.hits.get(usize::from(route)) {
            hits.set(hits.get() + 1);
        }
        if self.log.wants(rcode.0) {
            let line = Line { route, rcode, source, size: len, took: Duration::ZERO };
            self.log_query(query.name, query.qtype, client, line);
        }
        Step::Reply(len)
    }

    /// Lets go of answers that have left the cache, a part at a time.
    #[inline]
    pub fn tidy(&mut self, now: Tick) {
        if now >= self.next_clean {
            let late = now.since(self.next_clean).as_millis() / CLEAN_EVERY.as_millis();
            for _ in 0..=late.min(Front::PARTS as u128) {
                self.front.get_mut().clean();
            }
            self.next_clean = now + CLEAN_EVERY;
        }
    }

    /// Whether [`Desk::tidy`] may find something.
    pub fn wants_tidying(&self) -> bool {
        !self.front.borrow().is_empty()
    }

    /// Counts the hits since the last call as having taken this long together, from the arrival of
    /// their batch to the handing over of their answers.
    #[inline]
    pub fn end_batch(&mut self, started: Tick, now: Tick) {
        self.tidy(now);
        let nanos = u64::try_from(now.since(started).as_nanos()).unwrap_or(u64::MAX);
        for (route, hits) in self.hits.iter().enumerate().filter(|(_, hits)| hits.get() > 0) {
            let count = hits.take();
            self.stats.duration(route as u16, Source::Cache(Kind::Positive), nanos, count);
        }
    }

    fn reply(
        &mut self,
        reply: Reply<'_, '_>,
        answer: &Answer,
        source: Source,
        out: &mut [u8],
    ) -> Step {
        let nsid = self.server.node.as_bytes();
        let len = respond::answer(answer.view(), reply.ask, Ttl::Elapsed(0), None, nsid, out);
        self.replied(reply, answer.rcode(), source, len)
    }

    fn replied(&mut self, reply: Reply<'_, '_>, rcode: Rcode, source: Source, len: usize) -> Step {
        self.count(reply.route, reply.client, rcode, source, len);
        let took = self.server.clock.now().since(reply.now);
        let nanos = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        self.stats.duration(reply.route, source, nanos, 1);
        if self.log.wants(rcode.0) {
            let line = Line { route: reply.route, rcode, source, size: len, took };
            self.log_query(reply.query.name, reply.query.qtype, reply.client, line);
        }
        if len == 0 { Step::Silent } else { Step::Reply(len) }
    }

    fn count(&self, route: u16, client: Client, rcode: Rcode, source: Source, len: usize) {
        self.stats.response(route, rcode.0, source);
        self.stats.response_size(client.proto, len);
    }

    #[cold]
    fn log_query(&self, name: &[u8], qtype: u16, client: Client, line: Line) {
        let mut record = Record::new(name, client.addr, SystemTime::now());
        record.proto = client.proto;
        record.qtype = qtype;
        record.rcode = line.rcode.0;
        record.source = line.source;
        record.route = line.route;
        record.duration = line.took;
        record.size = line.size as u16;
        record.pod = self.pods.find(client.addr.ip()).cloned();
        self.log.log(&self.stats, record);
    }
}

/// What a reply is to and whom it goes to.
struct Reply<'a, 'q> {
    query: &'a Query<'q>,
    ask: &'a Ask<'q>,
    client: Client,
    route: u16,
    now: Tick,
}

/// What the query log says of an answer.
struct Line {
    route: u16,
    rcode: Rcode,
    source: Source,
    size: usize,
    took: Duration,
}

/// The label of an entry's kind.
fn kind(entry: &Entry) -> Kind {
    match entry.kind() {
        answer::Kind::Positive => Kind::Positive,
        answer::Kind::Negative => Kind::Negative,
        answer::Kind::Failure => Kind::Failure,
    }
}
