#![allow(clippy::unwrap_used)]

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::time::Duration;

use proptest::prelude::*;
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::watch::look;
use super::*;
use crate::files::FileError;
use crate::files::watch::Look;

fn servers(text: &str) -> Vec<String> {
    parse(text.as_bytes()).nameservers.iter().map(|s| s.socket_addr().to_string()).collect()
}

fn reasons(text: &str) -> Vec<SkipReason> {
    parse(text.as_bytes()).skipped.iter().map(|s| s.reason).collect()
}

fn list(text: &[&str]) -> Vec<Nameserver> {
    text.iter().map(|word| nameserver(word).unwrap()).collect()
}

fn addr(s: &str) -> SocketAddr {
    s.parse().unwrap()
}

#[test]
fn an_ordinary_file() {
    let conf = parse(
        b"# made by hand\n; me too\n\nnameserver 192.0.2.1\nnameserver\t2001:db8::1\n\
          search a.example  b.example\noptions edns0 ndots:5 trust-ad\n",
    );
    let found: Vec<_> = conf.nameservers.iter().map(|s| s.socket_addr()).collect();
    assert_eq!(found, [addr("192.0.2.1:53"), addr("[2001:db8::1]:53")]);
    assert_eq!(conf.search, ["a.example", "b.example"]);
    assert_eq!(conf.ndots, Some(5));
    assert_eq!(conf.skipped, []);
}

#[test]
fn no_newline_at_the_end_and_crlf() {
    assert_eq!(
        servers("nameserver 192.0.2.1\r\nnameserver 192.0.2.2"),
        ["192.0.2.1:53", "192.0.2.2:53"]
    );
}

#[test]
fn what_follows_an_address_is_ignored() {
    assert_eq!(servers("nameserver 192.0.2.1 # the router\n"), ["192.0.2.1:53"]);
}

#[test]
fn lines_that_are_not_for_us() {
    let junk = " nameserver 192.0.2.1\n#nameserver 192.0.2.1\n;nameserver 192.0.2.1\n\
                NAMESERVER 192.0.2.1\nnameservers 192.0.2.1\nsortlist 10.0.0.0\nfamily inet\n";
    assert_eq!(parse(junk.as_bytes()), ResolvConf::default());
}

#[test]
fn unreadable_addresses_are_skipped_with_line_and_reason() {
    let conf = parse(b"nameserver\nnameserver  \nnameserver dns.example\nnameserver 192.0.2.1\n");
    assert_eq!(conf.nameservers.len(), 1);
    assert_eq!(conf.skipped.iter().map(|s| s.line).collect::<Vec<_>>(), [1, 2, 3]);
    assert!(conf.skipped.iter().all(|s| s.reason == SkipReason::BadAddress));
    assert_eq!(conf.skipped[2].to_string(), "line 3: nameserver without a readable address");
}

#[test]
fn ports_in_brackets() {
    assert_eq!(
        servers("nameserver [192.0.2.1]:5353\nnameserver [2001:db8::1]:54"),
        ["192.0.2.1:5353", "[2001:db8::1]:54"]
    );
    for bad in ["[192.0.2.1", "[192.0.2.1]5353", "[192.0.2.1]:65536", "[]:53", "192.0.2.1:53"] {
        assert_eq!(reasons(&format!("nameserver {bad}")), [SkipReason::BadAddress], "{bad}");
    }
}

#[test]
fn link_local_servers_are_skipped() {
    for bad in ["fe80::1", "fe80::1%eth0", "[fe80::1%2]:53"] {
        assert_eq!(reasons(&format!("nameserver {bad}")), [SkipReason::LinkLocal], "{bad}");
    }
    assert_eq!(reasons("nameserver 192.0.2.1%eth0"), [SkipReason::BadAddress]);
}

#[test]
fn mapped_addresses_are_unmapped_so_that_no_check_is_evaded() {
    assert_eq!(servers("nameserver ::ffff:127.0.0.1"), ["127.0.0.1:53"]);
}

