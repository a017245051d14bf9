//! The exchanges of one shard: which upstream is asked next, what an answer or a silence means.

use std::collections::HashMap;
use std::io;
use std::ops::Deref;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use super::choose;
use super::lane::Lane;
use super::slots::{Slots, Ticket};
use super::tcp::{self, Connection, ReadEnd};
use super::udp::{Pending, Socket};
use super::wheel::Wheel;
use super::{RouteState, Upstream};
use crate::accept::{Accepted, Asked, Verdict, judge};
use crate::answer::Question;
use crate::cache::Key;
use crate::config::Transport;
use crate::sys::{Epoll, Interest, RecvBatch};
use crate::telemetry::upstream::Failure;
use crate::time::Tick;
use crate::wire::edns::{Ede, OptWriter, ede};
use crate::wire::header::{self, Header, Rcode, flag};
use crate::wire::name::MAX_NAME;
use crate::wire::{CLASS_IN, MAX_MESSAGE};

mod exchange;

use exchange::{Attempt, Cause, Exchange, MAX_ATTEMPTS, Trouble, Via};

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
    pub key: Box<[u8]>,
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
    exchanges: Slots<Exchange>,
    /// Slots of this shard.
    limit: usize,
    per_route: Vec<usize>,
    sockets: Slots<Socket>,
    connections: Slots<Connection>,
    dirty: Vec<Ticket>,
    /// Sockets on which a send brought the error of an earlier one.
    broken: Vec<(Ticket, Trouble)>,
    lanes: HashMap<u32, Lane, foldhash::fast::RandomState>,
    wheel: Wheel<Ticket>,
    due: Vec<Ticket>,
    done: Vec<Done>,
    rng: StdRng,
    batch: Option<RecvBatch>,
    chunk: Vec<u8>,
    next_sweep: Tick,
}

/// Events of UDP sockets carry this in the top byte of their token.
pub const TOKEN_UDP: u64 = 2 << 56;
/// Events of connections carry this in the top byte of their token.
pub const TOKEN_TCP: u64 = 3 << 56;
/// Mask of the top byte of a token.
pub const TOKEN_KIND: u64 = 0xff << 56;

/// Datagrams taken from an upstream's socket at a time.
const BATCH: usize = 16;
/// Batches taken from one socket in one turn.
const ROUNDS: usize = 8;
/// How often idle connections and sockets are looked for.
const SWEEP: Duration = Duration::from_secs(5);
/// First wait for a server that has never answered.
const FIRST_WAIT: Duration = Duration::from_millis(800);
/// Longest wait for a whole answer where a part of it is in hand.
const WAIT_FOR_WHOLE: Duration = Duration::from_secs(1);
/// Least wait before a query over UDP is sent again.
const LEAST_WAIT: Duration = Duration::from_millis(250);

impl Engine {
    /// An engine with `limit` slots for `routes` routes, whose sockets are watched by `epoll`.
    pub fn new(epoll: Rc<Epoll>, limit: usize, routes: usize, now: Tick) -> Engine {
        Engine {
            epoll,
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
            rng: StdRng::from_rng(&mut rand::rng()),
            batch: None,
            chunk: Vec::new(),
            next_sweep: now + SWEEP,
        }
    }

    /// How many exchanges are under way.
    pub fn in_flight(&self) -> usize {
        self.exchanges.len()
    }

    /// Begins an exchange for the question of `key`. Its end comes out of [`Engine::take_done`],
    /// perhaps at once.
    ///
    /// # Errors
    /// A [`Refusal`]; nothing was sent, and nothing will come out.
    pub fn start(&mut self, key: Box<[u8]>, route: RouteRef, now: Tick) -> Result<(), Refusal> {
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
        self.advance(ticket, now);
        Ok(())
    }

    /// Moves the exchanges that ended into `out`.
    pub fn take_done(&mut self, out: &mut Vec<Done>) {
        out.append(&mut self.done);
    }

