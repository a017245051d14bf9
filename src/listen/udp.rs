//! A shard: one thread with one UDP socket per listening address, its buffers, its counters and its
//! exchanges.
//!
//! With one socket and nothing under way it sleeps in the receiving call itself; else it waits by
//! epoll.
//!
//! A hit is received, answered and queued for sending on this thread, in the buffers of its batch. A
//! miss takes a slot of the shard's engine, whose sockets are in the same epoll; when its exchange
//! ends, all who wait are answered from here, whichever shard or connection they came by.

use std::io;
use std::net::UdpSocket;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use super::inbox::{Inbox, Job};
use crate::cache::SharedKey;
use crate::serve::{Client, Desk, Foreseen, GoneOn, Joined, ReplyTo, Settled, Step, Waiter};
use crate::sys::{Epoll, Event, Events, Interest, RecvBatch, SendBatch};
use crate::telemetry::labels::{DropReason, Proto, ShedReason};
use crate::time::{Clock, Tick};
use crate::upstream::{Done, Engine, Refusal, TOKEN_KIND, TOKEN_TCP, TOKEN_UDP};
use crate::wire::MAX_MESSAGE;
use crate::wire::edns::OUR_PAYLOAD;

/// Datagrams taken and sent at a time: larger batches brought nothing.
const BATCH: usize = 32;
/// Longest query that is read; what is longer is dropped and counted.
const QUERY: usize = 4096;
/// While hits alone keep the shard busy, everything else is looked at this often.
const TURN: Duration = Duration::from_millis(100);
/// So long after the last exchange the shard goes back to sleep in the receiving call.
const REST: Duration = Duration::from_millis(5);
/// Descriptors looked at in one turn.
const EVENTS: usize = 256;

const TOKEN_LISTENER: u64 = 1 << 56;
const TOKEN_INBOX: u64 = 4 << 56;

/// One shard, to be run on its own thread.
pub struct Shard {
    desk: Desk,
    engine: Engine,
    epoll: Rc<Epoll>,
    sockets: Vec<UdpSocket>,
    /// Whether epoll watches them.
    watching: bool,
    sends: Vec<SendBatch>,
    received: RecvBatch,
    inbox: Arc<Inbox>,
    clock: Clock,
    done: Vec<Done>,
    jobs: Vec<Job>,
    late: Vec<(SharedKey, u16)>,
    /// For answers to stream clients.
    message: Vec<u8>,
}

impl Shard {
    /// A shard that answers on `sockets` (in the order of the listening addresses), with `slots`
    /// exchanges at most. To be made on the thread that runs it.
    ///
    /// # Errors
    /// What epoll(7) says.
    pub fn new(
        desk: Desk,
        sockets: Vec<UdpSocket>,
        inbox: Arc<Inbox>,
        slots: usize,
    ) -> io::Result<Shard> {
        let epoll = Rc::new(Epoll::new()?);
        for (i, socket) in sockets.iter().enumerate() {
            epoll.add(socket, TOKEN_LISTENER | i as u64, Interest::Read)?;
        }
        epoll.add(inbox.waker(), TOKEN_INBOX, Interest::Read)?;
        let clock = desk.server.clock.clone();
        let routes = desk.server.policies.len();
        let horizons = Arc::clone(&desk.server);
        let engine = Engine::new(Rc::clone(&epoll), slots, routes, horizons, clock.now());
        let sends = sockets.iter().map(|_| SendBatch::new(BATCH, OUR_PAYLOAD.into())).collect();
        Ok(Shard {
            desk,
            engine,
            epoll,
            sockets,
            watching: true,
            sends,
            received: RecvBatch::new(BATCH, QUERY),
            inbox,
            clock,
            done: Vec::new(),
            jobs: Vec::new(),
            late: Vec::new(),
            message: Vec::new(),
        })
    }

    /// Serves until the inbox says leave; then takes no more packets, and ends when the inbox says
    /// stop and nothing is in flight, at the time it says at the latest.
    ///
    /// # Errors
    /// epoll_wait(2) failed: the shard cannot go on.
    pub fn run(mut self) -> io::Result<()> {
        // With several sockets only epoll can wait for them all.
        let sleeps = match &self.sockets[..] {
            [socket] => self.inbox.sleeper().lie_down(socket).is_ok(),
            _ => false,
        };
        let result = self.serve(sleeps);
        self.inbox.sleeper().get_up();
        result
    }

