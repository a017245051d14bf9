//! The program as people and service managers see it: arguments, exit codes, messages, signals, the
//! query log. Everything runs on loopback addresses that no other test has.

#![allow(clippy::unwrap_used)]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream, UdpSocket};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

/// The longest wait for anything that must happen.
const BOUND: Duration = Duration::from_secs(20);

/// A loopback address of its own.
fn address(port: u16) -> SocketAddr {
    static NEXT: AtomicU32 = AtomicU32::new(1);
    let number = NEXT.fetch_add(1, Ordering::Relaxed) % 0x100;
    let host = 0x7f40_0000 | (std::process::id() % 0x2000) << 8 | number;
    (Ipv4Addr::from_bits(host), port).into()
}

fn horizond(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_horizond"));
    command.args(args).stdin(Stdio::null()).env_remove("HORIZOND_LOG");
    command
}

/// Runs it to its end; a run that does not end is the test harness's to stop.
fn output(args: &[&str]) -> (Output, String, String) {
    let output = horizond(args).output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    let (out, err) = (text(&output.stdout), text(&output.stderr));
    (output, out, err)
}

fn write(dir: &TempDir, name: &str, text: &str) -> String {
    let path = dir.path().join(name);
    std::fs::write(&path, text).unwrap();
    path.to_str().unwrap().to_owned()
}

/// The program running, and the lines that it prints.
struct Running {
    child: Child,
    out: Receiver<String>,
    err: Receiver<String>,
}

fn lines(stream: impl Read + Send + 'static) -> Receiver<String> {
    let (sender, receiver) = channel();
    std::thread::spawn(move || {
        for line in BufReader::new(stream).lines().map_while(Result::ok) {
            if sender.send(line).is_err() {
                return;
            }
        }
    });
    receiver
}

/// Waits for a line that contains `text`.
fn wait_line(lines: &Receiver<String>, text: &str) -> String {
    let end = Instant::now() + BOUND;
    let mut seen = Vec::new();
    loop {
        match lines.recv_timeout(end.saturating_duration_since(Instant::now())) {
            Ok(line) if line.contains(text) => return line,
            Ok(line) => seen.push(line),
            Err(error) => panic!("no line with \"{text}\" ({error}) after {seen:#?}"),
        }
    }
}

impl Running {
    fn start(args: &[&str]) -> Running {
        let running = Running::launch(&mut horizond(args));
        wait_line(&running.err, "serving");
        running
    }

    fn launch(command: &mut Command) -> Running {
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let out = lines(child.stdout.take().unwrap());
        let err = lines(child.stderr.take().unwrap());
        Running { child, out, err }
    }

    fn terminate(&self) {
        let pid = Pid::from_child(&self.child);
        kill_process(pid, Signal::TERM).unwrap();
    }

