//! The query log: a line per query, off by default.
//!
//! Query threads hand over raw facts through a bounded channel; a thread of its own makes lines of
//! them. A thread that finds the channel full drops its line and counts it: no query ever waits for
//! the log. Names come from clients and are escaped. When the log is off nothing exists but a flag.

use std::io::{self, BufWriter, Write};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, SyncSender, TryRecvError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime};

use super::labels::{Proto, ShedReason, Source};
use super::logs::Every;
use super::stats::Stats;
use crate::config::{LogFormat, QueryLog as Mode};
use crate::pods::Pod;
use crate::wire::name::MAX_NAME;

mod line;

/// Lines that may wait to be written, about 1.4 MB. Beyond it lines are dropped and counted as
/// `horizond_shed_total{reason="query_log"}`.
pub const CAPACITY: usize = 4096;

/// One answered query.
#[derive(Debug, Clone)]
pub struct Record {
    name: [u8; MAX_NAME],
    name_len: u8,
    /// When the answer was made.
    pub at: SystemTime,
    /// Who asked.
    pub client: SocketAddr,
    /// How it was asked.
    pub proto: Proto,
    /// What was asked for.
    pub qtype: u16,
    /// What was answered, extended bits included.
    pub rcode: u16,
    /// Where the answer came from.
    pub source: Source,
    /// The route's number; [`super::stats::NO_ROUTE`] shows as `-`.
    pub route: u16,
    /// From arrival to the answer.
    pub duration: Duration,
    /// Bytes of the answer.
    pub size: u16,
    /// The pod that asked, where it is known.
    pub pod: Option<Arc<Pod>>,
}

impl Record {
    /// A record of a question about `name` (wire format, uncompressed, any case; what is beyond 255
    /// bytes is cut), the rest to be filled in.
    pub fn new(name: &[u8], client: SocketAddr, at: SystemTime) -> Record {
        let mut bytes = [0; MAX_NAME];
        let len = name.len().min(MAX_NAME);
        bytes[..len].copy_from_slice(&name[..len]);
        Record {
            name: bytes,
            name_len: len as u8,
            at,
            client,
            proto: Proto::Udp,
            qtype: 0,
            rcode: 0,
            source: Source::Upstream,
            route: super::stats::NO_ROUTE,
            duration: Duration::ZERO,
            size: 0,
            pod: None,
        }
    }

    fn name(&self) -> &[u8] {
        &self.name[..usize::from(self.name_len)]
    }
}

/// A query thread's end of the log; each thread has a clone.
#[derive(Debug, Clone)]
pub struct QueryLog {
    mode: Mode,
    sender: Option<SyncSender<Record>>,
}

/// The log's thread. It ends when every [`QueryLog`] of it is gone and all lines are written.
#[derive(Debug)]
pub struct Writer(Option<JoinHandle<()>>);

impl QueryLog {
    /// A log that is off.
    pub const fn off() -> QueryLog {
        QueryLog { mode: Mode::Off, sender: None }
    }

    /// Starts the log's thread, unless `mode` is [`Mode::Off`]. `routes` are the routes' names in
    /// order. `out` gets whole lines, and is flushed whenever the log has nothing to do.
    ///
    /// Fails if the thread cannot be started.
    pub fn start(
        mode: Mode,
        format: LogFormat,
        routes: Vec<String>,
        out: impl Write + Send + 'static,
    ) -> io::Result<(QueryLog, Writer)> {
        if mode == Mode::Off {
            return Ok((QueryLog::off(), Writer(None)));
        }
        let (sender, receiver) = mpsc::sync_channel(CAPACITY);
        let lines = line::Lines::new(format, routes);
        let thread = std::thread::Builder::new()
            .name("query-log".to_owned())
            .spawn(move || write_all(&receiver, lines, BufWriter::new(out)))?;
        Ok((QueryLog { mode, sender: Some(sender) }, Writer(Some(thread))))
    }

    /// Whether a query with this outcome is logged: to be asked before a [`Record`] is made.
    #[inline]
    pub fn wants(&self, rcode: u16) -> bool {
        match self.mode {
            Mode::Off => false,
            // FORMERR, SERVFAIL, NOTIMP, REFUSED.
            Mode::Failures => matches!(rcode, 1 | 2 | 4 | 5),
            Mode::All => true,
        }
    }

    /// Hands a record over, or counts it in the caller's own `stats` if there is no room. Never
    /// waits; may wake the log's thread, which is one system call.
    pub fn log(&self, stats: &Stats, record: Record) {
        if let Some(sender) = &self.sender
            && sender.try_send(record).is_err()
        {
            stats.shed(ShedReason::QueryLog);
        }
    }
}

impl Writer {
    /// Waits until all is written. Every [`QueryLog`] must be gone, else this waits for them.
    pub fn join(mut self) {
        if let Some(thread) = self.0.take()
            && thread.join().is_err()
        {
            tracing::error!("the query log's thread panicked");
        }
    }
}

fn write_all(receiver: &Receiver<Record>, mut lines: line::Lines, mut out: impl Write) {
    let mut complaints = Every::new(Duration::from_secs(60));
    let mut next = receiver.recv().ok();
    while let Some(record) = next {
        let mut written = out.write_all(lines.of(&record));
        next = match receiver.try_recv() {
            Ok(record) => Some(record),
            Err(TryRecvError::Disconnected) => None,
            Err(TryRecvError::Empty) => {
                written = written.and_then(|()| out.flush());
                receiver.recv().ok()
            }
        };
        // The lines are lost; the queries go on.
        if let Err(error) = written
            && let Some(before) = complaints.allow(Instant::now())
        {
            tracing::warn!(%error, before, "the query log cannot be written");
        }
    }
    if let Err(error) = out.flush() {
        tracing::warn!(%error, "the end of the query log cannot be written");
    }
}

#[cfg(test)]
mod tests;
