//! What an answer or a failure means for its exchange.

use super::super::Upstream;
use super::super::slots::{Slots, Ticket};
use super::super::udp::Pending;
use super::exchange::{Attempt, Cause, Exchange, Via};
use super::{Engine, Outcome};
use crate::accept::{Asked, Rules, Verdict, is_respelled, judge};
use crate::config::Transport;
use crate::telemetry::upstream::Failure;
use crate::time::Tick;
use crate::wire::header::{Header, Rcode};

impl Engine {
    /// Judges what answers a pending query. False if it does not.
    pub(super) fn on_answer(
        &mut self,
        pending: Pending,
        bytes: &[u8],
        transport: Transport,
        now: Tick,
    ) -> bool {
        let Some(exchange) = self.exchanges.get(pending.exchange) else { return false };
        let Some(attempt) = exchange.attempts.get(usize::from(pending.attempt)).copied() else {
            return false;
        };
        let exact = transport == Transport::Udp;
        let (edns, spelling) = (attempt.edns, attempt.spelling);
        let asked = Asked { question: exchange.question(), edns, spelling, exact };
        let route = &exchange.route;
        let rules = Rules {
            route: route.index,
            name: &route.name,
            caps: route.caps,
            horizons: &*self.horizons,
            rebinding: route.rebinding.as_ref(),
        };
        let verdict = judge(asked, bytes, &rules);
        match verdict {
            Verdict::NotOurs => return false,
            Verdict::Respelled => {
                self.doubt(pending, now);
                return false;
            }
            _ => {}
        }
        let folds = !exact && !spelling.is_folded() && is_respelled(asked, bytes);
        let served = exchange.route.clone();
        let upstream = &served.upstreams[usize::from(attempt.place)];
        self.end_attempt(pending);
        self.note_answer(upstream, bytes, attempt.sent, now);
        if folds && let Some(lane) = self.lanes.get_mut(&upstream.id) {
            lane.learn_folding(now);
        }
        let (ticket, place) = (pending.exchange, attempt.place);
        let sent_again = match verdict {
            Verdict::Accepted(accepted) => {
                if !attempt.edns
                    && let Some(lane) = self.lanes.get_mut(&upstream.id)
                    && exchange_choked(&self.exchanges, ticket, place)
                {
                    lane.learn_plain(now);
                }
                self.finish(ticket, Outcome::Answer(accepted));
                return true;
            }
            Verdict::Truncated(partial) => {
                if let Some(exchange) = self.exchanges.get_mut(ticket) {
                    exchange.fallback = partial.or(exchange.fallback.take());
                }
                transport == Transport::Udp
                    && self.try_upstream(ticket, place, Transport::Tcp, attempt.edns, now)
            }
            Verdict::Malformed => {
                self.count_failure(upstream, Failure::Malformed);
                self.note_cause(ticket, place, Cause::Malformed);
                self.contradict(ticket, transport);
                transport == Transport::Udp
                    && self.try_upstream(ticket, place, Transport::Tcp, attempt.edns, now)
            }
            Verdict::NoEdns(rcode) => {
                self.note_cause(ticket, place, Cause::Answered(rcode, None));
                if let Some(exchange) = self.exchanges.get_mut(ticket) {
                    exchange.choked |= u16::from(rcode != Rcode::BADVERS) << place;
                }
                self.try_upstream(ticket, place, transport, false, now)
            }
            Verdict::Failed(failed) => {
                let cause = match failed.rcode {
                    Rcode::NOERROR | Rcode::NXDOMAIN => Cause::Unfit,
                    rcode => Cause::Answered(rcode, failed.ede),
                };
                self.note_cause(ticket, place, cause);
                self.contradict(ticket, transport);
                false
            }
            Verdict::NotOurs | Verdict::Respelled => true,
        };
        if !sent_again {
            if let Some(exchange) = self.exchanges.get_mut(ticket) {
                exchange.bury(place);
            }
            self.advance(ticket, now);
        }
        true
    }

    /// An answer over UDP was right but for the case. Where the server does not keep it, it says so over
    /// TCP; where the answer was a guess, the real one may still come here. Guesses may come in numbers,
    /// so it is asked once for each try.
    fn doubt(&mut self, pending: Pending, now: Tick) {
        let Some(exchange) = self.exchanges.get_mut(pending.exchange) else { return };
        let Some(attempt) = exchange.attempts.get_mut(usize::from(pending.attempt)) else { return };
        if std::mem::replace(&mut attempt.doubted, true) {
            return;
        }
        let Attempt { place, edns, .. } = *attempt;
        self.try_upstream(pending.exchange, place, Transport::Tcp, edns, now);
    }

    /// What came over TCP is none: what was cut short of it over UDP is none either.
    fn contradict(&mut self, ticket: Ticket, transport: Transport) {
        if transport == Transport::Tcp
            && let Some(exchange) = self.exchanges.get_mut(ticket)
        {
            exchange.fallback = None;
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

    pub(super) fn count_failure(&self, upstream: &Upstream, why: Failure) {
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
    pub(super) fn note_failure(&mut self, ticket: Ticket, place: u8, cause: Cause, now: Tick) {
        let Some(exchange) = self.exchanges.get_mut(ticket) else { return };
        let served = exchange.route.clone();
        let upstream = &served.upstreams[usize::from(place)];
        let route = &served.name;
        self.count_failure(upstream, cause.class());
        if !cause.is_local() {
            self.note_down(route, upstream, &cause, now);
        }
        if let Some(exchange) = self.exchanges.get_mut(ticket) {
            exchange.note_cause(place, cause);
            exchange.bury(place);
        }
    }

    /// Counts a failure against an upstream's health, and says so when it goes down.
    pub(super) fn note_down(&mut self, route: &str, upstream: &Upstream, cause: &Cause, now: Tick) {
        if upstream.health.failed(now)
            && self.lanes.get_mut(&upstream.id).is_some_and(|lane| lane.may_warn(now))
        {
            let upstream = upstream.describe();
            tracing::warn!(route, upstream, reason = %cause, "upstream is down");
        }
    }

    /// A pending query came to nothing: on to the next upstream.
    pub(super) fn fail_attempt(&mut self, pending: Pending, cause: Cause, now: Tick) {
        let Some(exchange) = self.exchanges.get(pending.exchange) else { return };
        let attempt = exchange.attempts.get(usize::from(pending.attempt)).filter(|a| a.open);
        let Some(place) = attempt.map(|a| a.place) else { return };
        self.end_attempt(pending);
        self.note_failure(pending.exchange, place, cause, now);
        self.advance(pending.exchange, now);
    }

    /// Takes a try's query off its socket or connection.
    pub(super) fn end_attempt(&mut self, pending: Pending) {
        let Some(exchange) = self.exchanges.get_mut(pending.exchange) else { return };
        let Some(attempt) = exchange.attempts.get_mut(usize::from(pending.attempt)) else { return };
        if !std::mem::replace(&mut attempt.open, false) {
            return;
        }
        let attempt = *attempt;
        let upstream = exchange.route.upstreams[usize::from(attempt.place)].id;
        self.forget(attempt, upstream);
    }

    pub(super) fn forget(&mut self, attempt: Attempt, upstream: u32) {
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
}

/// Whether the exchange had a query with EDNS refused by this upstream for want of EDNS.
fn exchange_choked(exchanges: &Slots<Exchange>, ticket: Ticket, place: u8) -> bool {
    exchanges.get(ticket).is_some_and(|e| e.choked >> place & 1 == 1)
}
