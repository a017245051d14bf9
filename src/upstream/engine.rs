//! The exchanges of one shard: which upstream is asked next, what an answer or a silence means.

use std::collections::HashMap;
use std::ops::Deref;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use super::RouteState;
use super::choose;
use super::lane::Lane;
use super::slots::{Slots, Ticket};
use super::tcp::{self, Connection};
use super::udp::{Pending, Socket};
use super::wheel::Wheel;
use crate::accept::{Accepted, Horizons, Spelling};
use crate::cache::{Key, SharedKey};
use crate::config::Transport;
use crate::sys::Epoll;
use crate::time::Tick;
use crate::wire::edns::Ede;

mod exchange;
mod query;
mod sockets;
mod timers;
mod verdict;

use exchange::{Attempt, Cause, Exchange, MAX_ATTEMPTS, Trouble};
use query::{QUERY_MAX, write_query};
use timers::patience;

/// The routes of one moment, shared by all shards.
pub type Routes = Vec<RouteState>;

/// One thread's hold on the routes: counted by that thread alone, so that shards do not meet at the
/// shared count with every miss.
pub struct RouteView(pub Arc<Routes>);

/// A route in a table that may be replaced while an exchange is under way.
#[derive(Clone)]
pub struct RouteRef {
    view: Rc<RouteView>,
    at: usize,
}

impl RouteRef {
    /// The route at `index`; `None` if there is none.
    pub fn new(view: &Rc<RouteView>, index: u16) -> Option<RouteRef> {
        let at = usize::from(index);
        (at < view.0.len()).then(|| RouteRef { view: Rc::clone(view), at })
    }
}

impl Deref for RouteRef {
    type Target = RouteState;

    fn deref(&self) -> &RouteState {
        &self.view.0[self.at]
    }
}

/// Why an exchange was not begun.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// Every slot of the shard is taken.
    Full,
    /// The route has its share of the slots, so that one dead horizon cannot starve the others.
    RouteFull,
}

/// How an exchange ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// With an answer.
    Answer(Accepted),
    /// Without one.
    Failure {
        /// Why, for clients.
        reason: Ede,
        /// Whether nothing but this host's own limits stood in the way.
        overload: bool,
    },
}

/// An exchange that ended.
#[derive(Debug)]
pub struct Done {
    /// The question's key.
    pub key: SharedKey,
    /// Index of its route.
    pub route: u16,
    /// What came of it.
    pub outcome: Outcome,
    /// When it began.
    pub started: Tick,
}

/// The exchanges of one shard and the sockets they use.
pub struct Engine {
    epoll: Rc<Epoll>,
    /// Whose names are whose.
    horizons: Arc<dyn Horizons>,
    exchanges: Slots<Exchange>,
    /// Slots of this shard.
    limit: usize,
    per_route: Vec<usize>,
    sockets: Slots<Socket>,
    connections: Slots<Connection>,
    dirty: Vec<Ticket>,
    /// Errors of earlier queries that a send brought, with the queries that were pending then.
    broken: Vec<(Trouble, Vec<Pending>)>,
    lanes: HashMap<u32, Lane, foldhash::fast::RandomState>,
    wheel: Wheel<Ticket>,
    due: Vec<Ticket>,
    done: Vec<Done>,
    late: Vec<(SharedKey, u16)>,
    rng: StdRng,
    /// Where a datagram is received.
    datagram: Vec<u8>,
    chunk: Vec<u8>,
    next_sweep: Tick,
}

/// Events of UDP sockets carry this in the top byte of their token.
pub const TOKEN_UDP: u64 = 2 << 56;
/// Events of connections carry this in the top byte of their token.
pub const TOKEN_TCP: u64 = 3 << 56;
/// Mask of the top byte of a token.
pub const TOKEN_KIND: u64 = 0xff << 56;

