//! What pods that come and go cost those who ask: a daemon of its own, asked steadily for one cached name
//! by a client that has a record itself. Rounds in turn: nothing else happens; the same files are written
//! and removed in a directory that nobody looks at, which is this program's own share; and in the daemon's.
//!
//! ```text
//! cargo run --release --example bench-pods -- target/release/horizond [PODS] [ROUNDS]
//! ```
//!
//! 5,000 pods and 12 rounds of 5 s of each kind unless told otherwise: so all pods come and go within a
//! minute of churn. Prints the answer times of each kind in microseconds, how many took longer than 5 ms,
//! what was lost, and the daemon's CPU time for each second; then the CPU time of the daemon that nobody
//! asks, without records and with all of them lying there. Stops where an answer was no hit. Everything is
//! on 127.0.0.0/8 and in a directory of its own.

use std::fmt::Write as _;
use std::fs;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use horizond::cni::record::{PodRecord, SearchFrom, VERSION};
use horizond::cni::replace::UNFINISHED;
use horizond::wire::name::Name;

/// Between two questions.
const PACE: Duration = Duration::from_millis(1);
/// An answer that takes longer is lost.
const PATIENCE: Duration = Duration::from_secs(1);
const ROUND: Duration = Duration::from_secs(5);
const IDLE: Duration = Duration::from_secs(10);
const ADDR: &str = "127.53.9.1:5300";
const UPSTREAM: &str = "127.53.9.2:5300";
const CLIENT: &str = "127.53.9.9";
/// Longer than anything but another process in the way explains.
const SLOW: Duration = Duration::from_millis(5);

fn main() -> anyhow::Result<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let Some(program) = args.first() else { bail!("usage: bench-pods HORIZOND [PODS] [ROUNDS]") };
    let number = |at: usize, default: usize| args.get(at).map_or(Ok(default), |a| a.parse());
    let (pods, rounds) = (number(1, 5000)?, number(2, 12)?);
    ensure!((1..=16_000).contains(&pods) && (1..=60).contains(&rounds), "out of range");
    let directory = tempfile::tempdir()?;
    let [records, elsewhere] = ["pods", "elsewhere"].map(|name| directory.path().join(name));
    for path in [&records, &elsewhere] {
        fs::create_dir(path)?;
    }
    // The client is a pod itself, of another network: it is looked up, found and counted.
    put(&records, "clients", 0, CLIENT.parse()?)?;
    let upstream = Upstream::start()?;
    let daemon = Daemon::start(Path::new(program), directory.path(), &records)?;

    let [mut quiet, mut beside, mut busy] = [(); 3].map(|()| Side::default());
    let [mut other, mut churn] =
        [elsewhere, records.clone()].map(|records| Churn { records, pods, done: 0, of: rounds });
    let asked = upstream.asked.load(Ordering::Relaxed);
    for _ in 0..rounds {
        quiet.add(&daemon, || Ok(()))?;
        beside.add(&daemon, || other.round())?;
        busy.add(&daemon, || churn.round())?;
    }
    ensure!(upstream.asked.load(Ordering::Relaxed) == asked, "not all of them were hits");
    println!("{} pods came and went in {:.0} s of churn", pods, busy.time.as_secs_f64());
    println!(
        "{:>10} {:>7} {:>5} {:>5} {:>8} {:>8} {:>8} {:>8} {:>9}",
        "", "asked", "lost", ">5ms", "p50", "p99", "p99.9", "max", "CPU ms/s"
    );
    println!("{}", quiet.row("quiet"));
    println!("{}", beside.row("elsewhere"));
    println!("{}", busy.row("churn"));
    for (name, base) in [("quiet", &quiet), ("elsewhere", &beside)] {
        let ratio = |at: f64| busy.quantile(at) / base.quantile(at);
        println!(
            "churn over {name}: p50 {:.2}, p99 {:.2}, p99.9 {:.2}, max {:.2}",
            ratio(0.5),
            ratio(0.99),
            ratio(0.999),
            ratio(1.0)
        );
    }

    let idle = daemon.idle()?;
    (0..pods).try_for_each(|pod| put(&records, NETWORK, pod, address(pod)))?;
    std::thread::sleep(Duration::from_secs(1));
    let full = daemon.idle()?;
    println!("nobody asks: CPU ms/s {idle:.2} without records, {full:.2} with {pods}");
    Ok(())
}

