//! What pods that come and go cost those who ask: a daemon of its own, asked steadily for one cached name,
//! in rounds with and without records of pods appearing and going beside it.
//!
//! ```text
//! cargo run --release --example bench-pods -- target/release/horizond [PODS] [ROUNDS]
//! ```
//!
//! 5,000 pods and 12 rounds of 5 s of each kind unless told otherwise: so all pods come and go within a
//! minute of churn. Prints the answer times of both kinds in microseconds, what was lost, and the
//! daemon's CPU time for each second; then the CPU time of the daemon that nobody asks, without records
//! and with all of them lying there. Everything is on 127.0.0.0/8 and in a directory of its own.

use std::fmt::Write as _;
use std::fs;
use std::net::{SocketAddr, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use horizond::wire::name::Name;

/// Between two questions.
const PACE: Duration = Duration::from_millis(1);
/// An answer that takes longer is lost.
const PATIENCE: Duration = Duration::from_secs(1);
const ROUND: Duration = Duration::from_secs(5);
const IDLE: Duration = Duration::from_secs(10);
const ADDR: &str = "127.53.9.1:5300";

fn main() -> anyhow::Result<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let Some(program) = args.first() else { bail!("usage: bench-pods HORIZOND [PODS] [ROUNDS]") };
    let number = |at: usize, default: usize| args.get(at).map_or(Ok(default), |a| a.parse());
    let (pods, rounds) = (number(1, 5000)?, number(2, 12)?);
    ensure!((1..=16_000).contains(&pods) && (1..=60).contains(&rounds), "out of range");
    let directory = tempfile::tempdir()?;
    let records = directory.path().join("pods");
    fs::create_dir(&records)?;
    let daemon = Daemon::start(Path::new(program), directory.path(), &records)?;

    let (mut quiet, mut busy) = (Side::default(), Side::default());
    let mut churn = Churn { records: records.clone(), pods, done: 0, of: rounds };
    for _ in 0..rounds {
        quiet.add(&daemon, || Ok(()))?;
        busy.add(&daemon, || churn.round())?;
    }
    println!("{} pods came and went in {:.0} s of churn", pods, busy.time.as_secs_f64());
    println!(
        "{:>8} {:>9} {:>5} {:>8} {:>8} {:>8} {:>8} {:>11}",
        "", "asked", "lost", "p50", "p99", "p99.9", "max", "CPU ms/s"
    );
    println!("{}", quiet.row("quiet"));
    println!("{}", busy.row("churn"));
    let ratio = |at: f64| busy.quantile(at) / quiet.quantile(at);
    println!(
        "churn over quiet: p50 {:.2}, p99 {:.2}, p99.9 {:.2}",
        ratio(0.5),
        ratio(0.99),
        ratio(0.999)
    );

    let idle = daemon.idle()?;
    (0..pods).try_for_each(|pod| put(&records, pod))?;
    std::thread::sleep(Duration::from_secs(1));
    let full = daemon.idle()?;
    println!("nobody asks: CPU ms/s {idle:.2} without records, {full:.2} with {pods}");
    Ok(())
}

/// The answer times of one kind of rounds.
#[derive(Default)]
struct Side {
    times: Vec<Duration>,
    lost: usize,
    cpu: Duration,
    time: Duration,
}

impl Side {
    /// One round: asks at a steady pace while `beside` goes on.
    fn add(
        &mut self,
        daemon: &Daemon,
        beside: impl FnOnce() -> anyhow::Result<()> + Send,
    ) -> anyhow::Result<()> {
        let (began, cpu) = (Instant::now(), daemon.cpu()?);
        let over = AtomicBool::new(false);
        std::thread::scope(|scope| {
            let worker = scope.spawn(|| {
                let done = beside();
                over.store(true, Ordering::Relaxed);
                done
            });
            let mut next = began;
            while began.elapsed() < ROUND || !over.load(Ordering::Relaxed) {
                next += PACE;
                std::thread::sleep(next.saturating_duration_since(Instant::now()));
                match daemon.ask()? {
                    Some(time) => self.times.push(time),
                    None => self.lost += 1,
                }
            }
            worker.join().map_err(|_| anyhow::anyhow!("the churn ended in a panic"))?
        })?;
        self.cpu += daemon.cpu()? - cpu;
        self.time += began.elapsed();
        self.times.sort_unstable();
        Ok(())
    }

    fn quantile(&self, at: f64) -> f64 {
        let last = self.times.len().saturating_sub(1);
        let time = self.times.get((last as f64 * at).round() as usize).copied();
        time.unwrap_or_default().as_secs_f64() * 1e6
    }

    fn row(&self, name: &str) -> String {
        let mut row = format!("{name:>8} {:>9} {:>5}", self.times.len() + self.lost, self.lost);
        for at in [0.5, 0.99, 0.999, 1.0] {
            let _ = write!(row, " {:>8.1}", self.quantile(at));
        }
        let cpu = self.cpu.as_secs_f64() * 1e3 / self.time.as_secs_f64();
        row + &format!(" {cpu:>11.2}")
    }
}

