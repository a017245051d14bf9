//! Programs: run to their end, or kept running until dropped.

use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

/// How long a server may take to answer for the first time.
const PATIENCE: Duration = Duration::from_secs(20);
/// How long one question of the readiness probe waits.
const PROBE: Duration = Duration::from_millis(50);

/// A server that runs until it is dropped.
pub struct Service {
    name: String,
    child: Child,
    log: PathBuf,
    /// Where it answers.
    pub addr: SocketAddr,
}

impl Service {
    /// Starts `command`, whose output goes to `log`, and waits until it answers `probe` (a query
    /// whose answer must have one of these rcodes) over UDP and takes TCP connections.
    pub fn start(command: &mut Command, log: &Path, addr: SocketAddr, probe: &Probe) -> Self {
        let open = || std::fs::File::options().create(true).append(true).open(log).unwrap();
        let name = command.get_program().to_string_lossy().into_owned();
        let child = command.stdin(Stdio::null()).stdout(open()).stderr(open()).spawn();
        let child = child.unwrap_or_else(|error| panic!("{name}: {error}"));
        let mut service = Self { name, child, log: log.to_owned(), addr };
        let end = Instant::now() + PATIENCE;
        while !probe.answered_by(addr) {
            let ended = service.child.try_wait().unwrap();
            assert!(ended.is_none(), "{} ended: {ended:?}\n{}", service.name, service.log());
            assert!(Instant::now() < end, "{} was not ready:\n{}", service.name, service.log());
        }
        service
    }

    /// What it printed up to now.
    pub fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        // TERM first: nsd has children, which it ends.
        let pid = rustix::process::Pid::from_child(&self.child);
        let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
        let end = Instant::now() + Duration::from_secs(5);
        while matches!(self.child.try_wait(), Ok(None)) && Instant::now() < end {
            std::thread::park_timeout(Duration::from_millis(5));
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            let log = self.log();
            let lines: Vec<&str> = log.lines().collect();
            let tail = &lines[lines.len().saturating_sub(15)..];
            eprintln!("--- the last lines of {}:\n{}", self.name, tail.join("\n"));
        }
    }
}

/// A query, and the rcodes of which one says that the server is ready.
pub struct Probe {
    pub query: Vec<u8>,
    pub rcodes: &'static [u8],
}

impl Probe {
    fn answered_by(&self, addr: SocketAddr) -> bool {
        let ask = || -> std::io::Result<u8> {
            let socket = UdpSocket::bind("127.0.0.1:0")?;
            socket.set_read_timeout(Some(PROBE))?;
            socket.connect(addr)?;
            socket.send(&self.query)?;
            let mut answer = [0; 1500];
            let len = socket.recv(&mut answer)?;
            Ok(if len < 12 { 0xff } else { answer[3] & 0x0f })
        };
        match ask() {
            Ok(rcode) => self.rcodes.contains(&rcode) && TcpStream::connect(addr).is_ok(),
            Err(error) => {
                // A refused port answers at once: do not spin.
                if error.kind() == std::io::ErrorKind::ConnectionRefused {
                    std::thread::park_timeout(Duration::from_millis(5));
                }
                false
            }
        }
    }
}

/// Runs a program to its end, whatever that is.
pub fn output(command: &mut Command) -> Output {
    let output = command.stdin(Stdio::null()).output();
    output.unwrap_or_else(|error| panic!("{command:?}: {error}"))
}

/// Runs a program that must succeed and gives what it printed.
pub fn checked(command: &mut Command) -> String {
    let output = output(command);
    let (out, err) =
        (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{command:?}: {}\n{out}{err}", output.status);
    out.into_owned()
}