/// Datagrams that nobody waits for, read from one socket in one turn.
const FLOOD: usize = 128;
/// How often idle connections and sockets are looked for.
const SWEEP: Duration = Duration::from_secs(5);
/// First wait for a server that has never answered.
const FIRST_WAIT: Duration = Duration::from_millis(800);
/// Longest wait for a whole answer where a part of it is in hand.
const WAIT_FOR_WHOLE: Duration = Duration::from_secs(1);
/// Least wait before a query over UDP is sent again.
const LEAST_WAIT: Duration = Duration::from_millis(250);

impl Engine {
    /// An engine with `limit` slots for `routes` routes, whose names `horizons` knows; its sockets are
    /// watched by `epoll`.
    pub fn new(
        epoll: Rc<Epoll>,
        limit: usize,
        routes: usize,
        horizons: Arc<dyn Horizons>,
        now: Tick,
    ) -> Engine {
        Engine {
            epoll,
            horizons,
            exchanges: Slots::new(),
            limit: limit.max(1),
            per_route: vec![0; routes],
            sockets: Slots::new(),
            connections: Slots::new(),
            dirty: Vec::new(),
            broken: Vec::new(),
            lanes: HashMap::default(),
            wheel: Wheel::new(now),
            due: Vec::new(),
            done: Vec::new(),
            late: Vec::new(),
            rng: StdRng::from_rng(&mut rand::rng()),
            datagram: Vec::new(),
            chunk: Vec::new(),
            next_sweep: now + SWEEP,
        }
    }

    /// How many exchanges are under way.
    pub fn in_flight(&self) -> usize {
        self.exchanges.len()
    }

    /// Whether more than half of the slots are free.
    pub fn has_room_to_spare(&self) -> bool {
        self.exchanges.len() < self.limit.div_ceil(2)
    }

    /// Begins an exchange for the question of `key`. Its end comes out of [`Engine::take_done`],
    /// perhaps at once. If it has not ended after `late`, it comes out of [`Engine::take_late`] too.
    ///
    /// # Errors
    /// A [`Refusal`]; nothing was sent, and nothing will come out.
    pub fn start(
        &mut self,
        key: SharedKey,
        route: RouteRef,
        late: Option<Duration>,
        now: Tick,
    ) -> Result<(), Refusal> {
        if self.exchanges.len() >= self.limit {
            return Err(Refusal::Full);
        }
        let index = usize::from(route.index);
        let share = if self.per_route.len() > 1 { self.limit.div_ceil(2) } else { self.limit };
        match self.per_route.get_mut(index) {
            Some(count) if *count < share => *count += 1,
            _ => return Err(Refusal::RouteFull),
        }
        let order = choose::order(&route, now, self.rng.random());
        let ticket = self.exchanges.insert(Exchange::new(key, route, order, now));
        if let Some(late) = late
            && let Some(exchange) = self.exchanges.get_mut(ticket)
        {
            exchange.late = Some(now + late);
            self.wheel.add(now + late, ticket);
        }
        self.advance(ticket, now);
        Ok(())
    }

    /// Moves the exchanges that ended into `out`.
    pub fn take_done(&mut self, out: &mut Vec<Done>) {
        out.append(&mut self.done);
    }

    /// Moves the keys and routes of exchanges that take long into `out`; they go on.
    pub fn take_late(&mut self, out: &mut Vec<(SharedKey, u16)>) {
        out.append(&mut self.late);
    }

    /// Asks the next upstream, or ends the exchange where there is none left and nothing to wait
    /// for.
    fn advance(&mut self, ticket: Ticket, now: Tick) {
        loop {
            let Some(exchange) = self.exchanges.get(ticket) else { return };
            if now >= exchange.deadline || self.has_lost_its_name(exchange) {
                return self.give_up(ticket, now);
            }
            let Some(place) = exchange.next_place() else {
                // With a part of the answer in hand nobody is made to wait for the whole.
                if !exchange.is_open() || exchange.fallback.is_some() {
                    return self.give_up(ticket, now);
                }
                let deadline = exchange.deadline;
                return self.arm(ticket, deadline);
            };
            let transport = exchange.route.upstreams[usize::from(place)].transport;
            if self.try_upstream(ticket, place, transport, true, now) {
                return;
            }
        }
    }