#[test]
fn the_last_search_or_domain_wins() {
    assert_eq!(parse(b"search a b\ndomain c d\n").search, ["c"]);
    assert_eq!(parse(b"domain c\nsearch a b\n").search, ["a", "b"]);
}

#[test]
fn ndots_is_cut_to_fifteen() {
    assert_eq!(parse(b"options ndots:99").ndots, Some(15));
    assert_eq!(parse(b"options ndots:999").ndots, Some(15));
    assert_eq!(parse(b"options ndots:2\noptions ndots:x rotate").ndots, Some(2));
    assert_eq!(parse(b"options ndots:0").ndots, Some(0));
    assert_eq!(parse(b"options rotate").ndots, None);
}

#[test]
fn lists_are_bounded() {
    let many = |n| (0..n).map(|i| format!("nameserver 192.0.2.{i}\n")).collect::<String>();
    assert_eq!(servers(&many(MAX_NAMESERVERS)).len(), MAX_NAMESERVERS);
    assert_eq!(servers(&many(40)).len(), MAX_NAMESERVERS);
    let skipped = reasons(&many(40));
    assert_eq!(skipped, [SkipReason::TooManyNameservers; MAX_SKIPPED]);
    let names = format!("search{}", " a.example".repeat(MAX_SEARCH + 1));
    assert_eq!(parse(names.as_bytes()).search.len(), MAX_SEARCH);
    assert_eq!(reasons(&names), [SkipReason::BadSearch]);
    assert_eq!(reasons(&format!("search {}", "a".repeat(255))), [SkipReason::BadSearch]);
}

#[test]
fn a_long_file_is_cut_between_lines() {
    let mut text = "nameserver 192.0.2.1\n".to_owned();
    // The limit falls after "192.0.2.2" of "192.0.2.21".
    let tail = "nameserver 192.0.2.2";
    text.push_str(&"#".repeat(MAX_BYTES - text.len() - tail.len() - 1));
    text.push('\n');
    text.push_str(tail);
    assert_eq!(text.len(), MAX_BYTES);
    assert_eq!(servers(&text), ["192.0.2.1:53", "192.0.2.2:53"]);
    text.push_str("1\n");
    assert_eq!(servers(&text), ["192.0.2.1:53"]);
    assert_eq!(reasons(&text), [SkipReason::TooLong]);
}

#[test]
fn bytes_that_are_no_text_spoil_their_line_only() {
    let conf = parse(b"nameserver \xff\nnameserver 192.0.2.1\n\0\0\n");
    assert_eq!(conf.nameservers.len(), 1);
    assert_eq!(conf.skipped, [Skipped { line: 1, reason: SkipReason::NotText }]);
}

proptest! {
    #[test]
    fn any_bytes_stay_within_the_limits(
        bytes in prop::collection::vec(any::<u8>(), 0..2048),
        lines in prop::collection::vec("(nameserver|search|options|domain)?[ -~\t]{0,40}", 0..40),
    ) {
        for input in [bytes, lines.join("\n").into_bytes()] {
            let conf = parse(&input);
            prop_assert!(conf.nameservers.len() <= MAX_NAMESERVERS);
            prop_assert!(conf.search.len() <= MAX_SEARCH);
            prop_assert!(conf.skipped.len() <= MAX_SKIPPED);
            prop_assert!(conf.ndots.is_none_or(|n| n <= MAX_NDOTS));
        }
    }
}

#[test]
fn ordinary_servers_are_usable_in_order() {
    let found = usable(&list(&["192.0.2.2", "192.0.2.1"]), &[addr("169.254.20.10:53")], &[], false);
    assert_eq!(found.servers, [addr("192.0.2.2:53"), addr("192.0.2.1:53")]);
    assert_eq!((found.refused, found.warnings), (vec![], vec![]));
}

