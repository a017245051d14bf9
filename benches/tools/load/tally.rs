//! What came back: counts by kind, and how long it took.

use std::fmt;
use std::net::Ipv4Addr;
use std::time::Duration;

/// Steps between one power of two and the next: a time is known to 3%.
const STEPS: usize = 32;
/// Powers of two of nanoseconds: up to 2^40, which is 18 minutes.
const POWERS: usize = 40;

/// The counts of one run.
pub struct Tally {
    /// Questions asked.
    pub sent: u64,
    /// Questions whose time was over.
    pub lost: u64,
    /// Messages under an id that nothing waits for.
    pub late: u64,
    /// Messages under the id of a question that do not answer it, and answers without the address
    /// that they must hold.
    pub wrong: u64,
    completed: u64,
    truncated: u64,
    rcodes: [u64; 16],
    times: Vec<u64>,
    /// Answers until the clock stopped, or until the last.
    in_time: u64,
    elapsed: Duration,
    stopped: bool,
    must_hold: Option<Ipv4Addr>,
}

impl Tally {
    /// Nothing yet; `must_hold` is what the first record of each answer has to be.
    pub fn new(must_hold: Option<Ipv4Addr>) -> Tally {
        Tally {
            sent: 0,
            lost: 0,
            late: 0,
            wrong: 0,
            completed: 0,
            truncated: 0,
            rcodes: [0; 16],
            times: vec![0; STEPS * POWERS],
            in_time: 0,
            elapsed: Duration::ZERO,
            stopped: false,
            must_hold,
        }
    }

    /// Counts an answer whose question ends at `end`; whether it is what it must be.
    pub fn answer(&mut self, message: &[u8], end: usize) -> bool {
        if self.must_hold.is_some_and(|address| first_address(message, end) != Some(address)) {
            self.wrong += 1;
            return false;
        }
        self.completed += 1;
        self.truncated += u64::from(message[2] & 2 != 0);
        self.rcodes[usize::from(message[3] & 15)] += 1;
        true
    }

    /// Notes that an answer took so long, `since` the run began.
    pub fn took(&mut self, time: Duration, since: Duration) {
        let last = self.times.len() - 1;
        self.times[place(time).min(last)] += 1;
        if !self.stopped {
            self.in_time += 1;
            self.elapsed = since;
        }
    }

    /// What comes from here on does not count for the answers a second.
    pub fn stop_clock(&mut self, since: Duration) {
        self.stopped = true;
        self.elapsed = since;
    }

    /// The time in microseconds that `share` of the answers took at the most.
    fn quantile(&self, share: f64) -> f64 {
        let mut left = (self.completed as f64 * share).ceil() as u64;
        let found = self.times.iter().position(|&count| {
            left = left.saturating_sub(count);
            left == 0
        });
        found.map_or(0.0, |i| middle(i) / 1e3)
    }
}

/// Where a time is counted.
fn place(time: Duration) -> usize {
    let nanos = (time.as_nanos() as u64).max(STEPS as u64);
    let power = nanos.ilog2() as usize;
    let step = (nanos >> (power - STEPS.ilog2() as usize)) as usize - STEPS;
    (power - STEPS.ilog2() as usize) * STEPS + step
}

/// The nanoseconds in the middle of what is counted there.
fn middle(place: usize) -> f64 {
    let width = (1u64 << (place / STEPS)) as f64;
    ((STEPS + place % STEPS) as f64 + 0.5) * width
}

/// The address in the first record behind the question, if that is an A record.
fn first_address(message: &[u8], end: usize) -> Option<Ipv4Addr> {
    let mut at = end;
    // The owner: labels, then the root or a pointer (RFC 1035, 4.1.4).
    loop {
        match *message.get(at)? {
            0 => break at += 1,
            len if len >= 0xc0 => break at += 2,
            len => at += usize::from(len) + 1,
        }
    }
    let [0, 1, 0, 1, _, _, _, _, 0, 4, a, b, c, d] = *message.get(at..at + 14)? else {
        return None;
    };
    Some(Ipv4Addr::new(a, b, c, d))
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Tally { sent, completed, lost, late, wrong, truncated, .. } = self;
        let rate = self.in_time as f64 / self.elapsed.as_secs_f64().max(1e-6);
        write!(f, "sent {sent} completed {completed} lost {lost} late {late} wrong {wrong} ")?;
        write!(f, "truncated {truncated} qps {rate:.0} ")?;
        write!(f, "p50_us {:.1} p99_us {:.1}", self.quantile(0.5), self.quantile(0.99))?;
        let names = ["NOERROR", "FORMERR", "SERVFAIL", "NXDOMAIN", "NOTIMP", "REFUSED"];
        for (name, count) in names.iter().zip(self.rcodes) {
            write!(f, " {name} {count}")?;
        }
        write!(f, " other {}", self.rcodes[names.len()..].iter().sum::<u64>())
    }
}