    fn serve(&mut self, sleeps: bool) -> io::Result<()> {
        let mut events = Events::new(EVENTS);
        let mut ready: Vec<Event> = Vec::with_capacity(EVENTS);
        let mut has_left = false;
        // When an exchange was last under way.
        let mut busy = self.clock.now();
        loop {
            let mut now = self.clock.now();
            if self.engine.in_flight() > 0 {
                busy = now;
            }
            let mut wait = self.engine.wait(now);
            if sleeps && !has_left && self.engine.in_flight() == 0 {
                if now.since(busy) >= REST {
                    self.watch_socket(false);
                    self.serve_asleep(now);
                    now = self.clock.now();
                }
                // What else there is gets its turn now, and the socket soon.
                let soon = if self.watching { REST } else { Duration::ZERO };
                wait = Some(wait.map_or(soon, |wait| wait.min(soon)));
            }
            if self.engine.in_flight() > 0 && !has_left {
                self.watch_socket(true);
                wait = self.engine.wait(now);
                if sleeps && !self.watching {
                    wait = Some(wait.map_or(REST, |wait| wait.min(REST)));
                }
            }
            if let Some(end) = self.inbox.stops_at().filter(|_| has_left) {
                if now >= end || self.engine.in_flight() == 0 {
                    return Ok(());
                }
                wait = Some(wait.unwrap_or(end.since(now)).min(end.since(now)));
            }
            self.inbox.heard();
            self.epoll.wait(&mut events, wait)?;
            ready.clear();
            ready.extend(events.iter());
            self.refresh();
            let now = self.clock.now();
            ready.iter().for_each(|event| self.dispatch(*event, now));
            if sleeps && !self.watching && !has_left {
                self.serve_socket(0);
            }
            let now = self.clock.now();
            self.engine.on_time(self.desk.routes(), now);
            self.answer_late(now);
            self.desk.tidy(now);
            self.finish_turn(now);
            self.inbox.want_turns(self.engine.wait(now).is_some() || self.desk.wants_tidying());
            if !has_left && self.inbox.is_leaving() {
                self.take_leave();
                has_left = true;
            }
        }
    }

    /// Has epoll watch the one listening socket, or not: where nobody waits for epoll, each datagram
    /// would tell it all the same. Where the system refuses, the socket is looked at each turn.
    fn watch_socket(&mut self, wanted: bool) {
        if self.watching == wanted || self.sockets.len() != 1 {
            return;
        }
        let changed = match wanted {
            true => self.epoll.add(&self.sockets[0], TOKEN_LISTENER, Interest::Read),
            false => self.epoll.remove(&self.sockets[0]),
        };
        match changed {
            Ok(()) => self.watching = wanted,
            Err(error) => tracing::debug!(%error, wanted, "cannot change what epoll watches"),
        }
    }

    /// Answers hits from the listening socket and sleeps there, as long as nothing else is to be done:
    /// until a miss is under way, somebody has news, or a while has passed.
    fn serve_asleep(&mut self, since: Tick) {
        let until = since + TURN;
        let inbox = Arc::clone(&self.inbox);
        loop {
            let (received, socket) = (&mut self.received, &self.sockets[0]);
            let slept = inbox.sleeper().sleep(|| inbox.has_news(), || received.wait(socket));
            let Some(Ok(count)) = slept else { return };
            self.refresh();
            let now = self.clock.now();
            let done = self.serve_batch(0, count, now);
            self.inbox.want_turns(true);
            if self.engine.in_flight() > 0 || done >= until {
                return;
            }
        }
    }

    fn refresh(&mut self) {
        if self.desk.refresh() {
            self.engine.retain(self.desk.routes());
        }
    }

    fn dispatch(&mut self, event: Event, now: Tick) {
        match event.token & TOKEN_KIND {
            TOKEN_LISTENER => {
                self.serve_socket((event.token & !TOKEN_KIND) as usize);
            }
            TOKEN_UDP => self.engine.on_udp(event.token, now),
            TOKEN_TCP => {
                self.engine.on_tcp(event.token, event.readable, event.writable, now);
            }
            _ => self.take_jobs(),
        }
    }