    fn wait(&mut self) -> ExitStatus {
        let end = Instant::now() + BOUND;
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(Instant::now() < end, "it does not end");
            std::thread::park_timeout(Duration::from_millis(5));
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A question for an A record.
fn question(id: u16, name: &str) -> Vec<u8> {
    let mut bytes = vec![0, 0, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    bytes[..2].copy_from_slice(&id.to_be_bytes());
    for label in name.split('.') {
        bytes.push(label.len() as u8);
        bytes.extend(label.as_bytes());
    }
    bytes.extend([0, 0, 1, 0, 1]);
    bytes
}

/// The answer 192.0.2.7 to a query, whose OPT is left out.
fn answer(query: &[u8]) -> Vec<u8> {
    let end = 12 + query[12..].iter().position(|byte| *byte == 0).unwrap() + 5;
    let mut bytes = query[..end].to_vec();
    bytes[2..12].copy_from_slice(&[0x81, 0x80, 0, 1, 0, 1, 0, 0, 0, 0]);
    bytes.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 192, 0, 2, 7]);
    bytes
}

fn ask_udp(server: SocketAddr, query: &[u8]) -> UdpSocket {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.connect(server).unwrap();
    socket.set_read_timeout(Some(BOUND)).unwrap();
    socket.send(query).unwrap();
    socket
}

fn get_udp(socket: &UdpSocket) -> Vec<u8> {
    let mut buffer = [0; 2048];
    let len = socket.recv(&mut buffer).unwrap();
    buffer[..len].to_vec()
}

fn ask_tcp(server: SocketAddr, query: &[u8]) -> TcpStream {
    let mut stream = TcpStream::connect(server).unwrap();
    stream.set_read_timeout(Some(BOUND)).unwrap();
    stream.write_all(&[&(query.len() as u16).to_be_bytes(), query].concat()).unwrap();
    stream
}

fn get_tcp(stream: &mut TcpStream) -> Vec<u8> {
    let mut len = [0; 2];
    stream.read_exact(&mut len).unwrap();
    let mut bytes = vec![0; u16::from_be_bytes(len).into()];
    stream.read_exact(&mut bytes).unwrap();
    bytes
}

fn config(listen: SocketAddr, upstream: SocketAddr) -> String {
    format!(
        "[listen]\naddresses = [\"{listen}\"]\nshards = 1\n[admin]\naddress = \"\"\n\
         control = \"\"\n[[route]]\nname = \"internet\"\nsuffixes = [\".\"]\n\
         upstreams = [\"{upstream}\"]\n"
    )
}

#[test]
fn version_and_help() {
    let (run, out, _) = output(&["--version"]);
    assert!(run.status.success());
    assert_eq!(out.trim_end(), concat!("horizond ", env!("CARGO_PKG_VERSION")));
    let (run, out, _) = output(&["--help"]);
    assert!(run.status.success());
    for word in ["run", "check", "status", "cache", "demo", "Usage"] {
        assert!(out.contains(word), "{word} is missing from\n{out}");
    }
    let (run, _, err) = output(&["chekc"]);
    assert_eq!(run.status.code(), Some(2));
    assert!(err.contains("check"), "{err}");
}

#[test]
fn check_praises_a_good_file() {
    let dir = TempDir::new().unwrap();
    let path = write(&dir, "good.toml", &config(address(53), address(53)));
    let (run, out, err) = output(&["check", "--config", &path]);
    assert_eq!((run.status.code(), err.as_str()), (Some(0), ""));
    assert!(out.contains(&format!("{path}: good: 1 route, ")), "{out}");
}

#[test]
fn check_says_what_comes_from_headcnis_file_and_what_does_not() {
    let dir = TempDir::new().unwrap();
    let list = dir.path().join("list");
    let tailnet = format!("[[route]]\nname = \"tailnet\"\nheadcni_conflist = {list:?}\n");
    let path = write(&dir, "good.toml", &(config(address(53), address(53)) + &tailnet));
    let check = || {
        let (run, out, err) = output(&["check", "--config", &path]);
        assert_eq!((run.status.code(), err.as_str()), (Some(0), ""));
        assert!(out.contains(&format!("{path}: good: 2 routes, ")), "{out}");
        out
    };
    let out = check();
    let missing = format!("warning: route tailnet: cannot read {}", list.display());
    assert!(out.contains(&missing) && out.contains("no suffix is known"), "{out}");
    let text = r#"{"plugins":[{"type":"headcni","magic_dns":{"enable":true,
        "nameservers":["10.2.0.1","127.0.0.53"],"search_domains":["c.binrc.com","."]}}]}"#;
    write(&dir, "list", text);
    let (out, from) = (check(), format!("{}, plugins[0].magic_dns", list.display()));
    for line in [
        format!("route tailnet: suffixes c.binrc.com. from {from}.search_domains\n"),
        format!("route tailnet: upstreams 10.2.0.1:53 from {from}.nameservers\n"),
        format!("warning: route tailnet: {from}.nameservers: 127.0.0.53:53 is refused: "),
        format!("warning: route tailnet: {from}.search_domains: \".\" would be everything"),
    ] {
        assert!(out.contains(&line), "{line} not in\n{out}");
    }
}

#[test]
fn check_tells_all_that_is_wrong_with_line_and_column() {
    let dir = TempDir::new().unwrap();
    let text = "[listen]\naddresses = [\"0.0.0.0\"]\nshadrs = 2\n\n[[route]]\nname = \"a b\"\n\
                suffixes = [\".\"]\nupstreams = [\"dns.example\"]\n";
    let path = write(&dir, "bad.toml", text);
    for command in ["check", "run"] {
        let (run, out, err) = output(&[command, "--config", &path]);
        assert_eq!((run.status.code(), out.as_str()), (Some(78), ""), "{err}");
        for expected in [
            ":2:14: listen.addresses[0]: ",
            ":3:1: listen.shadrs: ",
            ":6:8: route[0].name: ",
            ":8:14: route[0].upstreams[0]: ",
        ] {
            assert!(err.contains(&format!("{path}{expected}")), "{expected} not in\n{err}");
        }
        assert!(err.contains("\"shards\"") || err.contains("shards"), "{err}");
        assert!(err.ends_with("4 errors\n"), "{err}");
    }
}

