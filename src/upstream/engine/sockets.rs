//! The engine's sockets and connections: opening, sending, receiving, closing.

use std::io;

use super::super::Upstream;
use super::super::slots::{Slots, Ticket};
use super::super::tcp::{self, Connection, ReadEnd};
use super::super::udp::{Pending, Socket};
use super::exchange::{Cause, Trouble, Via};
use super::{Engine, FLOOD, TOKEN_KIND, TOKEN_TCP, TOKEN_UDP};
use crate::config::Transport;
use crate::sys::Interest;
use crate::time::Tick;
use crate::wire::{MAX_MESSAGE, header};
use rand::RngExt;

impl Engine {
    /// Sends a query over UDP, from a socket drawn at random.
    pub(super) fn send_udp(
        &mut self,
        upstream: &Upstream,
        query: &mut [u8],
        pending: Pending,
        now: Tick,
    ) -> io::Result<Via> {
        let ticket = self.draw_socket(upstream, now)?;
        let Some(socket) = self.sockets.get_mut(ticket) else {
            return Err(io::ErrorKind::NotFound.into());
        };
        let sent = match socket.send(query, pending, &mut self.rng) {
            // What ICMP said of a datagram before this one, which has not gone: those that are
            // pending here hear of it at the end of the turn, and this one is sent again. Trouble of
            // this host is this datagram's own, and says nothing about those that have gone.
            Err(error) => {
                let trouble = Trouble::from(error);
                if !trouble.is_local() {
                    self.broken.push((trouble, socket.pending.values().copied().collect()));
                }
                socket.send(query, pending, &mut self.rng)?
            }
            sent => sent?,
        };
        match sent {
            Some(id) => Ok(Via::Udp { socket: ticket, id }),
            None => Err(io::ErrorKind::QuotaExceeded.into()),
        }
    }

    /// Draws one of the sockets to an upstream at random, and opens or replaces it where need be.
    fn draw_socket(&mut self, upstream: &Upstream, now: Tick) -> io::Result<Ticket> {
        let Some(lane) = self.lanes.get_mut(&upstream.id) else {
            return Err(io::ErrorKind::NotFound.into());
        };
        let place = self.rng.random_range(0..lane.ports.len());
        let known = lane.ports[place].filter(|&t| self.sockets.get(t).is_some_and(|s| !s.retired));
        let worn = known.filter(|&t| self.sockets.get(t).is_some_and(|s| s.is_worn(now)));
        if let Some(ticket) = known.filter(|_| worn.is_none()) {
            return Ok(ticket);
        }
        let socket = Socket::open(upstream.addr, &mut self.rng, now)?;
        let ticket = self.sockets.insert(socket);
        let token = TOKEN_UDP | Slots::<Socket>::pack(ticket);
        if let Some(socket) = self.sockets.get(ticket)
            && let Err(error) = self.epoll.add(socket, token, Interest::Read)
        {
            // Unwatched it would send queries and hear no answers.
            self.sockets.remove(ticket);
            return Err(error);
        }
        lane.ports[place] = Some(ticket);
        if let Some(old) = worn {
            self.retire(old);
        }
        Ok(ticket)
    }

    /// Lets a socket close as soon as nothing is pending on it.
    pub(super) fn retire(&mut self, ticket: Ticket) {
        let Some(socket) = self.sockets.get_mut(ticket) else { return };
        socket.retired = true;
        if socket.pending.is_empty() {
            self.sockets.remove(ticket);
        }
    }

    pub(super) fn send_tcp(
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
        loop {
            if let Some((trouble, lost)) = self.broken.pop() {
                self.fail_all(lost, trouble, now);
            } else if let Some(ticket) = self.dirty.pop() {
                let Some(connection) = self.connections.get_mut(ticket) else { continue };
                connection.dirty = false;
                match connection.flush() {
                    Ok(all) => self.watch_writes(ticket, !all),
                    Err(error) => self.close(ticket, error.into(), now),
                }
            } else {
                return;
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
        // Nearly always one datagram waits, and a second look would find nothing; more are reported
        // again. Where the one was not waited for there may be a flood of such, which is read away,
        // but not so long that the shard's clients would feel it.
        let mut buffer = std::mem::take(&mut self.datagram);
        buffer.resize(MAX_MESSAGE + 1, 0);
        for _ in 0..FLOOD {
            let Some(socket) = self.sockets.get(ticket) else { break };
            match socket.receive(&mut buffer) {
                Ok(len) if self.on_datagram(ticket, &buffer[..len], now) => break,
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => {
                    self.fail_socket(ticket, error.into(), now);
                    break;
                }
            }
        }
        self.datagram = buffer;
    }

    /// ICMP said that the upstream is not there: all that was sent from this socket is lost.
    pub(super) fn fail_socket(&mut self, ticket: Ticket, trouble: Trouble, now: Tick) {
        let Some(socket) = self.sockets.get(ticket) else { return };
        let lost = socket.pending.values().copied().collect();
        self.fail_all(lost, trouble, now);
    }

    fn fail_all(&mut self, lost: Vec<Pending>, trouble: Trouble, now: Tick) {
        for pending in lost {
            self.fail_attempt(pending, Cause::Network(trouble), now);
        }
    }

    /// False if nobody waits for it.
    fn on_datagram(&mut self, ticket: Ticket, bytes: &[u8], now: Tick) -> bool {
        let Some(id) = header::id(bytes) else { return false };
        // An id that nobody waits for is a late answer or a guess: neither is worth a line.
        let Some(socket) = self.sockets.get_mut(ticket) else { return false };
        let Some(pending) = socket.pending.get(&id).copied() else { return false };
        socket.last_answer = now;
        self.on_answer(pending, bytes, Transport::Udp, now)
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
    pub(super) fn close(&mut self, ticket: Ticket, trouble: Trouble, now: Tick) {
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
}
