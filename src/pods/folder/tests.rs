#![allow(clippy::unwrap_used)]
use std::fs;
use std::os::unix::fs::symlink;

use rustix::fs::{CWD, FileType, Mode, mknodat};
use tempfile::TempDir;

use super::*;

/// A directory of records, and a clock that moves when told to.
struct Here {
    temp: TempDir,
    folder: Folder,
    now: Instant,
    table: Table,
}

impl Here {
    fn new() -> Here {
        let temp = tempfile::tempdir().unwrap();
        let path = temp.path().join("pods");
        fs::create_dir(&path).unwrap();
        let folder = Folder::new(path, 8);
        Here { temp, folder, now: Instant::now(), table: Table::default() }
    }

    fn at(&self, name: &str) -> PathBuf {
        self.temp.path().join("pods").join(name)
    }

    /// As the plugin does it.
    fn put(&self, name: &str, bytes: &[u8]) {
        let unfinished = self.at(&format!(".{name}.new"));
        fs::write(&unfinished, bytes).unwrap();
        fs::rename(unfinished, self.at(name)).unwrap();
    }

    /// A look whatever the time of the directory says; whether it changed anything.
    fn sweep(&mut self, files: usize) -> bool {
        self.now += SWEEP;
        match self.folder.look(self.now, files) {
            Some(table) => self.table = table,
            None => return false,
        }
        true
    }

    /// Pods and refused files after looking until nothing more is found.
    fn settled(&mut self) -> (usize, usize) {
        while self.sweep(PER_LOOK) {}
        (self.table.len(), self.table.refused())
    }
}

fn record(number: u32) -> Vec<u8> {
    let [_, a, b, c] = number.to_be_bytes();
    format!(
        r#"{{"version":1,"network":"n","container":"c{number}","interface":"eth0","netns":"",
        "addresses":["10.{a}.{b}.{c}"],"namespace":"ns","pod":"p{number}","when_unix_s":1}}"#
    )
    .into_bytes()
}

#[test]
fn records_come_change_and_go() {
    let mut here = Here::new();
    assert_eq!(here.settled(), (0, 0));
    here.put("n_c1_eth0.json", &record(1));
    here.put("n_c2_eth0.json", &record(2));
    assert_eq!(here.settled(), (2, 0));
    assert_eq!(here.table.find([10, 0, 0, 2].into()).unwrap().to_string(), "ns/p2");
    here.put("n_c2_eth0.json", &record(3));
    assert_eq!(here.settled(), (2, 0));
    assert_eq!(here.table.find([10, 0, 0, 2].into()), None);
    assert!(here.table.find([10, 0, 0, 3].into()).is_some());
    fs::remove_file(here.at("n_c1_eth0.json")).unwrap();
    assert_eq!(here.settled(), (1, 0));
}

#[test]
fn what_happens_is_due_and_what_rests_is_not() {
    let mut here = Here::new();
    let now = here.now;
    while here.folder.is_due(now) {
        here.folder.look(now, 9);
    }
    here.put("a.json", &record(1));
    assert!(here.folder.is_due(now));
    assert_eq!(here.folder.look(now, 9).unwrap().len(), 1);
    // Once more, for what came within the grain of the directory's time.
    assert!(here.folder.is_due(now));
    assert!(here.folder.look(now, 9).is_none());
    assert!(!here.folder.is_due(now));
    assert!(here.folder.is_due(now + SWEEP));
}

#[test]
fn the_directory_may_come_late_go_and_be_another() {
    let mut here = Here::new();
    let path = here.at("");
    fs::remove_dir(&path).unwrap();
    assert!(!here.folder.is_due(here.now));
    assert_eq!(here.settled(), (0, 0));
    fs::create_dir(&path).unwrap();
    here.put("a.json", &record(1));
    assert!(here.folder.is_due(here.now));
    assert_eq!(here.settled(), (1, 0));
    fs::rename(&path, here.temp.path().join("old")).unwrap();
    assert!(here.folder.is_due(here.now));
    assert_eq!(here.settled(), (0, 0));
    fs::create_dir(&path).unwrap();
    here.put("b.json", &record(2));
    assert_eq!(here.settled(), (1, 0));
    fs::remove_dir_all(&path).unwrap();
    fs::write(here.temp.path().join("pods"), "a file").unwrap();
    assert_eq!(here.settled(), (0, 0));
}

