//! Programs: run to their end with a deadline, or kept running until dropped; and bounded waiting.

use std::io::Write;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process, kill_process_group};

use crate::netns::Netns;

/// How long a condition may take to come true, unless a test knows better.
pub const PATIENCE: Duration = Duration::from_secs(15);
const POLL: Duration = Duration::from_millis(10);

/// Waits until `probe` gives something; panics with `what` when `limit` is over.
pub fn wait_for<T>(what: &str, limit: Duration, mut probe: impl FnMut() -> Option<T>) -> T {
    let end = Instant::now() + limit;
    loop {
        if let Some(value) = probe() {
            return value;
        }
        assert!(Instant::now() < end, "waited {limit:?} in vain for {what}");
        std::thread::sleep(POLL);
    }
}

/// Runs a program that must succeed and gives what it printed.
pub fn checked(command: &mut Command) -> String {
    let output = command.stdin(Stdio::null()).output();
    let output = output.unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let (out, err) =
        (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{command:?}: {}\n{out}{err}", output.status);
    out.into_owned()
}

/// Runs a program that must succeed, with `input` as its standard input.
pub fn checked_with_input(command: &mut Command, input: &str) -> String {
    let output = with_input(command, input);
    let (out, err) =
        (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{command:?}: {}\n{input}\n{out}{err}", output.status);
    out.into_owned()
}

/// Runs a program to its end, however it ends, with `input` as its standard input.
pub fn with_input(command: &mut Command, input: &str) -> Output {
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    child.wait_with_output().unwrap()
}

/// A program in a namespace that runs until it is told to stop, in a process group of its own.
pub struct Service {
    name: String,
    child: Child,
    log: std::path::PathBuf,
}

impl Service {
    /// Starts `command` in `netns`; what it prints goes to `log`.
    pub fn start(netns: &Netns, command: &mut Command, log: &Path) -> Self {
        let open = || std::fs::File::options().create(true).append(true).open(log).unwrap();
        let name = command.get_program().to_string_lossy().into_owned();
        command.stdin(Stdio::null()).stdout(open()).stderr(open()).process_group(0);
        let child = netns.run(|| command.spawn()).unwrap_or_else(|e| panic!("{name}: {e}"));
        Self { name, child, log: log.to_owned() }
    }

    /// What it printed up to now.
    pub fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// Its status, if it has ended.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().unwrap()
    }

    /// Waits for `ready`; fails at once, with its log, if it ends before.
    pub fn wait_ready(&mut self, mut ready: impl FnMut() -> bool) {
        let end = Instant::now() + PATIENCE;
        while !ready() {
            let ended = self.ended();
            assert!(ended.is_none(), "{} ended with {ended:?}:\n{}", self.name, self.log());
            assert!(Instant::now() < end, "{} was not ready:\n{}", self.name, self.log());
            std::thread::sleep(POLL);
        }
    }

    /// Sends SIGTERM to the program alone.
    pub fn terminate(&self) {
        kill_process(self.pid(), Signal::TERM).unwrap();
    }

    /// Stops the program alone, which keeps all it has (SIGSTOP).
    pub fn freeze(&self) {
        kill_process(self.pid(), Signal::STOP).unwrap();
    }

    /// Lets it go on (SIGCONT).
    pub fn thaw(&self) {
        kill_process(self.pid(), Signal::CONT).unwrap();
    }

    /// Kills the program and whatever it has started.
    pub fn kill(&mut self) {
        let _ = kill_process_group(self.pid(), Signal::KILL);
        let _ = self.child.wait();
    }

    /// Waits for its end.
    pub fn wait(&mut self, limit: Duration) -> ExitStatus {
        let what = format!("the end of {}", self.name);
        wait_for(&what, limit, || self.child.try_wait().unwrap())
    }

    fn pid(&self) -> Pid {
        Pid::from_child(&self.child)
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        self.kill();
        if std::thread::panicking() {
            let log = self.log();
            let tail: Vec<&str> = log.lines().rev().take(15).collect();
            let tail: Vec<&str> = tail.into_iter().rev().collect();
            eprintln!("--- the last lines of {}:\n{}", self.name, tail.join("\n"));
        }
    }
}