#[test]
fn check_without_a_file_says_which_was_looked_for() {
    let (run, _, err) = output(&["check", "--config", "/nowhere/horizond.toml"]);
    assert_eq!(run.status.code(), Some(78));
    assert!(err.contains("/nowhere/horizond.toml") && err.contains("--config"), "{err}");
}

#[test]
fn status_without_a_daemon_says_so() {
    let (run, out, err) = output(&["status", "--control", "/nowhere/control.sock"]);
    assert_eq!((run.status.code(), out.as_str()), (Some(69), ""));
    assert!(err.contains("/nowhere/control.sock") && err.contains("running"), "{err}");
}

#[test]
fn the_cache_of_no_daemon_is_told_like_its_status() {
    for args in [&["flush", "--all"][..], &["dump"], &["dump", "--json"], &["stats"]] {
        let args = [&["cache"], args, &["--control", "/nowhere/control.sock"]].concat();
        let (run, out, err) = output(&args);
        assert_eq!((run.status.code(), out.as_str()), (Some(69), ""), "{args:?}");
        assert!(err.contains("/nowhere/control.sock") && err.contains("running"), "{err}");
    }
}

#[test]
fn a_flush_wants_exactly_one_scope() {
    for (args, told) in [
        (&["flush"][..], "--name <NAME>|--suffix <NAME>|--route <ROUTE>|--all"),
        (&["flush", "--all", "--name", "a.example"], "cannot be used with"),
        (&["flush", "--suffix", "a.example", "--route", "internet"], "cannot be used with"),
        (&["flush", "--name", "a..example"], "has an empty label"),
        (&["dump", "--limit", "0"], "--limit"),
        (&[], "Usage: horizond cache"),
    ] {
        let (run, out, err) = output(&[&["cache"], args].concat());
        assert_eq!((run.status.code(), out.as_str()), (Some(2), ""), "{args:?}");
        assert!(err.contains(told), "{told} not in\n{err}");
    }
}

/// A daemon with one route, `internet`, whose upstream the test plays.
struct Forwarder {
    _dir: TempDir,
    daemon: Running,
    upstream: UdpSocket,
    listen: SocketAddr,
    control: String,
}

impl Forwarder {
    fn start() -> Forwarder {
        let dir = TempDir::new().unwrap();
        let upstream = UdpSocket::bind(address(5300)).unwrap();
        upstream.set_read_timeout(Some(BOUND)).unwrap();
        let listen = address(5300);
        let control = dir.path().join("control.sock").to_str().unwrap().to_owned();
        let text = config(listen, upstream.local_addr().unwrap())
            .replace("control = \"\"", &format!("control = \"{control}\""));
        let path = write(&dir, "cache.toml", &text);
        let daemon = Running::start(&["run", "--config", &path]);
        Forwarder { _dir: dir, daemon, upstream, listen, control }
    }

    /// What the upstream is asked next, and by whom.
    fn receive(&self) -> (Vec<u8>, SocketAddr) {
        let mut buffer = [0; 2048];
        let (len, peer) = self.upstream.recv_from(&mut buffer).unwrap();
        (buffer[..len].to_vec(), peer)
    }

    /// Asks for a name that the upstream must be asked for; `before` is done before that answers.
    fn miss(&self, name: &str, before: impl FnOnce()) {
        let client = ask_udp(self.listen, &question(7, name));
        let (query, peer) = self.receive();
        assert_eq!(query[12..][..name.len() + 2], question(7, name)[12..][..name.len() + 2]);
        before();
        self.upstream.send_to(&answer(&query), peer).unwrap();
        let got = get_udp(&client);
        assert_eq!((got[3] & 15, &got[got.len() - 4..]), (0, &[192, 0, 2, 7][..]));
    }

    /// Asks for a name that is in the cache: nobody plays the upstream meanwhile.
    fn hit(&self, name: &str) {
        let got = get_udp(&ask_udp(self.listen, &question(8, name)));
        assert_eq!((got[3] & 15, &got[got.len() - 4..]), (0, &[192, 0, 2, 7][..]));
    }

