#![allow(clippy::unwrap_used)]

use std::fs;
use std::os::unix::fs::symlink;

use rustix::fs::{CWD, FileType, Mode, mknodat};
use tempfile::TempDir;

use super::*;
use crate::answer::{Question, Section, Writer};
use crate::cache::{Entry, Key};
use crate::config::file;
use crate::time::Clock;
use crate::wire::header::Rcode;
use crate::wire::name::Name;
use crate::wire::rtype;

/// A server, its hosts file, and the folder that this lies in.
struct Host {
    folder: TempDir,
    server: Arc<Server>,
    file: HostsFile,
}

impl Host {
    fn new() -> Host {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("hosts");
        let text = format!(
            "[local]\nhosts = {path:?}\n[[route]]\nname = \"a\"\nsuffixes = [\".\"]\n\
             upstreams = [\"127.0.0.1\"]\n"
        );
        let config = file::parse(&text, Path::new("config")).unwrap().config;
        let clock = Clock::manual();
        let server = Server::new(&config, "here".into(), Vec::new(), Vec::new(), clock);
        let file = HostsFile::of(&config.local).unwrap();
        Host { folder, server: Arc::new(server), file }
    }

    fn at(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn write(&self, text: &str) {
        fs::write(self.at("hosts"), text).unwrap();
    }

    async fn look(&mut self) {
        self.file.look(&self.server).await;
    }

    fn ask(&self, name: &str) -> Vec<u8> {
        ask(&self.server, name)
    }

    /// Whether the log was told that something is wrong, with these words.
    fn told(&self, words: &str) -> bool {
        self.file.told.as_ref().is_some_and(|told| told.contains(words))
    }
}

/// The last byte of each address of a name.
fn ask(server: &Server, name: &str) -> Vec<u8> {
    let name: Name = name.parse().unwrap();
    let question = Question { name: name.as_wire(), qtype: rtype::A, qclass: 1 };
    let Some(answer) = server.local.answer(question, None) else { return Vec::new() };
    let count = usize::from(answer.header().counts[1]);
    (1..=count).map(|nth| answer.wire()[answer.question_end() + 16 * nth - 1]).collect()
}

#[tokio::test(start_paused = true)]
async fn a_file_that_is_replaced_is_answered_from() {
    let mut host = Host::new();
    host.write("10.0.0.1 a.lan\n10.0.0.5 b.lan\n");
    host.file.load(&host.server);
    assert_eq!((host.ask("a.lan"), host.ask("b.lan")), (vec![1], vec![5]));
    // In place, with the same length and very likely at the same time.
    host.write("10.0.0.2 a.lan\n10.0.0.5 b.lan\n");
    host.look().await;
    assert_eq!(host.ask("a.lan"), [2]);
    // Renamed over it.
    fs::write(host.at("new"), "10.0.0.3 a.lan\n10.0.0.4 a.lan\n").unwrap();
    fs::rename(host.at("new"), host.at("hosts")).unwrap();
    host.look().await;
    assert_eq!((host.ask("a.lan"), host.ask("b.lan")), (vec![3, 4], vec![]));
    // By a link that then leads elsewhere.
    fs::write(host.at("one"), "10.0.0.6 a.lan\n").unwrap();
    symlink(host.at("one"), host.at("link")).unwrap();
    fs::rename(host.at("link"), host.at("hosts")).unwrap();
    host.look().await;
    assert_eq!(host.ask("a.lan"), [6]);
    // Emptied on purpose.
    host.write("# nothing any more\n");
    host.look().await;
    assert_eq!(host.ask("a.lan"), [0; 0]);
    assert!(host.file.told.is_none());
}

#[tokio::test(start_paused = true)]
async fn the_file_is_followed() {
    let mut host = Host::new();
    let path = host.at("hosts");
    host.file.load(&host.server);
    assert!(host.told("No such file"));
    let Host { folder: _folder, server, file } = host;
    let follow = file.follow(EVERY, Arc::clone(&server));
    tokio::pin!(follow);
    for last in [1, 2] {
        fs::write(&path, format!("10.0.0.{last} a.lan\n")).unwrap();
        tokio::select! {
            _ = &mut follow => {}
            () = sleep(EVERY + 2 * SETTLE) => {}
        }
        assert_eq!(ask(&server, "a.lan"), [last]);
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_no_good_file_keeps_the_last_good_content() {
    let mut host = Host::new();
    let good = "10.0.0.1 a.lan\n";
    type Spoil = fn(&Path);
    let spoilt: [(Spoil, &str); 7] = [
        (|path| fs::write(path, "\x07\x08garbage\n").unwrap(), "no line of it can be understood"),
        (|path| fs::write(path, vec![b'#'; MAX_BYTES + 1]).unwrap(), "is larger than 4 MiB"),
        (|path| fs::remove_file(path).unwrap(), "No such file"),
        (|path| replace(path, |path| fs::create_dir(path).unwrap()), "is not a regular file"),
        (
            |path| {
                replace(path, |path| {
                    mknodat(CWD, path, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
                });
            },
            "is not a regular file",
        ),
        (|path| replace(path, |path| symlink(path, path).unwrap()), "symbolic links"),
        (|path| replace(path, |path| symlink("/dev/zero", path).unwrap()), "is not a regular file"),
    ];
    for (number, (spoil, words)) in spoilt.into_iter().enumerate() {
        let path = host.at("hosts");
        let _ = fs::remove_dir(&path);
        let _ = fs::remove_file(&path);
        host.write(&format!("{good}10.0.0.{number} b.lan\n"));
        host.look().await;
        assert!(host.file.told.is_none(), "{:?}", host.file.told);
        spoil(&path);
        for _ in 0..3 {
            host.look().await;
            assert!(host.told(words), "{words}: {:?}", host.file.told);
            assert_eq!((host.ask("a.lan"), host.ask("b.lan")), (vec![1], vec![number as u8]));
        }
    }
    // The same content as before it was spoilt is good again.
    let _ = fs::remove_file(host.at("hosts"));
    host.write(&format!("{good}10.0.0.6 b.lan\n"));
    host.look().await;
    assert!(host.file.told.is_none());
}

fn replace(path: &Path, make: fn(&Path)) {
    fs::remove_file(path).unwrap();
    make(path);
}

#[tokio::test(start_paused = true)]
async fn a_file_that_is_being_written_is_left_until_it_is_done() {
    let mut host = Host::new();
    host.write("10.0.0.1 a.lan\n");
    let path = host.at("hosts");
    let goes_on = async {
        sleep(SETTLE / 2).await;
        fs::write(path, "10.0.0.1 a.lan\n10.0.0.2 b.lan\n").unwrap();
    };
    tokio::join!(host.file.look(&host.server), goes_on);
    assert_eq!(host.ask("a.lan"), [0; 0]);
    host.look().await;
    assert_eq!((host.ask("a.lan"), host.ask("b.lan")), (vec![1], vec![2]));
}

#[tokio::test(start_paused = true)]
async fn what_was_cached_of_a_changed_name_is_forgotten() {
    let mut host = Host::new();
    let now = host.server.clock.now();
    let put = |name: &str, qtype: u16, dnssec_ok: bool| {
        let name: Name = name.parse().unwrap();
        let question = Question { name: name.as_wire(), qtype, qclass: 1 };
        let mut writer = Writer::new(question, Rcode::NOERROR, 0);
        writer.record(Section::Answer, &[0xc0, 12], (qtype, 1, 300), &[&[10, 0, 0, 99]]);
        let key = Key::of(name.as_wire(), qtype, dnssec_ok, false);
        let life = (Duration::from_secs(300), Duration::ZERO);
        let entry = Entry::new(key.as_bytes(), &writer.finish(), 0, now, life);
        host.server.cache.put(host.server.cache.hashed(key.as_bytes()), entry);
        key
    };
    let changed = [
        put("a.lan", rtype::A, false),
        put("a.lan", rtype::AAAA, true),
        put("1.0.0.10.in-addr.arpa", rtype::PTR, false),
    ];
    let other = put("b.lan", rtype::A, false);
    host.write("10.0.0.1 a.lan\n");
    host.look().await;
    let cache = &host.server.cache;
    for key in changed {
        assert!(cache.get(cache.hashed(key.as_bytes())).is_none());
    }
    assert!(cache.get(cache.hashed(other.as_bytes())).is_some());
}