/// The reason for refusing one server, with loopback allowed or not.
fn refused(word: &str, own: &[&str], here: &[&str], allow_loopback: bool) -> Option<RefusalReason> {
    let own: Vec<_> = own.iter().map(|s| addr(s)).collect();
    let here: Vec<_> = here.iter().map(|s| s.parse().unwrap()).collect();
    let found = usable(&list(&[word]), &own, &here, allow_loopback);
    assert_eq!(found.servers.len() + found.refused.len(), 1);
    found.refused.first().map(|r| r.reason)
}

#[test]
fn our_own_listeners_are_refused() {
    let own = ["169.254.20.10:53", "127.0.0.1:5300"];
    let ours = Some(RefusalReason::OurListener);
    assert_eq!(refused("169.254.20.10", &own, &[], false), ours);
    assert_eq!(refused("[127.0.0.1]:5300", &own, &[], true), ours);
    assert_eq!(refused("::ffff:169.254.20.10", &own, &[], false), ours);
    assert_eq!(refused("[169.254.20.10]:54", &own, &[], false), None);
}

#[test]
fn a_wildcard_listener_is_on_every_address_of_the_host() {
    let here = ["192.0.2.5"];
    let ours = Some(RefusalReason::OurListener);
    assert_eq!(refused("192.0.2.5", &["0.0.0.0:53"], &here, false), ours);
    assert_eq!(refused("127.0.0.9", &["[::]:53"], &here, true), ours);
    assert_eq!(refused("192.0.2.6", &["0.0.0.0:53"], &here, false), None);
    assert_eq!(refused("192.0.2.5", &["0.0.0.0:5300"], &here, false), None);
}

#[test]
fn loopback_needs_leave_and_the_stub_never_gets_it() {
    for stub in ["127.0.0.53", "127.0.0.54"] {
        assert_eq!(refused(stub, &[], &[], false), Some(RefusalReason::ResolvedStub));
        assert_eq!(refused(stub, &[], &[], true), Some(RefusalReason::ResolvedStub));
    }
    for loopback in ["127.0.0.1", "127.1.2.3", "::1"] {
        assert_eq!(refused(loopback, &[], &[], false), Some(RefusalReason::Loopback));
        assert_eq!(refused(loopback, &[], &[], true), None);
    }
}

#[test]
fn addresses_that_are_no_server_are_refused() {
    for (word, reason) in [
        ("0.0.0.0", RefusalReason::Unspecified),
        ("::", RefusalReason::Unspecified),
        ("224.0.0.251", RefusalReason::Multicast),
        ("ff02::fb", RefusalReason::Multicast),
        ("255.255.255.255", RefusalReason::Multicast),
        ("[192.0.2.1]:0", RefusalReason::NoPort),
    ] {
        assert_eq!(refused(word, &[], &[], true), Some(reason), "{word}");
    }
}

#[test]
fn duplicates_are_refused_once_each() {
    let found = usable(&list(&["192.0.2.1", "[192.0.2.1]:53", "[192.0.2.1]:54"]), &[], &[], false);
    assert_eq!(found.servers, [addr("192.0.2.1:53"), addr("192.0.2.1:54")]);
    let twice = Refusal { addr: addr("192.0.2.1:53"), reason: RefusalReason::Duplicate };
    assert_eq!(found.refused, [twice]);
}

#[test]
fn tailscale_is_accepted_with_a_warning() {
    let own = ["100.100.100.100".parse().unwrap()];
    let both = list(&["100.100.100.100", "fd7a:115c:a1e0::53"]);
    let found = usable(&both, &[], &own, false);
    assert_eq!(found.servers.len(), 2);
    assert!(found.warnings.iter().all(|w| w.reason == WarningReason::TailscaleLoop));
    assert_eq!(found.warnings.len(), 2);
    assert!(found.warnings[0].to_string().contains("--accept-dns=false"));
}