    /// What `horizond cache` says.
    fn cache(&self, args: &[&str]) -> String {
        let args = [&["cache"], args, &["--control", &self.control]].concat();
        let (run, out, err) = output(&args);
        assert_eq!((run.status.code(), err.as_str()), (Some(0), ""), "{args:?}");
        out
    }
}

/// Everything is on loopback, so that nothing is wanted of the host itself.
#[test]
fn the_node_command_tells_whether_a_daemon_runs_and_leaves_it_alone() {
    let mut run = Forwarder::start();
    let config = run._dir.path().join("cache.toml");
    let config = config.to_str().unwrap();
    let (done, out, err) = output(&["node", "status", "-c", config]);
    assert_eq!((done.status.code(), err.as_str()), (Some(0), ""), "{out}");
    let pid = run.daemon.child.id();
    assert!(
        out.contains(&format!(
            "horizond   running, version {}, pid {pid}\n",
            env!("CARGO_PKG_VERSION")
        )),
        "{out}"
    );
    assert!(out.ends_with("\nall is as the configuration wants\n"), "{out}");
    let (done, _, err) = output(&["node", "clean", "-c", config]);
    assert_eq!(done.status.code(), Some(69), "{err}");
    run.miss("www.example.com", || {});

    // The file has changed since the start.
    let text = std::fs::read_to_string(config).unwrap() + "# more\n";
    std::fs::write(config, text).unwrap();
    let (done, out, _) = output(&["node", "status", "-c", config]);
    let line = out.lines().find(|line| line.contains("another configuration")).unwrap();
    assert!(line.starts_with("WRONG") && line.contains(" -> restart it"), "{out}");
    assert_eq!(done.status.code(), Some(1));

    run.daemon.terminate();
    run.daemon.wait();
    let (done, out, _) = output(&["node", "status", "--json", "-c", config]);
    assert_eq!(done.status.code(), Some(1));
    let json: serde_json::Value = serde_json::from_str(&out).unwrap();
    let first = &json["findings"][0];
    assert_eq!((&json["state"], &first["text"]), (&"wrong".into(), &"not running".into()), "{out}");
    assert_eq!(first["todo"], "start horizond");
}

#[test]
fn the_node_command_and_bad_configurations() {
    let dir = TempDir::new().unwrap();
    let bad = write(&dir, "bad.toml", "[node]\ninterface = 7\n");
    for args in [&["node", "status", "-c", &bad][..], &["node", "clean", "-c", &bad]] {
        let (run, out, err) = output(args);
        assert_eq!((run.status.code(), out.as_str()), (Some(78), ""), "{args:?}");
        assert!(err.contains("bad.toml:2:"), "{err}");
    }
    let (run, _, err) = output(&["node", "clean", "-c", "/nowhere/horizond.toml"]);
    assert_eq!(run.status.code(), Some(78), "only the default file may be missing: {err}");
    let (run, _, _) = output(&["node"]);
    assert_eq!(run.status.code(), Some(2));
}

#[test]
fn what_is_flushed_is_asked_again_and_nothing_else() {
    let run = Forwarder::start();
    for name in ["www.example.com", "a.www.example.com", "www.example.net"] {
        run.miss(name, || {});
        run.hit(name);
    }
    assert_eq!(run.cache(&["flush", "--name", "WWW.Example.COM"]), "1 entry forgotten\n");
    run.hit("a.www.example.com");
    run.miss("www.example.com", || {});
    assert_eq!(run.cache(&["flush", "--suffix", "example.com."]), "2 entries forgotten\n");
    run.hit("www.example.net");
    run.miss("a.www.example.com", || {});
    assert_eq!(run.cache(&["flush", "--route", "internet"]), "2 entries forgotten\n");
    run.miss("www.example.net", || {});
    assert_eq!(run.cache(&["flush", "--all"]), "1 entry forgotten\n");
    assert_eq!(run.cache(&["flush", "--all"]), "0 entries forgotten\n");
    // What was under way answers those who wait for it, and is not kept.
    run.miss("www.example.com", || {
        assert_eq!(run.cache(&["flush", "--name", "www.example.com"]), "0 entries forgotten\n");
    });
    run.miss("www.example.com", || {});
    run.hit("www.example.com");
    let args = ["cache", "flush", "--route", "intrenet", "--control", &run.control];
    let (refused, out, err) = output(&args);
    assert_eq!((refused.status.code(), out.as_str()), (Some(1), ""));
    assert_eq!(err, "horizond: there is no route \"intrenet\": there are internet\n");
}

