//! A shard: one thread with one UDP socket per listening address, its buffers, its counters and its
//! exchanges.
//!
//! A hit is received, answered and queued for sending on this thread, in the buffers of its batch. A
//! miss takes a slot of the shard's engine, whose sockets are in the same epoll; when its exchange
//! ends, all who wait are answered from here, whichever shard or connection they came by.

use std::io;
use std::net::UdpSocket;
use std::rc::Rc;
use std::sync::Arc;

use super::inbox::{Inbox, Job};
use crate::cache::SharedKey;
use crate::serve::{Client, Desk, Joined, ReplyTo, Settled, Step};
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
/// Batches taken from one socket before the others get their turn.
const ROUNDS: usize = 8;
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
    sends: Vec<SendBatch>,
    received: RecvBatch,
    inbox: Arc<Inbox>,
    clock: Clock,
    done: Vec<Done>,
    jobs: Vec<Job>,
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
        let engine = Engine::new(Rc::clone(&epoll), slots, routes, clock.now());
        let sends = sockets.iter().map(|_| SendBatch::new(BATCH, OUR_PAYLOAD.into())).collect();
        Ok(Shard {
            desk,
            engine,
            epoll,
            sockets,
            sends,
            received: RecvBatch::new(BATCH, QUERY),
            inbox,
            clock,
            done: Vec::new(),
            jobs: Vec::new(),
            message: Vec::new(),
        })
    }

    /// Serves until the inbox says leave; then takes no more packets, and ends when the inbox says
    /// stop and nothing is in flight, at the time it says at the latest.
    ///
    /// # Errors
    /// epoll_wait(2) failed: the shard cannot go on.
    pub fn run(mut self) -> io::Result<()> {
        let mut events = Events::new(EVENTS);
        let mut ready: Vec<Event> = Vec::with_capacity(EVENTS);
        let mut has_left = false;
        loop {
            let now = self.clock.now();
            let mut wait = self.engine.wait(now);
            if let Some(end) = self.inbox.stops_at().filter(|_| has_left) {
                if now >= end || self.engine.in_flight() == 0 {
                    return Ok(());
                }
                wait = Some(wait.unwrap_or(end.since(now)).min(end.since(now)));
            }
            self.epoll.wait(&mut events, wait)?;
            ready.clear();
            ready.extend(events.iter());
            if self.desk.refresh() {
                self.engine.retain(self.desk.routes());
            }
            ready.iter().for_each(|event| self.dispatch(*event));
            let now = self.clock.now();
            self.engine.on_time(self.desk.routes(), now);
            self.finish_turn(now);
            if !has_left && self.inbox.is_leaving() {
                self.take_leave();
                has_left = true;
            }
        }
    }

    fn dispatch(&mut self, event: Event) {
        match event.token & TOKEN_KIND {
            TOKEN_LISTENER => {
                self.serve_socket((event.token & !TOKEN_KIND) as usize);
            }
            TOKEN_UDP => self.engine.on_udp(event.token, self.clock.now()),
            TOKEN_TCP => {
                let now = self.clock.now();
                self.engine.on_tcp(event.token, event.readable, event.writable, now);
            }
            _ => self.take_jobs(),
        }
    }

    /// Answers what waits in a listening socket. True if more may be waiting.
    fn serve_socket(&mut self, listener: usize) -> bool {
        for _ in 0..ROUNDS {
            let Some(socket) = self.sockets.get(listener) else { return false };
            let count = match self.received.receive(socket) {
                Ok(count) => count,
                // A datagram that could not be delivered earlier says so here; the next may go.
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return false,
                Err(_) => continue,
            };
            let now = self.clock.now();
            for i in 0..count {
                self.serve_datagram(listener, i, now);
            }
            self.engine.flush(now);
            self.answer_done(now);
            self.flush_all();
            self.desk.end_batch(now, self.clock.now());
            if count < self.received.capacity() {
                return false;
            }
        }
        true
    }

    #[inline]
    fn serve_datagram(&mut self, listener: usize, i: usize, now: Tick) {
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
        match self.desk.ask(self.received.bytes(i), client, now, sends.next_buffer()) {
            Step::Reply(len) => sends.queue(len, addr),
            Step::Silent => {}
            Step::Miss(miss) => {
                let reply_to = ReplyTo::Datagram { listener: listener as u8 };
                if let Joined::Start { key, route } = self.desk.join(miss, reply_to) {
                    self.start(key, route, now);
                }
            }
        }
    }

    fn start(&mut self, key: SharedKey, route: u16, now: Tick) {
        if let Some(settled) = self.desk.ready(&key, route, now) {
            return self.deliver(settled, now);
        }
        let Some(target) = self.desk.route(route) else { return };
        let copy = key.clone();
        if let Err(Refusal::Full | Refusal::RouteFull) = self.engine.start(key, target, now) {
            self.desk.shed(&copy, ShedReason::InFlight);
        }
    }

    fn take_jobs(&mut self) {
        let mut jobs = std::mem::take(&mut self.jobs);
        self.inbox.take(&mut jobs);
        let now = self.clock.now();
        for Job::Start { key, route } in jobs.drain(..) {
            self.start(key, route, now);
        }
        self.jobs = jobs;
    }

    /// Writes out what this turn has queued.
    fn finish_turn(&mut self, now: Tick) {
        self.engine.flush(now);
        self.answer_done(now);
        self.flush_all();
        self.inbox.set_in_flight(self.engine.in_flight());
    }

    fn answer_done(&mut self, now: Tick) {
        let mut done = std::mem::take(&mut self.done);
        self.engine.take_done(&mut done);
        for exchange in done.drain(..) {
            let settled = self.desk.settle(exchange, now);
            self.deliver(settled, now);
        }
        self.done = done;
    }

    /// Sends an answer to all who wait for it.
    fn deliver(&mut self, mut settled: Settled, now: Tick) {
        for waiter in std::mem::take(&mut settled.waiters) {
            match &waiter.reply_to {
                ReplyTo::Datagram { listener } => {
                    let listener = usize::from(*listener);
                    let Some(sends) = self.sends.get_mut(listener) else { continue };
                    if sends.is_full() {
                        flush(&self.desk, sends, &self.sockets[listener]);
                    }
                    let len = self.desk.render(&settled, &waiter, now, sends.next_buffer());
                    sends.queue(len, waiter.client().addr);
                }
                ReplyTo::Stream(_) => {
                    self.message.resize(MAX_MESSAGE, 0);
                    let len = self.desk.render(&settled, &waiter, now, &mut self.message);
                    if let ReplyTo::Stream(sink) = waiter.into_reply()
                        && !sink.send(&self.message[..len])
                    {
                        self.desk.stats.shed(ShedReason::TcpUnsent);
                    }
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
        const TURNS: usize = 64;
        for listener in 0..self.sockets.len() {
            let _ = (0..TURNS).all(|_| self.serve_socket(listener));
            if let Err(error) = self.epoll.remove(&self.sockets[listener]) {
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
