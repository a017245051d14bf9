#![allow(clippy::unwrap_used)]
use std::io::{Read, Write};
use std::time::{Duration, Instant};

use tempfile::TempDir;
use tokio::sync::oneshot;

use super::*;
use crate::admin::cache::{CachePage, CacheStats, Flushed};
use crate::admin::render::tests::example;
use crate::cache::{Cursor, Filter, Scope};

struct Example;

impl StatusSource for Example {
    fn status(&self) -> Status {
        example()
    }
}

impl CacheSource for Example {
    fn route_names(&self) -> Vec<String> {
        vec!["cluster".into(), "internet".into()]
    }

    /// As many as the name has bytes.
    fn flush(&self, scope: &Scope) -> u64 {
        match scope {
            Scope::Name(name) => name.as_wire().len() as u64,
            _ => 7,
        }
    }

    fn page(&self, from: Cursor, filter: &Filter, most: usize) -> CachePage {
        let next = Some(format!("{from} {:?} {most}", filter.route));
        CachePage { entries: Vec::new(), next }
    }

    fn cache_stats(&self) -> CacheStats {
        let (entries, bytes, limit_bytes, evictions) = (1, 2, 3, 4);
        CacheStats { entries, bytes, limit_bytes, evictions, routes: Vec::new() }
    }
}

fn directory() -> TempDir {
    tempfile::tempdir().unwrap()
}

/// A daemon's control socket, served by a thread until dropped.
struct Daemon {
    stop: Option<oneshot::Sender<()>>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Daemon {
    fn at(path: &Path) -> Daemon {
        let socket = ControlSocket::bind(path).unwrap();
        let (stop, stopped) = oneshot::channel::<()>();
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            let stopped = async move {
                let _ = stopped.await;
            };
            let serving = socket.serve(
                Arc::new(Example),
                Arc::new(Example),
                Arc::new(Stats::new(0)),
                stopped,
            );
            runtime.unwrap().block_on(serving).unwrap();
        });
        Daemon { stop: Some(stop), thread: Some(thread) }
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            thread.join().unwrap();
        }
    }
}

#[test]
fn status_makes_the_round_trip_and_the_file_goes() {
    let directory = directory();
    let path = directory.path().join("run/horizond/control.sock");
    let daemon = Daemon::at(&path);
    let json = get(&path, "/status").unwrap();
    assert_eq!(serde_json::from_slice::<Status>(&json).unwrap(), example());
    match get(&path, "/flush") {
        Err(ControlError::Refused { status: 404, text }) => assert!(text.contains("/cache/flush")),
        other => panic!("{other:?}"),
    }
    drop(daemon);
    assert!(!path.exists());
    assert!(matches!(get(&path, "/status"), Err(ControlError::NoSocket(_))));
}

#[test]
fn the_cache_is_asked_and_emptied() {
    let directory = directory();
    let path = directory.path().join("control.sock");
    let _daemon = Daemon::at(&path);
    let flushed = |url: &str| {
        let json = post(&path, url).unwrap();
        serde_json::from_slice::<Flushed>(&json).unwrap().entries
    };
    assert_eq!(flushed(&format!("/cache/flush?name={}", encode("a\\.b.example"))), 13);
    assert_eq!(flushed("/cache/flush?all"), 7);
    let page = get(&path, "/cache/dump?route=internet&limit=9&from=2.1f").unwrap();
    let page: CachePage = serde_json::from_slice(&page).unwrap();
    assert_eq!(page.next.as_deref(), Some("2.1f Some(1) 9"));
    let stats = get(&path, "/cache/stats").unwrap();
    assert_eq!(serde_json::from_slice::<CacheStats>(&stats).unwrap(), Example.cache_stats());
    let refused = |answer: Result<Vec<u8>, ControlError>| match answer {
        Err(ControlError::Refused { status, text }) => (status, text),
        other => panic!("{other:?}"),
    };
    let told = |status, text: &str| (status, text.to_owned());
    let both = refused(post(&path, "/cache/flush?all&name=a"));
    assert_eq!(both, told(400, "exactly one is needed of name, suffix, route, all"));
    let route = refused(get(&path, "/cache/dump?route=x"));
    assert_eq!(route, told(400, "there is no route \"x\": there are cluster, internet"));
    // Whoever only looks round changes nothing.
    let looks = refused(get(&path, "/cache/flush?all"));
    assert_eq!(looks, told(405, "only POST is allowed here"));
    assert_eq!(refused(post(&path, "/status")), told(405, "only GET is allowed"));
}

