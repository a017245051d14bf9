#![allow(clippy::unwrap_used)]
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex};

use super::*;
use crate::telemetry::labels::Kind;
use crate::telemetry::snapshot::Snapshot;
use crate::telemetry::stats::NO_ROUTE;

#[derive(Clone, Default)]
struct Memory(Arc<Mutex<Vec<u8>>>);

impl Write for Memory {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Memory {
    fn lines(&self) -> Vec<String> {
        let text = String::from_utf8(self.0.lock().unwrap().clone()).unwrap();
        text.lines().map(str::to_owned).collect()
    }
}

fn record() -> Record {
    let at = SystemTime::UNIX_EPOCH + Duration::from_millis(1_500);
    let name = b"\x03Web\x09a\"b\nc d\x7f\xff\x05local\0";
    let mut record = Record::new(name, "[fd00::1]:4242".parse().unwrap(), at);
    record.proto = Proto::Tcp;
    record.qtype = 65;
    record.rcode = 3;
    record.source = Source::Cache(Kind::Negative);
    record.route = 1;
    record.duration = Duration::from_nanos(12_900);
    record.size = 77;
    record
}

fn written(mode: Mode, format: LogFormat, records: &[Record]) -> Vec<String> {
    let memory = Memory::default();
    let routes = vec!["cluster".to_owned(), "internet".to_owned()];
    let (log, writer) = QueryLog::start(mode, format, routes, memory.clone()).unwrap();
    let stats = Stats::new(2);
    for record in records {
        log.log(&stats, record.clone());
    }
    drop(log);
    writer.join();
    memory.lines()
}

#[test]
fn a_line_of_text() {
    let mut other = record();
    (other.qtype, other.rcode, other.route) = (3000, 23, NO_ROUTE);
    other.source = Source::Refused;
    assert_eq!(
        written(Mode::All, LogFormat::Text, &[record(), other]),
        [
            r#"1970-01-01T00:00:01.500000Z [fd00::1]:4242 tcp Web.a\"b\010c\032d\127\255.local. HTTPS NXDOMAIN cache internet 12us 77B"#,
            r#"1970-01-01T00:00:01.500000Z [fd00::1]:4242 tcp Web.a\"b\010c\032d\127\255.local. TYPE3000 RCODE23 refused - 12us 77B"#,
        ]
    );
}

#[test]
fn a_line_of_json() {
    let lines = written(Mode::All, LogFormat::Json, &[record()]);
    assert_eq!(lines.len(), 1);
    let line: serde_json::Value = serde_json::from_str(&lines[0]).unwrap();
    let expected = serde_json::json!({
        "time": "1970-01-01T00:00:01.500000Z", "client": "[fd00::1]:4242", "proto": "tcp",
        "name": r#"Web.a\"b\010c\032d\127\255.local."#, "type": "HTTPS", "rcode": "NXDOMAIN",
        "source": "cache", "route": "internet", "duration_us": 12, "bytes": 77,
    });
    assert_eq!(line, expected);
}

#[test]
fn off_has_no_thread_and_writes_nothing() {
    let (log, writer) =
        QueryLog::start(Mode::Off, LogFormat::Text, Vec::new(), io::sink()).unwrap();
    assert!(writer.0.is_none() && log.sender.is_none());
    assert!(!log.wants(2));
    assert!(written(Mode::Off, LogFormat::Text, &[record()]).is_empty());
}

#[test]
fn modes_want_what_they_say() {
    let with = |mode| QueryLog { mode, sender: None };
    let wanted: Vec<_> = (0..=16).filter(|&rcode| with(Mode::Failures).wants(rcode)).collect();
    assert_eq!(wanted, [1, 2, 4, 5]);
    assert!((0..=16).all(|rcode| with(Mode::All).wants(rcode)));
}

#[test]
fn names_of_any_length_are_taken() {
    let client = "10.0.0.1:1".parse().unwrap();
    for len in [0, 1, 255, 256, 70_000] {
        let record = Record::new(&vec![7; len], client, SystemTime::UNIX_EPOCH);
        assert_eq!(record.name().len(), len.min(255));
    }
}

/// An output that says when it is first written to and then stands still.
struct Stuck {
    entered: Sender<()>,
    gate: Receiver<()>,
}

impl Write for Stuck {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.entered.send(()).ok();
        self.gate.recv().ok();
        Ok(bytes.len())
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_full_log_drops_lines_and_counts_them() {
    let (entered, is_stuck) = channel();
    let (open, gate) = channel();
    let (log, writer) =
        QueryLog::start(Mode::All, LogFormat::Text, Vec::new(), Stuck { entered, gate }).unwrap();
    let stats = Arc::new(Stats::new(0));
    log.log(&stats, record());
    is_stuck.recv().unwrap();
    // The thread holds the first record; the channel takes its fill; the rest is lost.
    for _ in 0..CAPACITY + 10 {
        log.log(&stats, record());
    }
    assert_eq!(Snapshot::of(&[stats]).shed(ShedReason::QueryLog), 10);
    drop(open);
    drop(log);
    writer.join();
}

/// An output that always fails.
struct Broken;

impl Write for Broken {
    fn write(&mut self, _: &[u8]) -> io::Result<usize> {
        Err(io::Error::from(io::ErrorKind::BrokenPipe))
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn an_output_that_fails_does_not_end_the_log() {
    let (log, writer) = QueryLog::start(Mode::All, LogFormat::Text, Vec::new(), Broken).unwrap();
    let sender = log.sender.clone().unwrap();
    for _ in 0..2 * CAPACITY {
        // Waits for room; an error would mean that the thread is gone.
        sender.send(record()).unwrap();
    }
    drop((log, sender));
    writer.join();
}

#[test]
fn a_line_has_the_pod_where_it_is_known() {
    let json = br#"{"version":1,"network":"n","container":"c","interface":"eth0","netns":"",
        "namespace":"shop","pod":"web-0","when_unix_s":0}"#;
    let known = crate::cni::record::PodRecord::parse(json).unwrap();
    let mut namespaces = crate::pods::Namespaces::new(1);
    let mut record = record();
    record.pod = Some(Arc::new(Pod::of(&known, &mut namespaces).unwrap()));
    let lines = written(Mode::All, LogFormat::Text, std::slice::from_ref(&record));
    assert!(lines[0].ends_with(" internet 12us 77B shop/web-0"), "{lines:?}");
    let lines = written(Mode::All, LogFormat::Json, &[record]);
    let line: serde_json::Value = serde_json::from_str(&lines[0]).unwrap();
    assert_eq!((&line["namespace"], &line["pod"]), (&"shop".into(), &"web-0".into()));
}
