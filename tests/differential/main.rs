//! The daemon beside other forwarders: a few thousand generated questions, each asked twice of the
//! daemon, of unbound and of dnsdist, which stand in front of the same nsd and knot. Every difference is
//! explained in `explained.toml`, or it is a failure.
//!
//! The questions follow from a seed, which is printed and can be set: `DIFFERENTIAL_SEED` (a number, or
//! `random`), and so can their number: `DIFFERENTIAL_QUESTIONS`. Needs no root, but the servers.

#![allow(
    clippy::unwrap_used,
    missing_docs,
    reason = "a test that unwraps nothing is a failed test"
)]

#[path = "../support/real.rs"]
#[allow(dead_code)]
mod real;

mod ask;
mod compare;
mod explained;
mod message;
mod promises;
mod questions;
mod report;
mod zones;

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use ask::Client;
use compare::{Told, differences};
use questions::{Question, questions};
use real::Ground;
use real::servers::{dnsdist, horizond, knot, nsd, unbound};
use report::Report;

/// The seed of a run that is told none: the same everywhere, so that what fails can be repeated.
const SEED: u64 = 20_261_122;
/// As many as take some ten seconds.
const QUESTIONS: usize = 6000;
/// No run takes longer, on a machine that is busy with other things too: what hangs is cut off, and fails.
const LONGEST: Duration = Duration::from_secs(150);

fn setting(name: &str, default: u64) -> u64 {
    match std::env::var(name).as_deref() {
        Err(_) => default,
        Ok("random") => SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos() as u64,
        Ok(text) => text.parse().unwrap_or_else(|error| panic!("{name}: {error}")),
    }
}

/// Asks, and where the answer is truncated asks again over TCP, as a stub resolver does.
fn tell(client: &mut Client, question: &Question) -> Told {
    let told = Told { first: client.ask(question), whole: None };
    if question.tcp || !told.truncated() {
        return told;
    }
    let whole = client.ask(&Question { tcp: true, ..question.clone() });
    Told { whole: Some(whole), ..told }
}

/// dnsdist 1.7 waits for the rest of a transfer that is refused over TCP, and holds up what its connection
/// brings then; and out of an answer without a question, as nsd's to other classes than IN are, it makes
/// answers without one for others.
fn dnsdist_can(question: &Question) -> bool {
    let transfer = matches!(question.qtype, 251 | 252);
    question.qclass == 1 && !(transfer && question.tcp)
}

#[test]
fn other_forwarders_say_the_same() {
    let seed = setting("DIFFERENTIAL_SEED", SEED);
    let count = setting("DIFFERENTIAL_QUESTIONS", QUESTIONS as u64) as usize;
    println!("DIFFERENTIAL_SEED={seed} DIFFERENTIAL_QUESTIONS={count}");
    let ground = Ground::new();
    let started = Instant::now();
    let nsd = nsd(&ground, &zones::of_nsd(&ground));
    let knot = knot(&ground, &zones::of_knot());
    let forwards = [(zones::KNOT, knot.addr), ("", nsd.addr)];
    let servers = [
        horizond(&ground, &forwards, zones::PLAIN),
        unbound(&ground, &forwards, None, zones::PLAIN),
        dnsdist(&ground, &forwards, zones::PLAIN),
    ];
    // unbound refuses at most a hundred times a second, and is silent beyond. The daemon is asked once.
    let [mut daemon, mut unbound, mut dnsdist] =
        [(&servers[0], 1), (&servers[1], 4), (&servers[2], 4)]
            .map(|(server, tries)| Client::new(server.addr, tries));
    let mut report = Report::new();
    let mut ages = promises::Ages::default();
    let begun = Instant::now();
    for question in &questions(seed, count) {
        assert!(begun.elapsed() < LONGEST, "too slow:\n{report}");
        let mut before = None;
        let asked = Instant::now();
        for _ in 0..2 {
            let ours = tell(&mut daemon, question);
            let mut broken = promises::broken(question, &ours);
            if !ages.count_down(question, &ours, Instant::now()) {
                broken.push("TTLs count down (RFC 1035, 3.2.1)".into());
            }
            report.promises(question, &ours, &broken);
            if let Some(before) = before.replace(ours.clone()) {
                let found = differences(&ours, &before, asked.elapsed().as_secs() as u32 + 2);
                report.add("itself", question, &ours, &before, &found);
            }
            // What one server has kept since it was asked whether it is ready the other may ask for now.
            let tolerance = started.elapsed().as_secs() as u32 + 1;
            let theirs = tell(&mut unbound, question);
            report.add(
                "unbound",
                question,
                &ours,
                &theirs,
                &differences(&ours, &theirs, tolerance),
            );
            if dnsdist_can(question) {
                let theirs = tell(&mut dnsdist, question);
                let found = differences(&ours, &theirs, tolerance);
                report.add("dnsdist", question, &ours, &theirs, &found);
            }
        }
    }
    println!("{:.1} s\n{report}", begun.elapsed().as_secs_f64());
    let whole_run = seed == SEED && count == QUESTIONS;
    report.finish(whole_run);
    drop(servers);
    drop((nsd, knot));
}