/// Answers whatever it is asked with one address that lives for a day, and counts.
struct Upstream {
    asked: Arc<AtomicUsize>,
}

impl Upstream {
    fn start() -> anyhow::Result<Upstream> {
        let (asked, socket) = (Arc::new(AtomicUsize::new(0)), UdpSocket::bind(UPSTREAM)?);
        let count = Arc::clone(&asked);
        // Ends with the process.
        std::thread::spawn(move || {
            let mut buffer = [0; 512];
            while let Ok((len, from)) = socket.recv_from(&mut buffer) {
                count.fetch_add(1, Ordering::Relaxed);
                let question = buffer[12..len].iter().position(|byte| *byte == 0).unwrap_or(0) + 17;
                let mut answer = buffer[..question.min(len)].to_vec();
                // A response, recursion available; one question, one answer and nothing else.
                answer[2..12].copy_from_slice(&[0x81, 0x80, 0, 1, 0, 1, 0, 0, 0, 0]);
                answer.extend([0xc0, 12, 0, 1, 0, 1, 0, 1, 0x51, 0x80, 0, 4, 192, 0, 2, 1]);
                let _ = socket.send_to(&answer, from);
            }
        });
        Ok(Upstream { asked })
    }
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
        let slow = self.times.iter().filter(|time| **time > SLOW).count();
        let asked = self.times.len() + self.lost;
        let mut row = format!("{name:>10} {asked:>7} {:>5} {slow:>5}", self.lost);
        for at in [0.5, 0.99, 0.999, 1.0] {
            let _ = write!(row, " {:>8.1}", self.quantile(at));
        }
        let cpu = self.cpu.as_secs_f64() * 1e3 / self.time.as_secs_f64();
        row + &format!(" {cpu:>9.2}")
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
                put(&self.records, NETWORK, step, address(step))?;
            }
            if step >= stay {
                fs::remove_file(file(&self.records, NETWORK, step - stay))?;
            }
        }
        self.done += 1;
        Ok(())
    }
}

const NETWORK: &str = "net";

fn file(records: &Path, network: &str, pod: usize) -> PathBuf {
    records.join(format!("{network}_c{pod}_eth0.json"))
}

fn address(pod: usize) -> IpAddr {
    IpAddr::from(Ipv4Addr::from_bits(u32::from(Ipv4Addr::new(10, 0, 0, 0)) + pod as u32))
}

/// As the plugin does it: written beside, then renamed.
fn put(records: &Path, network: &str, pod: usize, address: IpAddr) -> anyhow::Result<()> {
    let record = PodRecord {
        version: VERSION,
        network: network.to_owned(),
        container: format!("c{pod}"),
        interface: "eth0".to_owned(),
        netns_id: None,
        netns: format!("/run/netns/{pod}"),
        addresses: vec![address],
        namespace: Some(format!("shop-{}", pod % 40)),
        pod: Some(format!("web-{pod}")),
        uid: Some(format!("u{pod}")),
        search: ["shop.svc.cluster.local", "svc.cluster.local", "cluster.local"]
            .map(str::to_owned)
            .to_vec(),
        search_from: SearchFrom::Runtime,
        ndots: Some(5),
        redirect: vec![(IpAddr::from([10, 96, 0, 10]), IpAddr::from([169, 254, 20, 11]))],
        when_unix_s: 1,
    };
    let unfinished = records.join(format!("{UNFINISHED}bench"));
    fs::write(&unfinished, record.to_json())?;
    fs::rename(unfinished, file(records, network, pod)).context("rename")
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
             [[route]]\nname = \"internet\"\nsuffixes = [\".\"]\nupstreams = [\"{UPSTREAM}\"]\n"
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
        let socket = UdpSocket::bind((CLIENT, 0))?;
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
