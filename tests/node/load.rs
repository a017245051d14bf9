//! A steady, bounded load over UDP that remembers each question and what became of it.

use std::net::{SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::fake_coredns::message::{question_with_opt, rtype, skip_name, wire};
use crate::netns::Netns;
use crate::process::wait_for;
use crate::tap::Horizon;

/// Time between two questions.
const INTERVAL: Duration = Duration::from_millis(3);
/// The most questions of one load, so that each has an id of its own.
const MAX_QUESTIONS: usize = 20_000;
/// How long an answer may take: more than a route's deadline, and than a stub's patience.
const ANSWER_WITHIN: Duration = Duration::from_secs(6);

/// glibc's and musl's default for one try.
const STUB_PATIENCE: Duration = Duration::from_secs(5);

/// One question and its answer.
#[derive(Debug, Clone)]
pub struct Outcome {
    pub name: String,
    pub horizon: Horizon,
    pub sent: Instant,
    pub answer: Option<Answer>,
}

/// What an answer said.
#[derive(Debug, Clone)]
pub struct Answer {
    pub rcode: u8,
    pub records: u16,
    pub ede: Vec<u16>,
    pub after: Duration,
}

impl Outcome {
    /// It has an address.
    pub fn resolved(&self) -> bool {
        self.answer.as_ref().is_some_and(|answer| answer.rcode == 0 && answer.records > 0)
    }

    /// A stub resolver would have given up before.
    pub fn late(&self) -> bool {
        self.answer.as_ref().is_none_or(|answer| answer.after >= STUB_PATIENCE)
    }

    /// It was told that the horizon's servers fail, and why.
    pub fn failed_with_reason(&self) -> bool {
        self.answer.as_ref().is_some_and(|answer| answer.rcode == 2 && !answer.ede.is_empty())
    }
}

/// A load in its course.
pub struct Load {
    outcomes: Arc<Mutex<Vec<Outcome>>>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Load {
    /// Asks for a new name each time, of the three horizons in turn.
    pub fn start(netns: &Netns, server: &str, cluster_name: fn(usize) -> String) -> Self {
        let server = SocketAddr::new(server.parse().unwrap(), 53);
        let socket = netns.run(|| UdpSocket::bind("0.0.0.0:0")).unwrap();
        let outcomes = Arc::new(Mutex::new(Vec::new()));
        let stop = Arc::new(AtomicBool::new(false));
        let thread = std::thread::spawn({
            let (outcomes, stop) = (outcomes.clone(), stop.clone());
            move || run(&socket, server, &outcomes, &stop, cluster_name)
        });
        Self { outcomes, stop, thread: Some(thread) }
    }

    /// Waits until at least `count` questions of a horizon, sent after `since`, came out so.
    pub fn wait(
        &self,
        what: &str,
        count: usize,
        horizon: Horizon,
        since: Instant,
        is: fn(&Outcome) -> bool,
    ) {
        wait_for(what, Duration::from_secs(20), || {
            let outcomes = self.outcomes.lock().unwrap();
            assert!(outcomes.len() < MAX_QUESTIONS, "the load ended before {what}");
            let of_horizon = outcomes.iter().filter(|o| o.horizon == horizon && o.sent > since);
            (of_horizon.filter(|outcome| is(outcome)).count() >= count).then_some(())
        });
    }

    /// Asks no more, waits for what is out, and gives everything.
    pub fn finish(mut self) -> Vec<Outcome> {
        self.stop.store(true, Ordering::SeqCst);
        self.thread.take().unwrap().join().unwrap();
        self.outcomes.lock().unwrap().clone()
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
    }
}

fn run(
    socket: &UdpSocket,
    server: SocketAddr,
    outcomes: &Mutex<Vec<Outcome>>,
    stop: &AtomicBool,
    cluster_name: fn(usize) -> String,
) {
    let mut next = Instant::now();
    let mut end = None;
    let mut buffer = [0; 4096];
    loop {
        let now = Instant::now();
        let sent = outcomes.lock().unwrap().len();
        if end.is_none() && (stop.load(Ordering::SeqCst) || sent >= MAX_QUESTIONS) {
            end = Some(now + ANSWER_WITHIN);
        }
        if let Some(end) = end {
            let all = outcomes.lock().unwrap().iter().all(|outcome| outcome.answer.is_some());
            if all || now >= end {
                return;
            }
        } else if now >= next {
            let (name, horizon) = name(sent, cluster_name);
            let query = question_with_opt(sent as u16, &wire(&name), rtype::A);
            outcomes.lock().unwrap().push(Outcome { name, horizon, sent: now, answer: None });
            socket.send_to(&query, server).unwrap();
            next += INTERVAL;
        }
        let pause = next.saturating_duration_since(Instant::now());
        socket.set_read_timeout(Some(pause.clamp(Duration::from_micros(100), INTERVAL))).unwrap();
        let Ok(len) = socket.recv(&mut buffer) else { continue };
        let index = usize::from(u16::from_be_bytes([buffer[0], buffer[1]]));
        let mut outcomes = outcomes.lock().unwrap();
        let outcome = &mut outcomes[index];
        assert!(outcome.answer.is_none(), "{} was answered twice", outcome.name);
        let after = outcome.sent.elapsed();
        outcome.answer = Some(parse(&buffer[..len], after).expect("an answer that parses"));
    }
}

fn name(number: usize, cluster_name: fn(usize) -> String) -> (String, Horizon) {
    match number % 3 {
        0 => (cluster_name(number), Horizon::Cluster),
        1 => (format!("host-{number}.many.c.binrc.com"), Horizon::Tailnet),
        _ => (format!("host-{number}.many.example.com"), Horizon::Internet),
    }
}

fn parse(message: &[u8], after: Duration) -> Option<Answer> {
    let word = |at: usize| Some(u16::from_be_bytes([*message.get(at)?, *message.get(at + 1)?]));
    let mut at = skip_name(message, 12)? + 4;
    let mut ede = Vec::new();
    for _ in 0..word(6)? + word(8)? + word(10)? {
        let fixed = skip_name(message, at)?;
        let end = fixed + 10 + usize::from(word(fixed + 8)?);
        if word(fixed)? == rtype::OPT {
            let mut option = fixed + 10;
            while option < end {
                if word(option)? == 15 {
                    ede.push(word(option + 4)?);
                }
                option += 4 + usize::from(word(option + 2)?);
            }
        }
        at = end;
    }
    Some(Answer { rcode: message[3] & 15, records: word(6)?, ede, after })
}