#[test]
fn the_cache_is_shown_to_people_and_to_programs() {
    let mut run = Forwarder::start();
    for name in ["www.example.com", "b.example.com", "www.example.net"] {
        run.miss(name, || {});
    }
    run.hit("www.example.net");
    let shown = run.cache(&["dump"]);
    let lines: Vec<Vec<&str>> =
        shown.lines().map(|line| line.split("  ").map(str::trim).collect()).collect();
    let first = |line: &[&str]| line[0].to_owned();
    let names: Vec<String> = lines.iter().map(|line| first(line)).collect();
    assert_eq!(names, ["NAME", "b.example.com.", "www.example.com.", "www.example.net."]);
    let limited = run.cache(&["dump", "--limit", "2"]);
    assert_eq!(limited.lines().count(), 4);
    assert!(limited.lines().last().unwrap().starts_with("... and more than these 2"), "{limited}");
    assert_eq!(run.cache(&["dump", "--limit", "3"]).lines().count(), 4);
    let shown = run.cache(&["dump", "--json", "--suffix", "example.COM", "--route", "internet"]);
    let entries: Vec<serde_json::Value> =
        shown.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(entries.len(), 2);
    for entry in &entries {
        assert!(entry["name"].as_str().unwrap().ends_with(".example.com."), "{entry}");
        for (key, value) in
            [("type", "A"), ("route", "internet"), ("kind", "positive"), ("rcode", "NOERROR")]
        {
            assert_eq!(entry[key], value, "{entry}");
        }
        let (age, left) = (entry["age_s"].as_u64().unwrap(), entry["ttl_s"].as_u64().unwrap());
        assert!((58..=60).contains(&(age + left)) && entry["stale_s"] == 86_400, "{entry}");
    }
    assert_eq!(run.cache(&["dump", "--json", "--limit", "1"]).lines().count(), 1);
    let stats: serde_json::Value = serde_json::from_str(&run.cache(&["stats", "--json"])).unwrap();
    assert_eq!((&stats["entries"], &stats["evictions"]), (&3.into(), &0.into()));
    let route = &stats["routes"][0];
    assert_eq!((&route["route"], &route["positive"]), (&"internet".into(), &3.into()));
    assert_eq!((&route["hits"], &route["misses"]), (&1.into(), &3.into()));
    let shown = run.cache(&["stats"]);
    assert!(shown.starts_with("3 entries, ") && shown.contains("(25.0% hits)"), "{shown}");
    run.daemon.terminate();
    assert_eq!(run.daemon.wait().code(), Some(0));
}

#[test]
fn a_taken_port_is_told_with_its_holder() {
    let holder = UdpSocket::bind(address(5300)).unwrap();
    let listen = holder.local_addr().unwrap();
    let (run, _, err) = output(&["demo", "--listen", &listen.to_string()]);
    assert_eq!(run.status.code(), Some(69), "{err}");
    assert!(err.contains(&format!("{listen}/udp is taken by ")), "{err}");
    assert!(err.contains(&format!("(pid {})", std::process::id())), "{err}");
    assert!(err.contains("--listen"), "{err}");
    let dir = TempDir::new().unwrap();
    let path = write(&dir, "taken.toml", &config(listen, address(53)));
    let (run, _, err) = output(&["run", "--config", &path]);
    assert_eq!(run.status.code(), Some(69), "{err}");
    assert!(err.contains(&format!("(pid {})", std::process::id())), "{err}");
}