#[test]
fn the_file_is_private_and_nothing_is_left_beside_it() {
    let directory = directory();
    let path = directory.path().join("made/control.sock");
    let _socket = ControlSocket::bind(&path).unwrap();
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&path), 0o600);
    // 0755, less what the umask of the test takes away.
    assert_eq!(mode(path.parent().unwrap()) & !0o755, 0);
    assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 1);
}

#[test]
fn a_stale_socket_is_replaced_and_a_live_one_is_not() {
    let directory = directory();
    let path = directory.path().join("control.sock");
    // Dropping a listener leaves its file: what a crash leaves behind.
    drop(UnixListener::bind(&path).unwrap());
    assert!(matches!(get(&path, "/status"), Err(ControlError::NotListening(_))));
    let live = ControlSocket::bind(&path).unwrap();
    let error = ControlSocket::bind(&path).unwrap_err();
    assert!(matches!(error, BindError::InUse(_)), "{error}");
    assert!(error.to_string().contains("another horizond is running"), "{error}");
    drop(live);
    ControlSocket::bind(&path).unwrap();
}

#[test]
fn files_of_others_are_left_alone() {
    let directory = directory();
    let path = directory.path().join("notes.txt");
    fs::write(&path, "mine").unwrap();
    assert!(matches!(ControlSocket::bind(&path), Err(BindError::NotASocket(_))));
    assert_eq!(fs::read(&path).unwrap(), b"mine");
    assert!(matches!(get(&path, "/status"), Err(ControlError::NotASocket(_))));
    assert!(matches!(ControlSocket::bind(Path::new("/")), Err(BindError::BadPath(_))));

    // A successor's socket survives its predecessor.
    let path = directory.path().join("control.sock");
    let old = ControlSocket::bind(&path).unwrap();
    fs::remove_file(&path).unwrap();
    let new = ControlSocket::bind(&path).unwrap();
    drop(old);
    assert!(path.exists());
    drop(new);
    assert!(!path.exists());
}

#[test]
fn a_path_too_long_is_an_error_with_the_path() {
    let directory = directory();
    let path = directory.path().join("x".repeat(120)).join("control.sock");
    let error = ControlSocket::bind(&path).unwrap_err();
    assert!(error.to_string().contains("control.sock"), "{error}");
}

#[test]
fn errors_tell_what_to_do() {
    let path = Path::new("/run/x.sock");
    for (kind, words) in [
        (io::ErrorKind::NotFound, "is horizond running"),
        (io::ErrorKind::ConnectionRefused, "not running any more"),
        (io::ErrorKind::PermissionDenied, "as root"),
        (io::ErrorKind::WouldBlock, "did not answer"),
        (io::ErrorKind::BrokenPipe, "/run/x.sock: "),
    ] {
        let error = client::explain(path, kind.into()).to_string();
        assert!(error.contains(words) && error.contains("/run/x.sock"), "{error}");
    }
}

/// Something that answers `response` to whatever it is asked, and then keeps the connection open
/// until the client leaves, if told to.
fn ask_fake(
    response: &'static [u8],
    keep_open: bool,
    largest: usize,
) -> Result<Vec<u8>, ControlError> {
    let directory = directory();
    let path = directory.path().join("fake.sock");
    let listener = UnixListener::bind(&path).unwrap();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let (mut stream, _) = listener.accept().unwrap();
            let mut request = [0; 1024];
            let _ = stream.read(&mut request).unwrap();
            // The client may have seen enough and left.
            let _ = stream.write_all(response);
            if keep_open {
                while stream.read(&mut request).is_ok_and(|n| n > 0) {}
            }
        });
        client::exchange(&path, "GET /status", Instant::now() + Duration::from_millis(300), largest)
    })
}

#[test]
fn answers_that_are_not_horizonds() {
    for response in [
        &b""[..],
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nab",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nab",
        b"HTTP/1.1 200 OK\r\n\r\nab",
        b"HTTP/1.1 xyz\r\nContent-Length: 0\r\n\r\n",
        b"SSH-2.0-x\r\n\r\n",
        b"\xff\xff\r\n\r\n",
    ] {
        let got = ask_fake(response, false, 1000);
        assert!(matches!(got, Err(ControlError::Malformed(_))), "{response:?}: {got:?}");
    }
    let good = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nab";
    assert_eq!(ask_fake(good, false, good.len()).unwrap(), b"ab");
    let got = ask_fake(good, false, good.len() - 1);
    assert!(matches!(got, Err(ControlError::TooLarge(_))), "{got:?}");
    let got = ask_fake(good, true, 1000);
    assert!(matches!(got, Err(ControlError::Timeout(_))), "{got:?}");
}