#[test]
fn another_resolver_of_this_host_is_accepted_with_a_warning() {
    let here = ["192.0.2.5".parse().unwrap()];
    let found = usable(&list(&["192.0.2.5"]), &[addr("169.254.20.10:53")], &here, false);
    let warning = Warning { addr: addr("192.0.2.5:53"), reason: WarningReason::ThisHost };
    assert_eq!((found.servers.len(), found.warnings), (1, vec![warning]));
}

/// Follows a file in the background and hands over each change.
struct Follow {
    changes: mpsc::UnboundedReceiver<ResolvConf>,
    task: tokio::task::JoinHandle<()>,
}

impl Follow {
    fn start(path: &Path) -> Self {
        let (sender, changes) = mpsc::unbounded_channel();
        let path = path.to_owned();
        let task = tokio::spawn(async move {
            watch_file(&path, Duration::from_millis(5), |conf| {
                let _ = sender.send(conf);
            })
            .await;
        });
        Self { changes, task }
    }

    async fn next(&mut self) -> String {
        let change = timeout(Duration::from_secs(10), self.changes.recv()).await;
        change.expect("no change was seen").unwrap().nameservers[0].ip.to_string()
    }
}

impl Drop for Follow {
    fn drop(&mut self) {
        self.task.abort();
    }
}

#[tokio::test]
async fn a_rewritten_file_is_noticed() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("resolv.conf");
    fs::write(&path, "nameserver 192.0.2.1\n").unwrap();
    let mut follow = Follow::start(&path);
    assert_eq!(follow.next().await, "192.0.2.1");
    // Same length, and very likely the same second.
    fs::write(&path, "nameserver 192.0.2.2\n").unwrap();
    assert_eq!(follow.next().await, "192.0.2.2");
}

#[tokio::test]
async fn a_replaced_link_is_followed() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    fs::write(at("one"), "nameserver 192.0.2.1\n").unwrap();
    fs::write(at("two"), "nameserver 192.0.2.2\n").unwrap();
    symlink(at("one"), at("resolv.conf")).unwrap();
    let mut follow = Follow::start(&at("resolv.conf"));
    assert_eq!(follow.next().await, "192.0.2.1");
    symlink(at("two"), at("next")).unwrap();
    fs::rename(at("next"), at("resolv.conf")).unwrap();
    assert_eq!(follow.next().await, "192.0.2.2");
}

#[tokio::test]
async fn loss_and_garbage_keep_the_last_good_list() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("resolv.conf");
    fs::write(&path, "nameserver 192.0.2.1\n").unwrap();
    let good = read(&path).unwrap();
    fs::write(&path, "\x07garbage\n").unwrap();
    assert!(matches!(look(&path, Some(&good)).await, Err(ReadError::NoNameservers { .. })));
    fs::remove_file(&path).unwrap();
    assert!(matches!(look(&path, Some(&good)).await, Err(ReadError::File(FileError::Io { .. }))));
    let mut follow = Follow::start(&path);
    fs::write(&path, "nameserver 192.0.2.3\n").unwrap();
    assert_eq!(follow.next().await, "192.0.2.3");
    fs::write(&path, "garbage\n").unwrap();
    fs::write(&path, "nameserver 192.0.2.4\n").unwrap();
    // The garbage was never reported: the next change is the good one.
    assert_eq!(follow.next().await, "192.0.2.4");
}

#[tokio::test]
async fn a_comment_alone_is_no_change() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("resolv.conf");
    fs::write(&path, "nameserver 192.0.2.1\n").unwrap();
    let good = read(&path).unwrap();
    fs::write(&path, "# new\nnameserver 192.0.2.1\n").unwrap();
    assert_eq!(look(&path, Some(&good)).await.unwrap(), Look::Same);
}

#[test]
fn only_regular_files_are_read() {
    let dir = tempfile::tempdir().unwrap();
    assert!(matches!(read(dir.path()), Err(ReadError::File(FileError::NotAFile { .. }))));
    let said = read(&dir.path().join("none")).unwrap_err().to_string();
    assert!(said.contains("cannot read") && said.contains("none"), "{said}");
}
