//! What the passing of time means: queries without an answer, idle connections.

use std::io;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::super::slots::Ticket;
use super::super::udp::Pending;
use super::super::{RouteState, Upstream};
use super::exchange::{Attempt, Cause, Via};
use super::{Engine, FIRST_WAIT, LEAST_WAIT, Routes, SWEEP, tcp};
use crate::config::Transport;
use crate::telemetry::upstream::Failure;
use crate::time::Tick;

impl Engine {
    pub(super) fn arm(&mut self, ticket: Ticket, due: Tick) {
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
        let Some(exchange) = self.exchanges.get_mut(ticket) else { return };
        if exchange.late.take_if(|at| now >= *at).is_some() {
            self.late.push((exchange.key.clone(), exchange.route.index));
        }
        if now < exchange.timer {
            return;
        }
        let overdue = now >= exchange.deadline;
        if let Some(attempt) = exchange.attempts.last().copied().filter(|a| a.open) {
            exchange.note_cause(attempt.place, Cause::Timeout);
            let served = exchange.route.clone();
            let upstream = &served.upstreams[usize::from(attempt.place)];
            let route = &served.name;
            self.count_failure(upstream, Failure::Timeout);
            self.note_down(route, upstream, &Cause::Timeout, now);
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
            let idle = self
                .lanes
                .get(&id)
                .is_some_and(|lane| lane.stats.in_flight.load(Ordering::Relaxed) == 0);
            if let Some(lane) = idle.then(|| self.lanes.remove(&id)).flatten() {
                lane.connections.iter().for_each(|&t| drop(self.connections.remove(t)));
            }
        }
    }
}

/// How long to wait for an answer before asking again or elsewhere: over UDP four smoothed
/// round-trip times, doubled with each try after the second (which goes by another flow, perhaps to
/// another endpoint, and should go soon); over TCP, which repeats by itself, the route's timeout.
pub(super) fn patience(
    route: &RouteState,
    upstream: &Upstream,
    transport: Transport,
    tries: u32,
) -> Duration {
    if transport == Transport::Tcp {
        return route.timeout;
    }
    let first = upstream.health.srtt().map_or(FIRST_WAIT, |srtt| (srtt * 4).max(LEAST_WAIT));
    (first * 2u32.pow(tries.saturating_sub(2).min(4))).min(route.timeout)
}