    /// Whether the name has come to another route since the first query: then this route's servers are to
    /// hear no more of it (horizon rule 1).
    fn has_lost_its_name(&self, exchange: &Exchange) -> bool {
        !exchange.attempts.is_empty()
            && !self.horizons.owns(exchange.route.index, Key::name(exchange.key.as_bytes()))
    }

    /// Sends one query. False if it could not be sent, or may not any more; the exchange then knows why.
    fn try_upstream(
        &mut self,
        ticket: Ticket,
        place: u8,
        transport: Transport,
        edns: bool,
        now: Tick,
    ) -> bool {
        let Some(exchange) = self.exchanges.get(ticket) else { return true };
        let number = exchange.attempts.len();
        if number >= MAX_ATTEMPTS || self.has_lost_its_name(exchange) {
            return false;
        }
        let Some(exchange) = self.exchanges.get_mut(ticket) else { return true };
        let hedge = exchange.is_open();
        let route = exchange.route.clone();
        let upstream = &route.upstreams[usize::from(place)];
        let ports = route.ports;
        let lane = self.lanes.entry(upstream.id).or_insert_with(|| Lane::new(upstream, ports));
        let (dnssec_ok, _) = Key::flags(exchange.key.as_bytes());
        let edns = edns && (dnssec_ok || !lane.is_plain(now));
        // Over TCP nobody can guess; there it tells whether the server keeps the case.
        let respell =
            route.randomize_case && upstream.transport == Transport::Udp && lane.keeps_case(now);
        let spelling = if respell { Spelling::new(self.rng.random()) } else { Spelling::FOLDED };
        lane.began(hedge);
        let mut buffer = [0u8; QUERY_MAX];
        let len = write_query(exchange.key.as_bytes(), edns, spelling, &mut buffer);
        let pending = Pending { exchange: ticket, attempt: number as u8 };
        exchange.note_try(place);
        let query = &mut buffer[..len];
        let sent = match transport {
            Transport::Udp => self.send_udp(upstream, query, pending, now),
            Transport::Tcp => self.send_tcp(upstream, query, pending, now),
        };
        match sent {
            Ok(via) => {
                let Some(exchange) = self.exchanges.get_mut(ticket) else { return true };
                exchange.attempts.push(Attempt::new(place, via, edns, spelling, now));
                let mut wait = patience(&route, upstream, transport, exchange.tries(place));
                if exchange.fallback.is_some() {
                    wait = wait.min(WAIT_FOR_WHOLE);
                }
                let due = (now + wait).min(exchange.deadline);
                self.arm(ticket, due);
                true
            }
            Err(error) => {
                self.note_failure(ticket, place, Cause::Network(error.into()), now);
                if let Some(lane) = self.lanes.get(&upstream.id) {
                    lane.ended();
                }
                false
            }
        }
    }

    /// Ends an exchange that has nobody left to ask.
    fn give_up(&mut self, ticket: Ticket, now: Tick) {
        let Some(exchange) = self.exchanges.get_mut(ticket) else { return };
        let outcome = match exchange.fallback.take() {
            Some(partial) => Outcome::Answer(*partial),
            None => {
                Outcome::Failure { reason: exchange.reason(now), overload: exchange.is_overload() }
            }
        };
        self.finish(ticket, outcome);
    }

    fn finish(&mut self, ticket: Ticket, outcome: Outcome) {
        let Some(exchange) = self.exchanges.remove(ticket) else { return };
        for attempt in exchange.attempts.iter().filter(|a| a.open) {
            self.forget(*attempt, exchange.route.upstreams[usize::from(attempt.place)].id);
        }
        let route = exchange.route.index;
        if let Some(count) = self.per_route.get_mut(usize::from(route)) {
            *count -= 1;
        }
        let started = exchange.started;
        self.done.push(Done { key: exchange.key, route, outcome, started });
    }
}

#[cfg(test)]
mod tests;
