//! The daemon as a process of its own, and what can be seen of it from outside.

use std::fs;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use crate::promises::naive;

/// The longest wait for anything that must happen.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// A running daemon; killed when dropped.
pub struct Daemon {
    child: Child,
    folder: TempDir,
    /// Where it answers.
    pub addr: SocketAddr,
}

/// A port of 127.0.0.1 that was free for UDP and TCP a moment ago.
pub fn free_port() -> SocketAddr {
    loop {
        let udp = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let addr = udp.local_addr().unwrap();
        if TcpListener::bind(addr).is_ok() {
            return addr;
        }
    }
}

impl Daemon {
    /// `horizond demo`.
    pub fn demo() -> Daemon {
        let (addr, admin) = (free_port(), free_port());
        let args = ["demo", "--listen", &addr.to_string(), "--admin", &admin.to_string()];
        Daemon::start(&args, TempDir::new().unwrap(), addr)
    }

    /// `horizond run` with these routes (and tables beside those written here), all else set so that
    /// the host stays as it is, and daemons beside each other do not meet.
    pub fn with_routes(routes: &str) -> Daemon {
        let (addr, folder) = (free_port(), TempDir::new().unwrap());
        let control = folder.path().join("control.sock");
        let pods = if routes.contains("[pods]") { "" } else { "[pods]\ndir = \"\"\n" };
        let text = format!(
            "[listen]\naddresses = [\"{addr}\"]\n[node]\ninterface = \"\"\n\
             [admit]\nallow = [\"node\", \"127.0.0.0/8\"]\n[admin]\naddress = \"\"\ncontrol = {control:?}\n{pods}{routes}"
        );
        let file = folder.path().join("horizond.toml");
        fs::write(&file, text).unwrap();
        Daemon::start(&["run", "--config", file.to_str().unwrap()], folder, addr)
    }

    fn start(args: &[&str], folder: TempDir, addr: SocketAddr) -> Daemon {
        let log = fs::File::create(folder.path().join("log")).unwrap();
        let child = Command::new(env!("CARGO_BIN_EXE_horizond"))
            .args(args)
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        let mut daemon = Daemon { child, folder, addr };
        let end = Instant::now() + PATIENCE;
        // Local data: needs no upstream.
        let asked = question(1, "localhost", 1);
        while daemon.ask(&asked, Duration::from_millis(100)).is_none() {
            daemon.assert_alive();
            assert!(Instant::now() < end, "no answer from the daemon:\n{}", daemon.log());
        }
        // A thread has the process's name until it has set its own.
        while daemon.threads().iter().filter(|name| *name == "horizond").count() > 1
            || !daemon.threads().contains(&"tcp".to_owned())
        {
            daemon.assert_alive();
            assert!(Instant::now() < end, "{:?}\n{}", daemon.threads(), daemon.log());
            std::thread::yield_now();
        }
        daemon
    }

    /// What it has printed.
    pub fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }

    /// Fails where the process has ended.
    pub fn assert_alive(&mut self) {
        if let Some(status) = self.child.try_wait().unwrap() {
            panic!("the daemon ended: {status}\n{}", self.log());
        }
    }

    /// Where `horizond status` asks, of one made by [`Daemon::with_routes`].
    pub fn control(&self) -> PathBuf {
        self.folder.path().join("control.sock")
    }

    /// One question over UDP from a socket of its own.
    pub fn ask(&self, query: &[u8], wait: Duration) -> Option<Vec<u8>> {
        self.ask_from(Ipv4Addr::LOCALHOST, query, wait)
    }

    /// The same from another address of this host.
    pub fn ask_from(&self, from: Ipv4Addr, query: &[u8], wait: Duration) -> Option<Vec<u8>> {
        let socket = UdpSocket::bind((from, 0)).unwrap();
        socket.connect(self.addr).unwrap();
        socket.set_read_timeout(Some(wait)).unwrap();
        socket.send(query).ok()?;
        let mut answer = vec![0; 65_535];
        let len = socket.recv(&mut answer).ok()?;
        answer.truncate(len);
        Some(answer)
    }

    /// A TCP connection to it, with deadlines.
    pub fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.addr).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        stream
    }

    /// Resident memory in KiB.
    pub fn resident(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse().unwrap()
    }

    /// Names of its threads, sorted.
    pub fn threads(&self) -> Vec<String> {
        let tasks = fs::read_dir(format!("/proc/{}/task", self.child.id())).unwrap();
        let mut names: Vec<String> = tasks
            .filter_map(|task| fs::read_to_string(task.ok()?.path().join("comm")).ok())
            .map(|name| name.trim().to_owned())
            .collect();
        names.sort();
        names
    }

    /// Ends it with SIGTERM.
    pub fn stop(mut self) {
        kill_process(Pid::from_child(&self.child), Signal::TERM).unwrap();
        let end = Instant::now() + PATIENCE;
        let status: ExitStatus = loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                break status;
            }
            assert!(Instant::now() < end, "it does not stop:\n{}", self.log());
            std::thread::sleep(Duration::from_millis(10));
        };
        let log = self.log();
        assert!(status.success(), "{status}\n{log}");
        assert!(!log.contains("panicked"), "{log}");
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A query with RD and without EDNS.
pub fn question(id: u16, name: &str, qtype: u16) -> Vec<u8> {
    let mut query = vec![];
    for word in [id, 0x0100, 1, 0, 0, 0] {
        query.extend(u16::to_be_bytes(word));
    }
    for label in name.split('.').filter(|label| !label.is_empty()) {
        query.push(label.len() as u8);
        query.extend(label.as_bytes());
    }
    query.push(0);
    query.extend(qtype.to_be_bytes());
    query.extend([0, 1]);
    query
}

/// RDATA of all answers of a type, sorted; `None` where the message is not a sound answer to
/// `query`.
pub fn answers(query: &[u8], message: &[u8], rtype: u16) -> Option<Vec<Vec<u8>>> {
    let read = naive::parse(message)?;
    if message[..2] != query[..2] || read.flags & 0x8000 == 0 || read.question != query[12..] {
        return None;
    }
    let records = read.records.into_iter().filter(|rr| rr.section == 0 && rr.rtype == rtype);
    let mut found: Vec<Vec<u8>> = records.map(|rr| rr.rdata).collect();
    found.sort();
    Some(found)
}

/// Puts the length in front, as over TCP.
pub fn framed(message: &[u8]) -> Vec<u8> {
    [&(message.len() as u16).to_be_bytes()[..], message].concat()
}

/// Reads one message from a stream; `None` at its end.
pub fn read_message(stream: &mut TcpStream) -> Option<Vec<u8>> {
    let mut length = [0; 2];
    stream.read_exact(&mut length).ok()?;
    let mut message = vec![0; u16::from_be_bytes(length).into()];
    stream.read_exact(&mut message).ok()?;
    Some(message)
}

/// Writes; a connection that the daemon has closed meanwhile is no error here.
pub fn write_all(stream: &mut TcpStream, bytes: &[u8]) -> bool {
    stream.write_all(bytes).is_ok()
}

/// The saved inputs of a fuzz target.
pub fn corpus(target: &str) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz/corpus").join(target);
    let mut files: Vec<_> = fs::read_dir(folder).unwrap().map(|e| e.unwrap().path()).collect();
    files.sort();
    files.iter().map(|file| fs::read(file).unwrap()).collect()
}
