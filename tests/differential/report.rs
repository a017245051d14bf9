//! Counts differences, and keeps an example of each sort that nothing explains.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use crate::compare::{Field, Told};
use crate::explained::{self, Case, Explanation};
use crate::message::rcode_name;
use crate::questions::Question;

/// Examples that are shown in full; the rest is counted.
const MOST_SHOWN: usize = 25;

/// What was found up to now.
pub struct Report {
    list: Vec<Explanation>,
    used: Vec<usize>,
    compared: usize,
    differed: usize,
    /// By sort: how many, and the first of them.
    unexplained: BTreeMap<String, (usize, String)>,
}

impl Report {
    pub fn new() -> Self {
        let list = explained::list();
        let used = vec![0; list.len()];
        Self { list, used, compared: 0, differed: 0, unexplained: BTreeMap::new() }
    }

    /// The daemon's answer breaks a promise; nothing explains that.
    pub fn promises(&mut self, question: &Question, ours: &Told, broken: &[String]) {
        let case = Case { peer: "promise", question, ours, theirs: ours };
        for promise in broken {
            let found = BTreeSet::from([Field::Promise]);
            if !explained::unexplained(&self.list, &case, &found, &mut self.used).is_empty() {
                let text = format!("{}\n  ours: {}", question.show(), ours.show());
                self.keep(format!("broken promise: {promise}"), text);
            }
        }
    }

    /// The daemon and `peer` have answered `question`, and differ in `found`.
    pub fn add(
        &mut self,
        peer: &str,
        question: &Question,
        ours: &Told,
        theirs: &Told,
        found: &BTreeSet<Field>,
    ) {
        self.compared += 1;
        if found.is_empty() {
            return;
        }
        self.differed += 1;
        let case = Case { peer, question, ours, theirs };
        let left = explained::unexplained(&self.list, &case, found, &mut self.used);
        if left.is_empty() {
            return;
        }
        let fields: Vec<String> = left.iter().map(ToString::to_string).collect();
        let rcode = |told: &Told| told.message().map_or("nothing".into(), |m| rcode_name(m.rcode));
        let sort =
            format!("{peer}: {} ({}, {peer} {})", fields.join(" "), rcode(ours), rcode(theirs));
        let text =
            format!("{}\n  ours: {}\n  {peer}: {}", question.show(), ours.show(), theirs.show());
        self.keep(sort, text);
    }

    fn keep(&mut self, sort: String, example: String) {
        self.unexplained.entry(sort).or_insert((0, example)).0 += 1;
    }

    /// Panics where something is not explained; and in a whole run where an explanation is of no use.
    pub fn finish(&self, whole_run: bool) {
        let of_use = |(one, used): (&Explanation, &usize)| *used > 0 || one.seldom;
        let all_used = self.list.iter().zip(&self.used).all(of_use);
        assert!(self.unexplained.is_empty(), "differences that nothing in explained.toml explains");
        assert!(!whole_run || all_used, "explanations in explained.toml that explain nothing");
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { compared, differed, .. } = self;
        writeln!(f, "{compared} pairs of answers compared, {differed} differ; explained:")?;
        for (explanation, used) in self.list.iter().zip(&self.used) {
            let Explanation { peer, differs, when, .. } = explanation;
            let fields: Vec<String> = differs.iter().map(ToString::to_string).collect();
            let stale = match (used, explanation.seldom) {
                (0, false) => "  <- explains nothing",
                (0, true) => "  (seldom)",
                _ => "",
            };
            let (peers, fields) = (peer.join(" "), fields.join(" "));
            writeln!(f, "{used:6} {peers}: {fields} [{}]{stale}", when.join(", "))?;
        }
        for (number, (sort, (count, example))) in self.unexplained.iter().enumerate() {
            writeln!(f, "\nUNEXPLAINED, {count} times: {sort}")?;
            if number < MOST_SHOWN {
                writeln!(f, "{example}")?;
            }
        }
        Ok(())
    }
}