/// Pods that come and go.
struct Churn {
    records: PathBuf,
    pods: usize,
    done: usize,
    of: usize,
}

impl Churn {
    /// A part of all comings and goings, evenly over a round: a pod goes half of all pods later than it
    /// came.
    fn round(&mut self) -> anyhow::Result<()> {
        let (began, stay) = (Instant::now(), self.pods.div_ceil(2));
        let steps = self.pods + stay;
        let until = steps * (self.done + 1) / self.of;
        let from = steps * self.done / self.of;
        for step in from..until {
            let due = ROUND * (step - from) as u32 / (until - from) as u32;
            std::thread::sleep(due.saturating_sub(began.elapsed()));
            if step < self.pods {
                put(&self.records, step)?;
            }
            if step >= stay {
                fs::remove_file(file(&self.records, step - stay))?;
            }
        }
        self.done += 1;
        Ok(())
    }
}

fn file(records: &Path, pod: usize) -> PathBuf {
    records.join(format!("net_c{pod}_eth0.json"))
}

/// As the plugin does it: written beside, then renamed.
fn put(records: &Path, pod: usize) -> anyhow::Result<()> {
    let (high, low) = (pod / 250, pod % 250);
    let record = format!(
        r#"{{"version":1,"network":"net","container":"c{pod}","interface":"eth0","netns":"/run/netns/{pod}",
        "addresses":["10.{}.{}.{low}"],"namespace":"shop-{}","pod":"web-{pod}","uid":"u{pod}",
        "search":["shop.svc.cluster.local","svc.cluster.local","cluster.local"],"search_from":"runtime",
        "ndots":5,"redirect":[["10.96.0.10","169.254.20.11"]],"when_unix_s":1}}"#,
        high / 250,
        high % 250,
        pod % 40,
    );
    let unfinished = records.join(".unfinished");
    fs::write(&unfinished, record)?;
    fs::rename(unfinished, file(records, pod)).context("rename")
}

struct Daemon {
    child: Child,
    socket: UdpSocket,
    query: Vec<u8>,
}

impl Daemon {
    fn start(program: &Path, directory: &Path, records: &Path) -> anyhow::Result<Daemon> {
        let config = format!(
            "[listen]\naddresses = [\"{ADDR}\"]\nshards = 1\n\
             [node]\ninterface = \"\"\n\
             [pods]\ndir = {records:?}\nmetrics = true\n\
             [admin]\naddress = \"\"\ncontrol = \"\"\n\
             [[local.record]]\nname = \"www.bench.example\"\ntype = \"A\"\ndata = \"192.0.2.1\"\n\
             [[route]]\nname = \"internet\"\nsuffixes = [\".\"]\nupstreams = [\"127.53.9.2\"]\n"
        );
        let path = directory.join("horizond.toml");
        fs::write(&path, config)?;
        let child = Command::new(program)
            .arg("run")
            .arg("--config")
            .arg(&path)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(fs::File::create(directory.join("log"))?)
            .spawn()
            .with_context(|| program.display().to_string())?;
        let socket = UdpSocket::bind("127.53.9.9:0")?;
        socket.connect(ADDR.parse::<SocketAddr>()?)?;
        socket.set_read_timeout(Some(PATIENCE))?;
        let name: Name = "www.bench.example".parse()?;
        let mut query = vec![0, 0, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
        query.extend(name.as_wire());
        query.extend([0, 1, 0, 1]);
        let daemon = Daemon { child, socket, query };
        let end = Instant::now() + Duration::from_secs(5);
        while !matches!(daemon.ask(), Ok(Some(_))) {
            let log = || fs::read_to_string(directory.join("log")).unwrap_or_default();
            ensure!(Instant::now() < end, "no answer from {}:\n{}", program.display(), log());
            std::thread::sleep(Duration::from_millis(10));
        }
        Ok(daemon)
    }

    /// How long an answer took; `None` if none came.
    fn ask(&self) -> anyhow::Result<Option<Duration>> {
        let began = Instant::now();
        self.socket.send(&self.query)?;
        let mut answer = [0; 512];
        match self.socket.recv(&mut answer) {
            Ok(len) => {
                ensure!(len > self.query.len() && answer[3] & 15 == 0, "not the answer wanted");
                Ok(Some(began.elapsed()))
            }
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// CPU time of all its threads until now (proc_pid_schedstat(5), nanoseconds).
    fn cpu(&self) -> anyhow::Result<Duration> {
        let mut nanos = 0;
        for thread in fs::read_dir(format!("/proc/{}/task", self.child.id()))? {
            let text = fs::read_to_string(thread?.path().join("schedstat"))?;
            nanos += text.split(' ').next().context("schedstat")?.parse::<u64>()?;
        }
        Ok(Duration::from_nanos(nanos))
    }

    /// CPU milliseconds a second while nobody asks.
    fn idle(&self) -> anyhow::Result<f64> {
        let before = self.cpu()?;
        std::thread::sleep(IDLE);
        Ok((self.cpu()? - before).as_secs_f64() * 1e3 / IDLE.as_secs_f64())
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
