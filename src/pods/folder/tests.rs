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

impl Here {
    /// The next look of the daemon's; whether it changed anything.
    fn next(&mut self) -> bool {
        self.now += EVERY;
        match self.folder.look(self.now, PER_LOOK) {
            Some(table) => self.table = table,
            None => return false,
        }
        true
    }

    fn knows(&self, number: u8) -> bool {
        self.table.find([10, 0, 0, number].into()).is_some()
    }
}

#[test]
fn between_sweeps_it_is_seen_who_comes_goes_or_is_another() {
    let mut here = Here::new();
    for number in 1..=3 {
        here.put(&format!("{number}.json"), &record(number));
    }
    assert!(here.next() && !here.next(), "read, and found settled");
    here.put("4.json", &record(4));
    here.put("2.json", &record(20));
    fs::remove_file(here.at("3.json")).unwrap();
    assert!(here.next());
    assert_eq!([1, 2, 3, 4, 20].map(|n| here.knows(n)), [true, false, false, true, true]);
    // One that was still being written when it was read is looked at again.
    fs::write(here.at("4.json"), record(40)).unwrap();
    assert!(here.next() && here.knows(40));
    // Another directory may have the same inodes.
    fs::rename(here.at(""), here.temp.path().join("old")).unwrap();
    fs::create_dir(here.at("")).unwrap();
    for number in 1..=4 {
        let old = here.temp.path().join(format!("old/{number}.json"));
        if old.exists() {
            fs::hard_link(old, here.at(&format!("{number}.json"))).unwrap();
        }
    }
    fs::write(here.at("1.json"), record(10)).unwrap();
    assert!(here.next() && here.knows(10) && here.knows(20));
}

#[test]
fn what_is_written_in_place_is_seen_though_others_come_and_go_all_the_time() {
    let mut here = Here::new();
    here.put("1.json", &record(1));
    assert!(here.next() && !here.next());
    fs::write(here.at("1.json"), record(10)).unwrap();
    let (began, mut others) = (here.now, 100..);
    while !here.knows(10) {
        assert!(here.now < began + SWEEP + EVERY, "no sweep");
        let other = others.next().unwrap();
        here.put("other.json", &record(other));
        assert!(here.next());
    }
}

#[test]
fn what_a_sweep_leaves_unread_is_read_at_the_next_look() {
    let mut here = Here::new();
    for number in 1..=4 {
        here.put(&format!("{number}.json"), &record(number));
    }
    assert!(here.next() && !here.next());
    for number in 1..=4 {
        fs::write(here.at(&format!("{number}.json")), record(number * 10)).unwrap();
    }
    assert!(here.sweep(2));
    assert!(here.next());
    assert_eq!([10, 20, 30, 40].map(|n| here.knows(n)), [true; 4]);
}