#[test]
fn a_stop_still_answers_what_is_in_flight() {
    let dir = TempDir::new().unwrap();
    let upstream = UdpSocket::bind(address(5300)).unwrap();
    upstream.set_read_timeout(Some(BOUND)).unwrap();
    let listen = address(5300);
    let path = write(&dir, "slow.toml", &config(listen, upstream.local_addr().unwrap()));
    let mut daemon = Running::start(&["run", "--config", &path]);
    let mut waiting = Vec::new();
    let mut buffer = [0; 2048];
    let datagram = ask_udp(listen, &question(0x1111, "slow.example.com"));
    let (len, peer) = upstream.recv_from(&mut buffer).unwrap();
    waiting.push((buffer[..len].to_vec(), peer));
    let mut stream = ask_tcp(listen, &question(0x2222, "slower.example.com"));
    let (len, peer) = upstream.recv_from(&mut buffer).unwrap();
    waiting.push((buffer[..len].to_vec(), peer));
    daemon.terminate();
    wait_line(&daemon.err, "stopping");
    for (query, peer) in &waiting {
        upstream.send_to(&answer(query), peer).unwrap();
    }
    for (got, id) in [(get_udp(&datagram), 0x1111u16), (get_tcp(&mut stream), 0x2222)] {
        assert_eq!(got[..2], id.to_be_bytes());
        assert_eq!((got[3] & 15, &got[got.len() - 4..]), (0, &[192, 0, 2, 7][..]));
    }
    assert_eq!(daemon.wait().code(), Some(0));
    wait_line(&daemon.err, "stopped");
}

#[test]
fn a_running_demo_tells_its_status_and_logs_queries_as_text() {
    let dir = TempDir::new().unwrap();
    let (listen, admin) = (address(5300), address(9253));
    let control = dir.path().join("control.sock");
    let control = control.to_str().unwrap();
    let (listen_text, admin) = (listen.to_string(), admin.to_string());
    let mut demo = Running::start(&[
        "demo",
        "--listen",
        &listen_text,
        "--admin",
        &admin,
        "--control",
        control,
        "--queries",
    ]);
    let got = get_udp(&ask_udp(listen, &question(7, "api.default.svc.cluster.local")));
    assert_eq!((got[3] & 15, got[7] > 0), (0, true));
    let line = wait_line(&demo.out, " A NOERROR ");
    let words: Vec<&str> = line.split(' ').collect();
    assert_eq!(words.len(), 10, "{line}");
    assert!(words[0].ends_with('Z') && words[1].starts_with("127.0.0.1:"), "{line}");
    assert_eq!(words[2..7], ["udp", "api.default.svc.cluster.local.", "A", "NOERROR", "upstream"]);
    assert_eq!(words[7], "cluster", "{line}");
    let (run, out, err) = output(&["status", "--json", "--control", control]);
    assert!(run.status.success(), "{err}");
    let status: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!(status["listen"][0], listen_text);
    assert_eq!(status["pid"], demo.child.id());
    let names: Vec<_> = status["routes"].as_array().unwrap().iter().map(|r| &r["name"]).collect();
    assert_eq!(names, ["cluster", "tailnet", "internet"]);
    let (run, out, err) = output(&["status", "--control", control]);
    assert!(run.status.success() && out.contains("cluster"), "{out}{err}");
    demo.terminate();
    assert_eq!(demo.wait().code(), Some(0));
    assert!(!Path::new(control).exists());
}

#[test]
fn queries_are_logged_as_json_too() {
    let (listen, admin) = (address(5300), address(9253));
    let (listen_text, admin) = (listen.to_string(), admin.to_string());
    let args = ["demo", "--listen", &listen_text, "--admin", &admin, "--queries", "--json"];
    let mut demo = Running::start(&args);
    let mut stream = ask_tcp(listen, &question(7, "WWW.example.com"));
    assert_eq!(get_tcp(&mut stream)[3] & 15, 0);
    let line = wait_line(&demo.out, "\"rcode\"");
    let line: serde_json::Value = serde_json::from_str(&line).unwrap();
    for (key, value) in [
        ("proto", "tcp"),
        ("type", "A"),
        ("rcode", "NOERROR"),
        ("source", "upstream"),
        ("route", "internet"),
    ] {
        assert_eq!(line[key], value, "{line}");
    }
    assert!(line["name"].as_str().unwrap().eq_ignore_ascii_case("www.example.com."), "{line}");
    assert!(line["bytes"].as_u64().unwrap() > 40 && line["duration_us"].is_u64(), "{line}");
    demo.terminate();
    assert_eq!(demo.wait().code(), Some(0));
}

/// Like [`horizond`], with a shell's `ulimit` before it.
fn limited(ulimit: &str, args: &[&str]) -> Command {
    let mut command = Command::new("sh");
    let script = format!("ulimit {ulimit} && exec \"$0\" \"$@\"");
    command.args(["-c", &script, env!("CARGO_BIN_EXE_horizond")]).args(args);
    command.stdin(Stdio::null()).env_remove("HORIZOND_LOG");
    command
}

