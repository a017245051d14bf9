//! One exchange: a question, the upstreams it may go to, and how far it has come.

use std::fmt;
use std::io;

use smallvec::SmallVec;

use super::super::choose::Order;
use super::super::slots::Ticket;
use super::RouteRef;
use crate::accept::{Accepted, Spelling};
use crate::answer::Question;
use crate::cache::{Key, SharedKey};
use crate::config::MAX_UPSTREAMS;
use crate::telemetry::upstream::Failure;
use crate::time::Tick;
use crate::wire::CLASS_IN;
use crate::wire::edns::{Ede, ede};
use crate::wire::header::Rcode;

/// Queries that one exchange sends at most, to all upstreams together.
pub const MAX_ATTEMPTS: usize = 12;
/// Queries that one exchange sends to one upstream by its own decision; retries without EDNS or over
/// TCP count, but are made even when these are used up.
const MAX_TRIES: u8 = 5;
/// How often an exchange follows its upstream from a connection that closed to a fresh one.
const MAX_REDIALS: u8 = 2;

/// Where a query went.
#[derive(Debug, Clone, Copy)]
pub enum Via {
    /// From a UDP socket.
    Udp {
        /// The socket.
        socket: Ticket,
        /// The message's id.
        id: u16,
    },
    /// Over a connection.
    Tcp {
        /// The connection.
        connection: Ticket,
        /// The message's id.
        id: u16,
    },
}

/// One query sent.
#[derive(Debug, Clone, Copy)]
pub struct Attempt {
    /// Place of the upstream in its route.
    pub place: u8,
    /// Where it went.
    pub via: Via,
    /// Whether it had an OPT.
    pub edns: bool,
    /// When.
    pub sent: Tick,
    /// The case of its name.
    pub spelling: Spelling,
    /// Whether an answer is still waited for.
    pub open: bool,
    /// Whether an answer in another case has come, and the server was asked over TCP for it.
    pub doubted: bool,
}

impl Attempt {
    /// One that was just sent.
    pub fn new(place: u8, via: Via, edns: bool, spelling: Spelling, now: Tick) -> Attempt {
        Attempt { place, via, edns, sent: now, spelling, open: true, doubted: false }
    }
}

/// What an upstream did instead of answering.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cause {
    /// Nothing, in time.
    Timeout,
    /// The network said no.
    Network(Trouble),
    /// It answered with bytes that are no message.
    Malformed,
    /// It answered something else than what was asked, or sent elsewhere.
    Unfit,
    /// It answered with an rcode that is no answer.
    Answered(Rcode, Option<Ede>),
}

/// An error of the network or of this host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Trouble {
    kind: io::ErrorKind,
    errno: Option<i32>,
}

impl From<io::Error> for Trouble {
    fn from(error: io::Error) -> Trouble {
        Trouble { kind: error.kind(), errno: error.raw_os_error() }
    }
}

impl From<io::ErrorKind> for Trouble {
    fn from(kind: io::ErrorKind) -> Trouble {
        Trouble { kind, errno: None }
    }
}

impl Trouble {
    /// Whether it is this host's and says nothing about the upstream. EPERM is what a full
    /// connection-tracking table or a rule of the host's own firewall gives.
    pub fn is_local(self) -> bool {
        const ERRNOS: [i32; 7] = [
            libc::EPERM,
            libc::EMFILE,
            libc::ENFILE,
            libc::ENOBUFS,
            libc::ENOMEM,
            libc::EADDRNOTAVAIL,
            libc::EAGAIN,
        ];
        self.errno.is_some_and(|errno| ERRNOS.contains(&errno))
            || matches!(self.kind, io::ErrorKind::QuotaExceeded | io::ErrorKind::NotFound)
    }
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.errno, self.kind) {
            (Some(libc::EMFILE | libc::ENFILE), _) => f.write_str("out of file descriptors here"),
            (_, io::ErrorKind::ConnectionReset) => f.write_str("connection closed"),
            (_, io::ErrorKind::TimedOut) => f.write_str("connection silent"),
            (_, io::ErrorKind::InvalidData) => f.write_str("not DNS over this connection"),
            (_, io::ErrorKind::QuotaExceeded) => f.write_str("too much in flight here"),
            (Some(errno), _) => write!(f, "{}", io::Error::from_raw_os_error(errno)),
            (None, kind) => write!(f, "{kind}"),
        }
    }
}

impl Cause {
    /// Under which reason it is counted.
    pub fn class(&self) -> Failure {
        match self {
            Cause::Timeout => Failure::Timeout,
            Cause::Network(trouble) if trouble.is_local() => Failure::Local,
            Cause::Network(trouble) => match trouble.kind {
                io::ErrorKind::TimedOut => Failure::Timeout,
                io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe => Failure::Closed,
                io::ErrorKind::InvalidData => Failure::Malformed,
                _ => Failure::Unreachable,
            },
            Cause::Malformed | Cause::Unfit | Cause::Answered(..) => Failure::Malformed,
        }
    }

    /// Whether it is this host's trouble and says nothing about the upstream.
    pub fn is_local(&self) -> bool {
        matches!(self, Cause::Network(trouble) if trouble.is_local())
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Cause::Timeout => f.write_str("no answer"),
            Cause::Network(trouble) => write!(f, "{trouble}"),
            Cause::Malformed => f.write_str("malformed answer"),
            Cause::Unfit => f.write_str("its answer does not answer the question"),
            Cause::Answered(rcode, None) => write!(f, "answered {rcode}"),
            Cause::Answered(rcode, Some(ede)) => {
                let space = if ede.text.is_empty() { "" } else { " " };
                write!(f, "answered {rcode} (EDE {}{space}{})", ede.code, ede.text)
            }
        }
    }
}