    /// Answers a batch of what waits in a listening socket. True if more may be waiting: that has its
    /// turn after the upstreams' answers, or clients who wait for those would wait longer.
    fn serve_socket(&mut self, listener: usize) -> bool {
        let Some(socket) = self.sockets.get(listener) else { return false };
        match self.received.receive(socket) {
            Ok(count) => {
                self.serve_batch(listener, count, self.clock.now());
                count == self.received.capacity()
            }
            // A datagram that could not be delivered earlier says so here; the next may go.
            Err(error) => error.kind() != io::ErrorKind::WouldBlock,
        }
    }

    /// Answers the `count` datagrams that were received at `now`; returns when that was done.
    fn serve_batch(&mut self, listener: usize, count: usize, now: Tick) -> Tick {
        let mut foreseen = [Foreseen::default(); BATCH];
        for (i, place) in foreseen.iter_mut().enumerate().take(count) {
            *place = self.desk.foresee(self.received.bytes(i));
        }
        if count > 1 {
            foreseen.iter().take(count).for_each(|&place| self.desk.foresee_answer(place));
        }
        for (i, place) in foreseen.into_iter().enumerate().take(count) {
            self.serve_datagram(listener, i, place, now);
        }
        self.answer_done(now);
        self.flush_all();
        let done = self.clock.now();
        self.desk.end_batch(now, done);
        done
    }

    #[inline]
    fn serve_datagram(&mut self, listener: usize, i: usize, foreseen: Foreseen, now: Tick) {
        let Some(addr) = self.received.from(i) else { return };
        if self.received.is_cut(i) {
            self.desk.stats.dropped(DropReason::Oversize);
            return;
        }
        let sends = &mut self.sends[listener];
        if sends.is_full() {
            flush(&self.desk, sends, &self.sockets[listener]);
        }
        let client = Client { addr, proto: Proto::Udp };
        let packet = self.received.bytes(i);
        match self.desk.ask(packet, foreseen, client, now, sends.next_buffer()) {
            Step::Reply(len) => sends.queue(len, addr),
            Step::Silent => {}
            Step::Miss(miss) => {
                let reply_to = ReplyTo::Datagram { listener: listener as u8 };
                let joined = self.desk.join(miss, reply_to);
                self.start_if_first(joined, now);
            }
        }
    }

    fn start_if_first(&mut self, joined: Joined, now: Tick) {
        if let Joined::Start { key, route, look, late } = joined {
            self.start(key, route, look, late, now);
        }
    }

    /// Starts an exchange, unless it is worth a look into the cache and the answer is there.
    fn start(&mut self, key: SharedKey, route: u16, look: bool, late: Option<Duration>, now: Tick) {
        let Some(route) = self.desk.owner_now(&key, route) else {
            return self.desk.shed(&key, ShedReason::InFlight);
        };
        if let Some(settled) = look.then(|| self.desk.ready(&key, route, now)).flatten() {
            return self.deliver(settled, now);
        }
        let Some(target) = self.desk.route(route) else {
            return self.desk.shed(&key, ShedReason::InFlight);
        };
        let copy = key.clone();
        let started = self.engine.start(key, target, late, now);
        if let Err(Refusal::Full | Refusal::RouteFull) = started {
            self.desk.shed(&copy, ShedReason::InFlight);
        }
    }

    /// Asks what is to be asked for the cache's sake, as long as there is room for much more.
    fn renew(&mut self, now: Tick) {
        if self.desk.has_renewals() {
            for (key, route) in self.desk.take_renewals() {
                self.start_renewal(key, route, now);
            }
        }
    }

    fn start_renewal(&mut self, key: SharedKey, route: u16, now: Tick) {
        if self.engine.has_room_to_spare() {
            let joined = self.desk.begin(key, route);
            self.start_if_first(joined, now);
        }
    }

    /// Those who wait for an exchange that takes long get what is past its expiry.
    fn answer_late(&mut self, now: Tick) {
        let mut late = std::mem::take(&mut self.late);
        self.engine.take_late(&mut late);
        for (key, route) in late.drain(..) {
            if let Some(settled) = self.desk.late(&key, route, now) {
                self.deliver(settled, now);
            }
        }
        self.late = late;
    }

