//! What a load went through while the daemon was away: the figures of one event.

use std::fmt::{self, Display};
use std::time::{Duration, Instant};

use super::load::{Asked, Fate, Way};
use super::{CLUSTER, NODE};

/// The questions of one load, and when the daemon went and was called back.
pub struct Figures {
    pub event: &'static str,
    pub mode: &'static str,
    pub asked: Vec<Asked>,
    pub down: Instant,
    pub up: Instant,
}

fn address(of: &str) -> [u8; 4] {
    of.parse::<std::net::Ipv4Addr>().unwrap().octets()
}

impl Figures {
    pub fn of(&self, way: Way) -> impl Iterator<Item = &Asked> {
        self.asked.iter().filter(move |asked| asked.way == way)
    }

    fn count(&self, way: Way, fate: Fate) -> usize {
        self.of(way).filter(|asked| asked.fate == fate).count()
    }

    pub fn by(&self, way: Way, who: &str) -> usize {
        self.count(way, Fate::Answered(address(who)))
    }

    /// When the first answer came from `who` to a question that was sent after `since`.
    fn first(&self, way: Way, who: &str, since: Instant) -> Option<Duration> {
        let from = Fate::Answered(address(who));
        let found = self.of(way).filter(|asked| asked.fate == from && asked.sent >= since);
        found.map(|asked| asked.done - since).min()
    }

    /// From the daemon's end to the first answer by the cluster's DNS.
    pub fn taken_over(&self, way: Way) -> Option<Duration> {
        self.first(way, CLUSTER, self.down)
    }

    /// From the call back to the first answer by the daemon.
    pub fn back(&self, way: Way) -> Option<Duration> {
        self.first(way, NODE, self.up)
    }

    /// The longest time without any answer.
    pub fn gap(&self, way: Way) -> Duration {
        let answered = |asked: &&Asked| matches!(asked.fate, Fate::Answered(_));
        let mut times: Vec<Instant> = self.of(way).filter(answered).map(|a| a.done).collect();
        times.sort();
        times.windows(2).map(|pair| pair[1] - pair[0]).max().unwrap_or(Duration::MAX)
    }

    /// From the daemon's end until a question was last left without an answer, before the call back.
    fn healed(&self, way: Way) -> Duration {
        let failed = |asked: &&Asked| !matches!(asked.fate, Fate::Answered(_));
        let between = |asked: &&Asked| asked.sent < self.up;
        let last = self.of(way).filter(failed).filter(between).map(|asked| asked.sent).max();
        last.map_or(Duration::ZERO, |last| last.saturating_duration_since(self.down))
    }
}

fn ms(time: Option<Duration>) -> String {
    time.map_or("-".to_owned(), |time| time.as_millis().to_string())
}

impl Display for Figures {
    /// Rows of a table in Markdown.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for way in Way::ALL {
            writeln!(
                f,
                "| {} | {} | {} | {} | {} | {} | {} | {} | {} | {} | {} | {} |",
                self.mode,
                self.event,
                way.name(),
                self.of(way).count(),
                self.by(way, NODE),
                self.by(way, CLUSTER),
                self.count(way, Fate::Lost),
                self.count(way, Fate::Broken),
                self.gap(way).as_millis(),
                ms(self.taken_over(way)),
                self.healed(way).as_millis(),
                ms(self.back(way)),
            )?;
        }
        Ok(())
    }
}

/// The head of the table.
pub const HEAD: &str = "\
| mode | event | clients | asked | by us | by the cluster | no answer in 1 s | told at once | longest gap ms \
| first by the cluster after ms | last failure after ms | back to us after ms |
| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |";