/// The limits of open files of a process, soft and hard.
fn open_files(child: &Child) -> (String, String) {
    let limits = std::fs::read_to_string(format!("/proc/{}/limits", child.id())).unwrap();
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files")).unwrap();
    let mut words = line.split_whitespace().map(str::to_owned);
    (words.next().unwrap(), words.next().unwrap())
}

#[test]
fn the_limit_of_open_files_is_raised_as_far_as_the_system_allows() {
    let dir = TempDir::new().unwrap();
    let path = write(&dir, "files.toml", &config(address(5300), address(5300)));
    let args = ["run", "--config", &path];
    let daemon = Running::launch(&mut limited("-S -n 300", &args));
    wait_line(&daemon.err, "serving");
    let (soft, hard) = open_files(&daemon.child);
    assert_eq!(soft, hard);
    assert_ne!(soft, "300", "the hard limit of the tests leaves nothing to raise");
}

#[test]
fn too_few_open_files_are_told_at_the_start() {
    let dir = TempDir::new().unwrap();
    let path = write(&dir, "few.toml", &config(address(5300), address(5300)));
    let args = ["run", "--config", &path];
    let daemon = Running::launch(&mut limited("-n 300", &args));
    let warning = wait_line(&daemon.err, "too few open files");
    assert!(warning.contains("limit=300") && warning.contains("LimitNOFILE"), "{warning}");
    wait_line(&daemon.err, "serving");
    assert_eq!(open_files(&daemon.child), ("300".to_owned(), "300".to_owned()));
}

/// Whether it answers a question about local data, over UDP and over TCP.
fn is_serving(listen: SocketAddr) -> bool {
    const PATIENCE: Option<Duration> = Some(Duration::from_millis(200));
    let query = question(9, "localhost");
    let udp = || -> std::io::Result<usize> {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
        socket.connect(listen)?;
        socket.set_read_timeout(PATIENCE)?;
        socket.send(&query)?;
        socket.recv(&mut [0; 512])
    };
    let tcp = || -> std::io::Result<()> {
        let mut stream = TcpStream::connect(listen)?;
        stream.set_read_timeout(PATIENCE)?;
        stream.write_all(&[&(query.len() as u16).to_be_bytes(), &query[..]].concat())?;
        stream.read_exact(&mut [0; 12])
    };
    udp().is_ok() && tcp().is_ok()
}

/// The names of a process's threads.
fn threads(child: &Child) -> Vec<String> {
    let tasks = std::fs::read_dir(format!("/proc/{}/task", child.id())).unwrap();
    let name = |task: std::fs::DirEntry| std::fs::read_to_string(task.path().join("comm"));
    tasks.filter_map(|task| name(task.ok()?).ok()).map(|name| name.trim().to_owned()).collect()
}

/// With ever more descriptors it comes ever further: to where a thread that serves clients cannot have
/// its own, and at last to serving. Nowhere does it go on with a part of its threads.
#[test]
fn a_serving_thread_that_cannot_go_on_ends_the_process() {
    let (dir, listen) = (TempDir::new().unwrap(), address(5300));
    let path = write(&dir, "narrow.toml", &config(listen, address(5300)));
    let mut threads_ended = 0;
    for limit in 8..64 {
        let mut command = limited(&format!("-n {limit}"), &["run", "--config", &path]);
        let mut daemon = Running::launch(&mut command);
        let end = Instant::now() + Duration::from_secs(2);
        let status = loop {
            if let Some(status) = daemon.child.try_wait().unwrap() {
                break Some(status);
            }
            if is_serving(listen) {
                assert!(threads_ended > 0, "it serves with {limit}, and no thread ever ended");
                return;
            }
            // With too few to take connections it waits for better times, all its threads there.
            if Instant::now() > end {
                let threads = threads(&daemon.child);
                let all = ["shard-0", "tcp"].iter().all(|name| threads.iter().any(|t| t == name));
                assert!(all, "with {limit} it neither serves nor ends: {threads:?}");
                break None;
            }
        };
        let Some(status) = status else { continue };
        let said: Vec<String> = daemon.err.iter().collect();
        if said.iter().any(|line| line.contains("has ended unexpectedly")) {
            assert_eq!(status.code(), Some(1), "with {limit}: {said:#?}");
            threads_ended += 1;
        } else {
            assert_eq!(status.code(), Some(69), "with {limit}: {said:#?}");
        }
    }
    panic!("it does not serve with 63 descriptors");
}