#[test]
fn what_is_no_record_does_no_harm() {
    let mut here = Here::new();
    here.put("good.json", &record(1));
    let elsewhere = here.temp.path().join("elsewhere.json");
    fs::write(&elsewhere, record(2)).unwrap();
    symlink(&elsewhere, here.at("link.json")).unwrap();
    symlink(here.at("circle.json"), here.at("circle.json")).unwrap();
    mknodat(CWD, here.at("fifo.json"), FileType::Fifo, Mode::RUSR, 0).unwrap();
    fs::create_dir(here.at("folder.json")).unwrap();
    fs::write(here.at("empty.json"), "").unwrap();
    fs::write(here.at("binary.json"), [0xff, 0, 1, 2]).unwrap();
    fs::write(here.at("deep.json"), "[".repeat(60_000)).unwrap();
    fs::write(here.at("half.json"), &record(3)[..60]).unwrap();
    fs::write(here.at("version.json"), br#"{"version":2}"#).unwrap();
    let huge = fs::File::create(here.at("huge.json")).unwrap();
    huge.set_len(1 << 40).unwrap();
    let mut long = record(4);
    long.resize(MAX_RECORD + 1, b' ');
    fs::write(here.at("long.json"), long).unwrap();
    // Not called like records.
    fs::write(here.at("record.txt"), record(5)).unwrap();
    fs::write(here.at(".hidden.json"), record(6)).unwrap();
    assert_eq!(here.settled(), (1, 11));
    assert_eq!(here.table.records()[0].to_string(), "ns/p1");

    // One that is complete at last, in place; and one of the longest there may be.
    fs::write(here.at("half.json"), record(3)).unwrap();
    let mut longest = record(4);
    longest.resize(MAX_RECORD, b' ');
    fs::write(here.at("long.json"), longest).unwrap();
    assert_eq!(here.settled(), (3, 9));
    // A record that is one no more is forgotten.
    fs::write(here.at("good.json"), "{").unwrap();
    assert_eq!(here.settled(), (2, 10));
}

#[test]
fn a_look_reads_so_much_and_the_next_goes_on() {
    let mut here = Here::new();
    for number in 0..25 {
        here.put(&format!("{number}.json"), &record(number));
    }
    for expected in [10, 20, 25] {
        assert!(here.folder.is_due(here.now));
        assert_eq!(here.folder.look(here.now, 10).unwrap().len(), expected);
    }
    assert!(here.folder.look(here.now, 10).is_none());
    assert!(!here.folder.is_due(here.now));
}

#[test]
fn files_that_cannot_be_used_do_not_keep_others_from_being_read() {
    let mut here = Here::new();
    for number in 0..30 {
        fs::write(here.at(&format!("{number}.json")), "garbage").unwrap();
    }
    here.put("good.json", &record(1));
    while here.sweep(4) {}
    assert_eq!((here.table.len(), here.table.refused()), (1, 30));
}

#[test]
fn there_is_an_end_to_how_many_are_used() {
    let mut here = Here::new();
    for number in 0..=MAX_RECORDS {
        fs::write(here.at(&format!("{number}.json")), "").unwrap();
    }
    here.sweep(AT_START);
    assert_eq!(here.table.refused(), MAX_RECORDS);
    for number in 0..10 {
        fs::remove_file(here.at(&format!("{number}.json"))).unwrap();
    }
    assert_eq!(here.settled(), (0, MAX_RECORDS - 9));
}