    fn take_jobs(&mut self) {
        let mut jobs = std::mem::take(&mut self.jobs);
        self.inbox.take(&mut jobs);
        let now = self.clock.now();
        for job in jobs.drain(..) {
            match job {
                Job::Start { key, route, look, late } => self.start(key, route, look, late, now),
                Job::Renew { key, route } => self.start_renewal(key, route, now),
            }
        }
        self.jobs = jobs;
    }

    /// Writes out what this turn has queued.
    fn finish_turn(&mut self, now: Tick) {
        self.answer_done(now);
        self.flush_all();
        self.inbox.set_in_flight(self.engine.in_flight());
    }

    /// Writes out what was queued for upstreams, and answers those whose exchanges have ended. What is
    /// answered may lead on to other questions, a few at the most, which are asked at once, as is what
    /// this turn found worth asking for the cache's sake.
    fn answer_done(&mut self, now: Tick) {
        let mut done = std::mem::take(&mut self.done);
        loop {
            self.renew(now);
            self.engine.flush(now);
            self.engine.take_done(&mut done);
            if done.is_empty() {
                break;
            }
            for exchange in done.drain(..) {
                match self.desk.moved_to(&exchange) {
                    Some(route) => self.start(exchange.key, route, false, None, now),
                    None => {
                        let settled = self.desk.settle(exchange, now);
                        self.deliver(settled, now);
                    }
                }
            }
        }
        self.done = done;
    }

    /// Sends an answer to all who wait for it.
    fn deliver(&mut self, mut settled: Settled, now: Tick) {
        for waiter in std::mem::take(&mut settled.waiters) {
            if settled.is_whole_for(&waiter) {
                self.send(waiter, |desk, waiter, out| desk.render(&settled, waiter, now, out));
                continue;
            }
            match self.desk.go_on(&settled, waiter, now) {
                GoneOn::Arrived(arrived, waiter) => {
                    let render = |desk: &mut Desk, waiter: &Waiter, out: &mut [u8]| {
                        desk.render_arrived(&arrived, waiter, now, out)
                    };
                    self.send(waiter, render);
                }
                GoneOn::Joined(joined) => self.start_if_first(joined, now),
            }
        }
    }

    /// Sends one who waited what `render` writes.
    #[inline]
    fn send(
        &mut self,
        waiter: Waiter,
        render: impl FnOnce(&mut Desk, &Waiter, &mut [u8]) -> usize,
    ) {
        match &waiter.reply_to {
            ReplyTo::Datagram { listener } => {
                let listener = usize::from(*listener);
                let Some(sends) = self.sends.get_mut(listener) else { return };
                if sends.is_full() {
                    flush(&self.desk, sends, &self.sockets[listener]);
                }
                let len = render(&mut self.desk, &waiter, sends.next_buffer());
                sends.queue(len, waiter.client().addr);
            }
            ReplyTo::Stream(_) => {
                self.message.resize(MAX_MESSAGE, 0);
                let len = render(&mut self.desk, &waiter, &mut self.message);
                if let ReplyTo::Stream(sink) = waiter.into_reply()
                    && !sink.send(&self.message[..len])
                {
                    self.desk.stats.shed(ShedReason::TcpUnsent);
                }
            }
        }
    }

    fn flush_all(&mut self) {
        for (sends, socket) in self.sends.iter_mut().zip(&self.sockets) {
            if !sends.is_empty() {
                flush(&self.desk, sends, socket);
            }
        }
    }

    /// Takes no more packets, but answers those that had come.
    fn take_leave(&mut self) {
        /// A client that never stops must not keep the shard from ending.
        const TURNS: usize = 512;
        for listener in 0..self.sockets.len() {
            let _ = (0..TURNS).all(|_| self.serve_socket(listener));
            if self.watching
                && let Err(error) = self.epoll.remove(&self.sockets[listener])
            {
                tracing::warn!(%error, "cannot stop watching a listening socket");
            }
        }
        self.take_jobs();
        self.finish_turn(self.clock.now());
    }
}

fn flush(desk: &Desk, sends: &mut SendBatch, socket: &UdpSocket) {
    for _ in 0..sends.flush(socket) {
        desk.stats.dropped(DropReason::SendFailed);
    }
}
