//! The event log: tracing to stderr, text or JSON, one line an event.
//!
//! Set up once, by the program, before anything else runs. Libraries that log every query or
//! connection are kept at `warn`; a filter given on the command line or in the environment replaces
//! all of that. [`Every`] keeps a warning that packets can cause from filling the disk.

use std::io::{self, IsTerminal, Write};
use std::time::{Duration, Instant};

use tracing::Subscriber;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::fmt::time::SystemTime;

use crate::config::{Level, Log, LogFormat};

/// Dependencies that say too much at `info`.
const NOISY: [&str; 6] =
    ["hickory_server", "hickory_net", "hickory_proto", "hyper", "hyper_util", "netlink_proto"];

/// Why logging could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// The filter given does not parse.
    #[error("the log filter {filter:?} is not understood: {source}")]
    Filter {
        /// What was given.
        filter: String,
        /// What is wrong with it.
        source: tracing_subscriber::filter::ParseError,
    },
    /// Something has already set up logging for this process.
    #[error("logging is already set up")]
    Again,
}

/// Starts logging for the whole process. `filter` (`debug`, `horizond::upstream=trace,warn`)
/// replaces `[log] level`. Fails if called twice.
pub fn init(log: &Log, filter: Option<&str>) -> Result<(), LogError> {
    let color = io::stderr().is_terminal();
    let subscriber = subscriber(log, filter, color, || OneLine(io::stderr().lock()))?;
    tracing::subscriber::set_global_default(subscriber).map_err(|_| LogError::Again)
}

fn subscriber<W>(
    log: &Log,
    filter: Option<&str>,
    color: bool,
    writer: W,
) -> Result<Box<dyn Subscriber + Send + Sync>, LogError>
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    let directives = filter.map_or_else(|| default_filter(log.level), str::to_owned);
    let filter = EnvFilter::builder()
        .parse(&directives)
        .map_err(|source| LogError::Filter { filter: directives, source })?;
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_timer(SystemTime)
        .with_writer(writer);
    Ok(match log.format {
        LogFormat::Text => Box::new(builder.with_ansi(color).compact().finish()),
        LogFormat::Json => Box::new(builder.with_ansi(false).json().flatten_event(true).finish()),
    })
}

fn default_filter(level: Level) -> String {
    let (ours, theirs) = match level {
        Level::Error => ("error", "error"),
        Level::Warn => ("warn", "warn"),
        Level::Info => ("info", "warn"),
        Level::Debug => ("debug", "warn"),
        Level::Trace => ("trace", "warn"),
    };
    let mut filter = ours.to_owned();
    for name in NOISY {
        filter.push_str(&format!(",{name}={theirs}"));
    }
    filter
}

/// Keeps an event on one line: a line break inside it (an error text of the system's, say) must not
/// be able to pass for the start of another event. The formatter writes each event at once.
struct OneLine<W>(W);

impl<W: Write> Write for OneLine<W> {
    fn write(&mut self, event: &[u8]) -> io::Result<usize> {
        let body = event.strip_suffix(b"\n").unwrap_or(event);
        if !body.contains(&b'\n') {
            return self.0.write_all(event).map(|()| event.len());
        }
        let mut line = body.split(|&byte| byte == b'\n').collect::<Vec<_>>().join(&b"\\n"[..]);
        line.push(b'\n');
        self.0.write_all(&line).map(|()| event.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

/// Lets one message through per interval and counts the others. One per message and thread; the
/// caller brings the time.
///
/// ```
/// # use std::time::{Duration, Instant};
/// # use horizond::telemetry::logs::Every;
/// let (start, second) = (Instant::now(), Duration::from_secs(1));
/// let mut every = Every::new(10 * second);
/// assert_eq!(every.allow(start), Some(0));
/// assert_eq!(every.allow(start + second), None);
/// assert_eq!(every.allow(start + 10 * second), Some(1)); // one was held back in between
/// ```
#[derive(Debug, Clone)]
pub struct Every {
    interval: Duration,
    last: Option<Instant>,
    held_back: u64,
}

impl Every {
    /// At most one message in `interval`.
    pub const fn new(interval: Duration) -> Every {
        Every { interval, last: None, held_back: 0 }
    }

    /// `Some` if the message may be logged now, with how many were held back since the last one.
    pub fn allow(&mut self, now: Instant) -> Option<u64> {
        match self.last {
            Some(last) if now.saturating_duration_since(last) < self.interval => {
                self.held_back += 1;
                None
            }
            _ => {
                self.last = Some(now);
                Some(std::mem::take(&mut self.held_back))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::config::QueryLog;
    use std::sync::{Arc, Mutex};

    #[derive(Clone, Default)]
    struct Memory(Arc<Mutex<Vec<u8>>>);

    impl Write for Memory {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn lines(format: LogFormat, level: Level, filter: Option<&str>, emit: fn()) -> Vec<String> {
        let log = Log { level, format, queries: QueryLog::Off };
        let memory = Memory::default();
        let writer = memory.clone();
        let made = subscriber(&log, filter, false, move || OneLine(writer.clone())).unwrap();
        tracing::subscriber::with_default(made, emit);
        let bytes = memory.0.lock().unwrap().clone();
        String::from_utf8(bytes).unwrap().lines().map(str::to_owned).collect()
    }

    #[test]
    fn text_is_one_plain_line_in_utc() {
        let lines = lines(LogFormat::Text, Level::Info, None, || {
            tracing::info!(route = "cluster", error = %"bad\nforged INFO line", "said");
            tracing::debug!("not this");
        });
        assert_eq!(lines.len(), 1, "{lines:?}");
        let (time, rest) = lines[0].split_once(' ').unwrap();
        assert!(time.ends_with('Z') && time.as_bytes()[10] == b'T', "{time}");
        assert!(rest.contains("INFO") && rest.contains("said"), "{rest}");
        assert!(rest.contains(r"bad\nforged"), "{rest}");
        assert!(!rest.contains('\x1b'), "{rest}");
    }

    #[test]
    fn json_is_one_object_a_line() {
        let lines = lines(LogFormat::Json, Level::Warn, None, || {
            tracing::warn!(upstream = "10.96.0.10:53", "two\nlines");
            tracing::info!("not this");
        });
        assert_eq!(lines.len(), 1);
        let event: serde_json::Value = serde_json::from_str(&lines[0]).unwrap();
        assert_eq!(event["level"], "WARN");
        assert_eq!(event["message"], "two\nlines");
        assert_eq!(event["upstream"], "10.96.0.10:53");
    }

    #[test]
    fn noisy_dependencies_need_a_filter_of_their_own() {
        let emit = || {
            tracing::info!(target: "hickory_server::server", "request");
            tracing::error!(target: "hickory_net", "broken");
            tracing::debug!("ours");
        };
        assert_eq!(lines(LogFormat::Text, Level::Debug, None, emit).len(), 2);
        assert_eq!(lines(LogFormat::Text, Level::Error, None, emit).len(), 1);
        assert_eq!(lines(LogFormat::Text, Level::Error, Some("debug"), emit).len(), 3);
    }

    #[test]
    fn a_bad_filter_is_shown() {
        let log = Log { level: Level::Info, format: LogFormat::Text, queries: QueryLog::Off };
        let error = subscriber(&log, Some("a=nonsense"), false, io::sink).err().unwrap();
        assert!(error.to_string().contains("a=nonsense"), "{error}");
    }
}