/// One exchange.
pub struct Exchange {
    /// The question's key in the cache.
    pub key: SharedKey,
    /// The route that owns the name.
    pub route: RouteRef,
    /// When it began.
    pub started: Tick,
    /// When it ends at the latest.
    pub deadline: Tick,
    /// When its timer is due; timers that come earlier are old.
    pub timer: Tick,
    /// When those who wait are to hear that it takes long, once.
    pub late: Option<Tick>,
    /// Queries sent, in their order.
    pub attempts: SmallVec<[Attempt; 2]>,
    /// A truncated answer, in case nothing better comes.
    pub fallback: Option<Box<Accepted>>,
    /// Bit per place: it refused EDNS.
    pub choked: u16,
    order: Order,
    tried: [u8; MAX_UPSTREAMS],
    /// Bit per place: not to be asked again.
    buried: u16,
    redials: u8,
    causes: Vec<(u8, Cause)>,
}

impl Exchange {
    /// One that has asked nobody yet.
    pub fn new(key: SharedKey, route: RouteRef, order: Order, now: Tick) -> Exchange {
        Exchange {
            key,
            started: now,
            deadline: now + route.deadline,
            timer: now,
            late: None,
            route,
            attempts: SmallVec::new(),
            fallback: None,
            choked: 0,
            order,
            tried: [0; MAX_UPSTREAMS],
            buried: 0,
            redials: 0,
            causes: Vec::new(),
        }
    }

    /// The question.
    pub fn question(&self) -> Question<'_> {
        let name = Key::name(self.key.as_bytes());
        Question { name, qtype: Key::qtype(self.key.as_bytes()), qclass: CLASS_IN }
    }

    /// Whether any answer is still waited for.
    pub fn is_open(&self) -> bool {
        self.attempts.iter().any(|a| a.open)
    }

    /// The upstream to be asked next: the first in order among those asked least. With a part of an
    /// answer in hand, only one that was not asked yet.
    pub fn next_place(&self) -> Option<u8> {
        if self.attempts.len() >= MAX_ATTEMPTS {
            return None;
        }
        let most = if self.fallback.is_some() { 1 } else { MAX_TRIES };
        let alive = |p: &u8| self.buried >> p & 1 == 0 && self.tried[usize::from(*p)] < most;
        self.order.iter().filter(alive).min_by_key(|p| self.tried[usize::from(*p)])
    }

    /// How often an upstream was asked.
    pub fn tries(&self, place: u8) -> u32 {
        self.tried[usize::from(place)].into()
    }

    /// An upstream is asked.
    pub fn note_try(&mut self, place: u8) {
        let tried = &mut self.tried[usize::from(place)];
        *tried = tried.saturating_add(1);
    }

    /// An upstream is not to be asked again.
    pub fn bury(&mut self, place: u8) {
        self.buried |= 1 << place;
    }

    /// Whether it may go to a fresh connection once more.
    pub fn may_redial(&mut self) -> bool {
        self.redials += 1;
        self.redials <= MAX_REDIALS
    }

    /// Remembers the last thing that each upstream did.
    pub fn note_cause(&mut self, place: u8, cause: Cause) {
        match self.causes.iter_mut().find(|(p, _)| *p == place) {
            Some((_, last)) => *last = cause,
            None => self.causes.push((place, cause)),
        }
    }

    /// Whether it failed for want of something on this host alone: descriptors, ports, a usable
    /// upstream.
    pub fn is_overload(&self) -> bool {
        self.causes.iter().all(|(_, cause)| cause.is_local())
    }

    /// Why there is no answer, for the client: route, upstreams, causes. An upstream's own extended
    /// error lends its code where there is just one upstream to speak of.
    pub fn reason(&self, now: Tick) -> Ede {
        let route = &self.route;
        if route.upstreams.is_empty() {
            let text = format!("route {}: no upstream", route.name);
            return Ede::new(failure_code(&[]), text);
        }
        let code = match &self.causes[..] {
            [(_, Cause::Answered(_, Some(ede)))] => ede.code,
            causes => failure_code(causes),
        };
        let causes: Vec<String> = self
            .causes
            .iter()
            .map(|(p, cause)| format!("{} {cause}", route.upstreams[usize::from(*p)].describe()))
            .collect();
        let ms = now.since(self.started).as_millis();
        Ede::new(code, format!("route {}: {} ({ms} ms)", route.name, causes.join("; ")))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trouble_of_this_host_is_told_from_the_upstreams() {
        let cause = |errno| Cause::Network(io::Error::from_raw_os_error(errno).into());
        for errno in [libc::EMFILE, libc::ENOBUFS, libc::EPERM, libc::EADDRNOTAVAIL] {
            let cause = cause(errno);
            assert!(cause.is_local(), "{cause}");
            assert_eq!(cause.class(), Failure::Local, "{cause}");
        }
        for (errno, class) in [
            (libc::ECONNREFUSED, Failure::Unreachable),
            (libc::ENETUNREACH, Failure::Unreachable),
            (libc::EHOSTUNREACH, Failure::Unreachable),
            (libc::ECONNRESET, Failure::Closed),
        ] {
            let cause = cause(errno);
            assert!(!cause.is_local(), "{cause}");
            assert_eq!(cause.class(), class, "{cause}");
        }
        assert_eq!(cause(libc::EMFILE).to_string(), "out of file descriptors here");
    }
}