    /// Asks the next upstream, or ends the exchange where there is none left and nothing to wait
    /// for.
    fn advance(&mut self, ticket: Ticket, now: Tick) {
        loop {
            let Some(exchange) = self.exchanges.get(ticket) else { return };
            if now >= exchange.deadline {
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

    /// Sends one query. False if it could not be sent; the exchange then knows why.
    fn try_upstream(
        &mut self,
        ticket: Ticket,
        place: u8,
        transport: Transport,
        edns: bool,
        now: Tick,
    ) -> bool {
        let Some(exchange) = self.exchanges.get_mut(ticket) else { return true };
        let number = exchange.attempts.len();
        if number >= MAX_ATTEMPTS {
            return false;
        }
        let hedge = exchange.is_open();
        let upstream = Arc::clone(&exchange.route.upstreams[usize::from(place)]);
        let ports = exchange.route.ports;
        let lane = self.lanes.entry(upstream.id).or_insert_with(|| Lane::new(&upstream, ports));
        let (dnssec_ok, _) = Key::flags(&exchange.key);
        let edns = edns && (dnssec_ok || !lane.is_plain(now));
        let mut buffer = [0u8; QUERY_MAX];
        let len = write_query(&exchange.key, edns, &mut buffer);
        let pending = Pending { exchange: ticket, attempt: number as u8 };
        exchange.note_try(place);
        let query = &mut buffer[..len];
        let sent = match transport {
            Transport::Udp => self.send_udp(&upstream, query, pending, now),
            Transport::Tcp => self.send_tcp(&upstream, query, pending, now),
        };
        if let Some(lane) = self.lanes.get(&upstream.id) {
            lane.began(hedge);
        }
        match sent {
            Ok(via) => {
                let Some(exchange) = self.exchanges.get_mut(ticket) else { return true };
                exchange.attempts.push(Attempt { place, via, edns, sent: now, open: true });
                let mut wait =
                    patience(&exchange.route, &upstream, transport, exchange.tries(place));
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

    fn send_udp(
        &mut self,
        upstream: &Upstream,
        query: &mut [u8],
        pending: Pending,
        now: Tick,
    ) -> io::Result<Via> {
        let Some(lane) = self.lanes.get_mut(&upstream.id) else {
            return Err(io::ErrorKind::NotFound.into());
        };
        let place = self.rng.random_range(0..lane.ports.len());
        let known = lane.ports[place].filter(|&t| self.sockets.get(t).is_some_and(|s| !s.retired));
        let worn = known.filter(|&t| self.sockets.get(t).is_some_and(|s| s.is_worn(now)));
        let ticket = match known {
            Some(ticket) if worn.is_none() => ticket,
            _ => {
                let socket = Socket::open(upstream.addr, &mut self.rng, now)?;
                let ticket = self.sockets.insert(socket);
                lane.ports[place] = Some(ticket);
                let token = TOKEN_UDP | Slots::<Socket>::pack(ticket);
                if let Some(socket) = self.sockets.get(ticket) {
                    self.epoll.add(socket, token, Interest::Read)?;
                }
                ticket
            }
        };
        if let Some(old) = worn {
            self.retire(old);
        }
        let Some(socket) = self.sockets.get_mut(ticket) else {
            return Err(io::ErrorKind::NotFound.into());
        };
        let sent = match socket.send(query, pending, &mut self.rng) {
            // The error is that of a datagram before this one, which has not gone: those that are
            // pending here hear of it at the end of the turn, and this one is sent again.
            Err(error) => {
                self.broken.push((ticket, error.into()));
                socket.send(query, pending, &mut self.rng)?
            }
            sent => sent?,
        };
        match sent {
            Some(id) => Ok(Via::Udp { socket: ticket, id }),
            None => Err(io::ErrorKind::QuotaExceeded.into()),
        }
    }

    /// Lets a socket close as soon as nothing is pending on it.
    fn retire(&mut self, ticket: Ticket) {
        let Some(socket) = self.sockets.get_mut(ticket) else { return };
        socket.retired = true;
        if socket.pending.is_empty() {
            self.sockets.remove(ticket);
        }
    }

    fn send_tcp(
        &mut self,
        upstream: &Upstream,
        query: &mut [u8],
        pending: Pending,
        now: Tick,
    ) -> io::Result<Via> {
        let Some(lane) = self.lanes.get_mut(&upstream.id) else {
            return Err(io::ErrorKind::NotFound.into());
        };
        let free = |t: &&Ticket| self.connections.get(**t).is_some_and(Connection::has_room);
        let ticket = match lane.connections.iter().rev().find(free) {
            Some(ticket) => *ticket,
            None if lane.connections.len() >= tcp::CONNECTIONS => {
                return Err(io::ErrorKind::QuotaExceeded.into());
            }
            None => {
                let connection = Connection::open(upstream.addr, upstream.id, now)?;
                let ticket = self.connections.insert(connection);
                let token = TOKEN_TCP | Slots::<Connection>::pack(ticket);
                if let Some(connection) = self.connections.get(ticket) {
                    self.epoll.add(connection, token, Interest::ReadWrite)?;
                }
                lane.connections.push(ticket);
                lane.count_connections();
                ticket
            }
        };
        let Some(connection) = self.connections.get_mut(ticket) else {
            return Err(io::ErrorKind::NotFound.into());
        };
        let Some(id) = connection.queue(query, pending, &mut self.rng, now) else {
            return Err(io::ErrorKind::QuotaExceeded.into());
        };
        if !connection.dirty {
            connection.dirty = true;
            self.dirty.push(ticket);
        }
        Ok(Via::Tcp { connection: ticket, id })
    }

    /// Writes what was queued on connections since the last call, and tells those concerned what
    /// sends brought to light. To be called once a turn.
    pub fn flush(&mut self, now: Tick) {
        // What fails here may go on by another socket or connection, which is looked at too; each
        // exchange has a limited number of tries, so this ends.
        while let Some((ticket, trouble)) = self.broken.pop() {
            self.fail_socket(ticket, trouble, now);
        }
        while let Some(ticket) = self.dirty.pop() {
            let Some(connection) = self.connections.get_mut(ticket) else { continue };
            connection.dirty = false;
            match connection.flush() {
                Ok(all) => self.watch_writes(ticket, !all),
                Err(error) => self.close(ticket, error.into(), now),
            }
        }
    }

    fn watch_writes(&mut self, ticket: Ticket, wanted: bool) {
        let Some(connection) = self.connections.get_mut(ticket) else { return };
        if connection.watching_writes == wanted {
            return;
        }
        connection.watching_writes = wanted;
        let interest = if wanted { Interest::ReadWrite } else { Interest::Read };
        let token = TOKEN_TCP | Slots::<Connection>::pack(ticket);
        if let Err(error) = self.epoll.modify(&*connection, token, interest) {
            tracing::error!(%error, "cannot watch a connection to an upstream");
        }
    }

    /// A UDP socket has something to read, or an error.
    pub fn on_udp(&mut self, token: u64, now: Tick) {
        let Some(ticket) = self.sockets.unpack(token & !TOKEN_KIND) else { return };
        let mut batch = self.batch.take().unwrap_or_else(|| RecvBatch::new(BATCH, MAX_MESSAGE + 1));
        // What is left after these rounds is reported again: a flood from one server must not keep
        // the shard from its clients.
        for _ in 0..ROUNDS {
            let Some(socket) = self.sockets.get(ticket) else { break };
            match batch.receive(socket) {
                Ok(count) => {
                    for i in 0..count {
                        self.on_datagram(ticket, batch.bytes(i), now);
                    }
                    if count < batch.capacity() {
                        break;
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => {
                    self.fail_socket(ticket, error.into(), now);
                    break;
                }
            }
        }
        self.batch = Some(batch);
    }

    /// ICMP said that the upstream is not there: all that was sent from this socket is lost.
    fn fail_socket(&mut self, ticket: Ticket, trouble: Trouble, now: Tick) {
        let Some(socket) = self.sockets.get(ticket) else { return };
        let lost: Vec<Pending> = socket.pending.values().copied().collect();
        for pending in lost {
            self.fail_attempt(pending, Cause::Network(trouble), now);
        }
    }

    fn on_datagram(&mut self, ticket: Ticket, bytes: &[u8], now: Tick) {
        let Some(id) = header::id(bytes) else { return };
        // An id that nobody waits for is a late answer or a guess: neither is worth a line.
        let Some(socket) = self.sockets.get_mut(ticket) else { return };
        if let Some(pending) = socket.pending.get(&id).copied() {
            socket.last_answer = now;
            self.on_answer(pending, bytes, Transport::Udp, now);
        }
    }

    /// A connection has something to read, room to write, or an error.
    pub fn on_tcp(&mut self, token: u64, readable: bool, writable: bool, now: Tick) {
        let Some(ticket) = self.connections.unpack(token & !TOKEN_KIND) else { return };
        if writable {
            let Some(connection) = self.connections.get_mut(ticket) else { return };
            match connection.on_writable().and_then(|()| connection.flush()) {
                Ok(all) => self.watch_writes(ticket, !all),
                Err(error) => return self.close(ticket, error.into(), now),
            }
        }
        if readable {
            self.read_connection(ticket, now);
        }
    }

    fn read_connection(&mut self, ticket: Ticket, now: Tick) {
        let Some(connection) = self.connections.get_mut(ticket) else { return };
        self.chunk.resize(tcp::CHUNK, 0);
        let end = connection.fill(&mut self.chunk, now);
        let input = connection.take_input();
        let mut used = 0;
        while let Some((message, len)) = tcp::first_message(&input[used..]) {
            used += len;
            let Some(connection) = self.connections.get_mut(ticket) else { return };
            let pending = header::id(message).and_then(|id| connection.pending.get(&id).copied());
            match pending {
                Some(pending) => {
                    connection.answered += 1;
                    self.on_answer(pending, message, Transport::Tcp, now);
                }
                None if message.len() < header::LEN || connection.strays >= tcp::STRAYS => {
                    return self.close(ticket, io::ErrorKind::InvalidData.into(), now);
                }
                None => connection.strays += 1,
            }
        }
        if let Some(connection) = self.connections.get_mut(ticket) {
            connection.give_back(input, used);
        }
        if end == ReadEnd::Closed {
            self.close(ticket, io::ErrorKind::ConnectionReset.into(), now);
        }
    }

    /// A connection is over: what is pending on it goes to a fresh one if this one had worked (a
    /// server may close it just when a query is under way), else to the next upstream.
    fn close(&mut self, ticket: Ticket, trouble: Trouble, now: Tick) {
        let Some(connection) = self.connections.remove(ticket) else { return };
        if let Some(lane) = self.lanes.get_mut(&connection.upstream) {
            lane.connections.retain(|&t| t != ticket);
            lane.count_connections();
        }
        for pending in connection.pending.into_values() {
            let again = self.exchanges.get_mut(pending.exchange).and_then(|exchange| {
                let attempt = *exchange.attempts.get(usize::from(pending.attempt))?;
                let again = connection.answered > 0 && exchange.may_redial();
                again.then_some((attempt.place, attempt.edns))
            });
            match again {
                Some((place, edns)) => {
                    self.end_attempt(pending);
                    if !self.try_upstream(pending.exchange, place, Transport::Tcp, edns, now) {
                        self.advance(pending.exchange, now);
                    }
                }
                None => self.fail_attempt(pending, Cause::Network(trouble), now),
            }
        }
    }

    /// Judges what answers a pending query.
    fn on_answer(&mut self, pending: Pending, bytes: &[u8], transport: Transport, now: Tick) {
        let Some(exchange) = self.exchanges.get(pending.exchange) else { return };
        let Some(attempt) = exchange.attempts.get(usize::from(pending.attempt)).copied() else {
            return;
        };
        let asked = Asked { question: exchange.question(), edns: attempt.edns };
        let verdict = judge(asked, bytes, exchange.route.caps);
        if verdict == Verdict::NotOurs {
            return;
        }
        let upstream = Arc::clone(&exchange.route.upstreams[usize::from(attempt.place)]);
        self.end_attempt(pending);
        self.note_answer(&upstream, bytes, attempt.sent, now);
        let (ticket, place) = (pending.exchange, attempt.place);
        let sent_again = match verdict {
            Verdict::Accepted(accepted) => {
                if !attempt.edns
                    && let Some(lane) = self.lanes.get_mut(&upstream.id)
                    && exchange_choked(&self.exchanges, ticket, place)
                {
                    lane.learn_plain(now);
                }
                return self.finish(ticket, Outcome::Answer(accepted));
            }
            Verdict::Truncated(partial) => {
                if let Some(exchange) = self.exchanges.get_mut(ticket) {
                    exchange.fallback = partial.or(exchange.fallback.take());
                }
                transport == Transport::Udp
                    && self.try_upstream(ticket, place, Transport::Tcp, attempt.edns, now)
            }
            Verdict::Malformed => {
                self.count_failure(&upstream, Failure::Malformed);
                self.note_cause(ticket, place, Cause::Malformed);
                transport == Transport::Udp
                    && self.try_upstream(ticket, place, Transport::Tcp, attempt.edns, now)
            }
            Verdict::NoEdns(rcode) => {
                let dnssec_ok = self.exchanges.get(ticket).is_some_and(|e| Key::flags(&e.key).0);
                self.note_cause(ticket, place, Cause::Answered(rcode, None));
                if let Some(exchange) = self.exchanges.get_mut(ticket) {
                    exchange.choked |= u16::from(rcode != Rcode::BADVERS) << place;
                }
                !dnssec_ok && self.try_upstream(ticket, place, transport, false, now)
            }
            Verdict::Failed(failed) => {
                let cause = match failed.rcode {
                    Rcode::NOERROR | Rcode::NXDOMAIN => Cause::Unfit,
                    rcode => Cause::Answered(rcode, failed.ede),
                };
                self.note_cause(ticket, place, cause);
                false
            }
            Verdict::NotOurs => true,
        };
        if !sent_again {
            if let Some(exchange) = self.exchanges.get_mut(ticket) {
                exchange.bury(place);
            }
            self.advance(ticket, now);
        }
    }

    fn note_answer(&mut self, upstream: &Upstream, bytes: &[u8], sent: Tick, now: Tick) {
        let rtt = now.since(sent);
        upstream.health.answered(rtt);
        let rcode = Header::read(bytes).map_or(0, |h| h.rcode());
        if let Some(lane) = self.lanes.get(&upstream.id) {
            let nanos = u64::try_from(rtt.as_nanos()).unwrap_or(u64::MAX);
            lane.stats.counts.response(rcode, nanos);
        }
    }

    fn count_failure(&self, upstream: &Upstream, why: Failure) {
        if let Some(lane) = self.lanes.get(&upstream.id) {
            lane.stats.counts.failure(why);
        }
    }

    fn note_cause(&mut self, ticket: Ticket, place: u8, cause: Cause) {
        if let Some(exchange) = self.exchanges.get_mut(ticket) {
            exchange.note_cause(place, cause);
        }
    }

    /// An upstream failed an exchange for good: it counts against its health.
    fn note_failure(&mut self, ticket: Ticket, place: u8, cause: Cause, now: Tick) {
        let Some(exchange) = self.exchanges.get_mut(ticket) else { return };
        let upstream = Arc::clone(&exchange.route.upstreams[usize::from(place)]);
        let route = Arc::clone(&exchange.route.name);
        self.count_failure(&upstream, cause.class());
        if !cause.is_local() {
            self.note_down(&route, &upstream, &cause, now);
        }
        if let Some(exchange) = self.exchanges.get_mut(ticket) {
            exchange.note_cause(place, cause);
            exchange.bury(place);
        }
    }

    /// Counts a failure against an upstream's health, and says so when it goes down.
    fn note_down(&mut self, route: &str, upstream: &Upstream, cause: &Cause, now: Tick) {
        if upstream.health.failed(now)
            && self.lanes.get_mut(&upstream.id).is_some_and(|lane| lane.may_warn(now))
        {
            let upstream = upstream.describe();
            tracing::warn!(route, upstream, reason = %cause, "upstream is down");
        }
    }

    /// A pending query came to nothing: on to the next upstream.
    fn fail_attempt(&mut self, pending: Pending, cause: Cause, now: Tick) {
        let Some(exchange) = self.exchanges.get(pending.exchange) else { return };
        let attempt = exchange.attempts.get(usize::from(pending.attempt)).filter(|a| a.open);
        let Some(place) = attempt.map(|a| a.place) else { return };
        self.end_attempt(pending);
        self.note_failure(pending.exchange, place, cause, now);
        self.advance(pending.exchange, now);
    }

    /// Takes a try's query off its socket or connection.
    fn end_attempt(&mut self, pending: Pending) {
        let Some(exchange) = self.exchanges.get_mut(pending.exchange) else { return };
        let Some(attempt) = exchange.attempts.get_mut(usize::from(pending.attempt)) else { return };
        if !std::mem::replace(&mut attempt.open, false) {
            return;
        }
        let attempt = *attempt;
        let upstream = exchange.route.upstreams[usize::from(attempt.place)].id;
        self.forget(attempt, upstream);
    }

    fn forget(&mut self, attempt: Attempt, upstream: u32) {
        if let Some(lane) = self.lanes.get(&upstream) {
            lane.ended();
        }
        match attempt.via {
            Via::Udp { socket, id } => {
                let Some(open) = self.sockets.get_mut(socket) else { return };
                open.pending.remove(&id);
                if open.retired && open.pending.is_empty() {
                    self.sockets.remove(socket);
                }
            }
            Via::Tcp { connection, id } => {
                if let Some(open) = self.connections.get_mut(connection) {
                    open.pending.remove(&id);
                }
            }
        }
    }

    fn arm(&mut self, ticket: Ticket, due: Tick) {
        if let Some(exchange) = self.exchanges.get_mut(ticket) {
            exchange.timer = due;
            self.wheel.add(due, ticket);
        }
    }

    /// How long until something is due.
    pub fn wait(&self, now: Tick) -> Option<Duration> {
        let sweep = (self.connections.len() > 0).then(|| self.next_sweep.since(now));
        match (self.wheel.wait(now), sweep) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        }
    }

    /// Does what is due at `now`. `routes` are those in force: what leads to none of them is closed
    /// now and then.
    pub fn on_time(&mut self, routes: &Routes, now: Tick) {
        let mut due = std::mem::take(&mut self.due);
        self.wheel.due(now, &mut due);
        for ticket in due.drain(..) {
            self.on_timer(ticket, now);
        }
        self.due = due;
        if now >= self.next_sweep {
            self.next_sweep = now + SWEEP;
            self.sweep(now);
            self.retain(routes);
        }
    }

    fn on_timer(&mut self, ticket: Ticket, now: Tick) {
        let Some(exchange) = self.exchanges.get_mut(ticket).filter(|e| now >= e.timer) else {
            return;
        };
        let overdue = now >= exchange.deadline;
        if let Some(attempt) = exchange.attempts.last().copied().filter(|a| a.open) {
            exchange.note_cause(attempt.place, Cause::Timeout);
            let upstream = Arc::clone(&exchange.route.upstreams[usize::from(attempt.place)]);
            let route = Arc::clone(&exchange.route.name);
            self.count_failure(&upstream, Failure::Timeout);
            self.note_down(&route, &upstream, &Cause::Timeout, now);
            self.suspect(ticket, attempt, now);
        }
        if overdue { self.give_up(ticket, now) } else { self.advance(ticket, now) }
    }

    /// A query had no answer in time. A socket or connection that has brought nothing since it was
    /// sent is taken for dead: the server may have gone without a word, or the flow may lead to an
    /// endpoint that has. What else is pending on a socket may still be answered there; a connection
    /// takes it down.
    fn suspect(&mut self, ticket: Ticket, attempt: Attempt, now: Tick) {
        match attempt.via {
            Via::Udp { socket, .. } => {
                if self.sockets.get(socket).is_some_and(|s| s.last_answer <= attempt.sent) {
                    self.retire(socket);
                }
            }
            Via::Tcp { connection, .. } => {
                if self.connections.get(connection).is_some_and(|c| c.last_read <= attempt.sent) {
                    // Where this exchange goes on is its timer's business; left on the connection
                    // it would be sent anew from here as well, and arrive twice.
                    let last = self.exchanges.get(ticket).map_or(0, |e| e.attempts.len());
                    let number = last.saturating_sub(1) as u8;
                    self.end_attempt(Pending { exchange: ticket, attempt: number });
                    self.close(connection, io::ErrorKind::TimedOut.into(), now);
                }
            }
        }
    }

    /// Closes idle connections.
    fn sweep(&mut self, now: Tick) {
        let idle: Vec<Ticket> = self
            .connections
            .tickets()
            .filter(|&t| {
                self.connections
                    .get(t)
                    .is_some_and(|c| c.pending.is_empty() && now.since(c.last_used) > tcp::IDLE)
            })
            .collect();
        for ticket in idle {
            self.close(ticket, io::ErrorKind::TimedOut.into(), now);
        }
    }

    /// Lets go of the lanes of upstreams that are not in `routes` any more.
    pub fn retain(&mut self, routes: &Routes) {
        let known = |id: u32| routes.iter().flat_map(|r| &r.upstreams).any(|u| u.id == id);
        let gone: Vec<u32> = self.lanes.keys().copied().filter(|&id| !known(id)).collect();
        for id in gone {
            let Some(lane) = self.lanes.get_mut(&id) else { continue };
            let ports: Vec<Ticket> = lane.ports.iter_mut().filter_map(Option::take).collect();
            ports.into_iter().for_each(|ticket| self.retire(ticket));
            let idle = self.lanes.get(&id).is_some_and(|lane| {
                lane.stats.in_flight.load(std::sync::atomic::Ordering::Relaxed) == 0
            });
            if let Some(lane) = idle.then(|| self.lanes.remove(&id)).flatten() {
                lane.connections.iter().for_each(|&t| drop(self.connections.remove(t)));
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

/// Whether the exchange had a query with EDNS refused by this upstream for want of EDNS.
fn exchange_choked(exchanges: &Slots<Exchange>, ticket: Ticket, place: u8) -> bool {
    exchanges.get(ticket).is_some_and(|e| e.choked >> place & 1 == 1)
}

/// How long to wait for an answer before asking again or elsewhere: over UDP four smoothed
/// round-trip times, doubled with each try after the second (which goes by another flow, perhaps to
/// another endpoint, and should go soon); over TCP, which repeats by itself, the route's timeout.
fn patience(route: &RouteState, upstream: &Upstream, transport: Transport, tries: u32) -> Duration {
    if transport == Transport::Tcp {
        return route.timeout;
    }
    let first = upstream.health.srtt().map_or(FIRST_WAIT, |srtt| (srtt * 4).max(LEAST_WAIT));
    (first * 2u32.pow(tries.saturating_sub(2).min(4))).min(route.timeout)
}

/// Longest query of ours: header, name, type and class, OPT.
const QUERY_MAX: usize = header::LEN + MAX_NAME + 4 + crate::wire::edns::OPT_LEN;

/// Writes our query for a key, id 0; returns its length. RD is always set; AD asks for the AD bit
/// of the answer (RFC 6840, 5.7); CD and DO are the client's, and in the key.
fn write_query(key: &[u8], edns: bool, out: &mut [u8; QUERY_MAX]) -> usize {
    let (dnssec_ok, checking_disabled) = Key::flags(key);
    let cd = if checking_disabled { flag::CD } else { 0 };
    let head = Header { id: 0, flags: flag::RD | flag::AD | cd, counts: [1, 0, 0, edns.into()] };
    let name = Key::name(key);
    let question = Question { name, qtype: Key::qtype(key), qclass: CLASS_IN };
    let end = header::LEN + name.len();
    out[..header::LEN].copy_from_slice(&head.to_bytes());
    out[header::LEN..end].copy_from_slice(name);
    out[end..end + 2].copy_from_slice(&question.qtype.to_be_bytes());
    out[end + 2..end + 4].copy_from_slice(&question.qclass.to_be_bytes());
    match edns.then(|| OptWriter::begin(out, end + 4, 0, dnssec_ok)).flatten() {
        Some(opt) => opt.finish(),
        None => end + 4,
    }
}

/// The extended error of an exchange that failed: network trouble and answers that are none have
/// codes of their own, all else is an authority that could not be reached or would not answer
/// (RFC 8914, 4.23 to 4.25).
fn failure_code(causes: &[(u8, Cause)]) -> u16 {
    let all =
        |is: fn(&Cause) -> bool| !causes.is_empty() && causes.iter().all(|(_, cause)| is(cause));
    if all(|cause| matches!(cause, Cause::Network(_))) {
        ede::NETWORK_ERROR
    } else if all(|cause| matches!(cause, Cause::Malformed | Cause::Unfit)) {
        ede::INVALID_DATA
    } else {
        ede::NO_REACHABLE_AUTHORITY
    }
}
