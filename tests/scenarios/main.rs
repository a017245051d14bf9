//! Behaviour of the whole server in process: real sockets on loopback, fake upstreams that record
//! what they receive, and a clock that the test owns. What is promised stands in the `.rpl` files,
//! one scenario for each promise; `SCENARIO=WORDS` plays only those whose name contains the words.

#![allow(clippy::unwrap_used)]

use std::time::Duration;

mod client;
mod expect;
mod index;
mod message;
mod play;
mod reply;
mod script;
mod stub;
mod text;
mod upstream;
mod world;

/// The longest wait for anything that must happen.
const BOUND: Duration = Duration::from_secs(10);

/// Plays every scenario of a file, and tells of all that fail.
fn play_file(file: &str, text: &str) {
    let script = script::parse(file, text).unwrap_or_else(|error| panic!("{error}"));
    let only = std::env::var("SCENARIO").unwrap_or_default();
    let chosen: Vec<_> = script.scenarios.iter().filter(|s| s.name.contains(&only)).collect();
    assert!(!script.scenarios.is_empty(), "{file} has no scenario");
    let failures: Vec<String> =
        chosen.iter().filter_map(|scenario| play::play(file, &script, scenario).err()).collect();
    assert!(
        failures.is_empty(),
        "{} of {} failed:\n\n{}\n",
        failures.len(),
        chosen.len(),
        failures.join("\n\n")
    );
    println!("{file}: {} scenarios", chosen.len());
}

macro_rules! scripts {
    ($($name:ident),+ $(,)?) => {
        $(#[test]
        fn $name() {
            let file = concat!(stringify!($name), ".rpl");
            play_file(file, include_str!(concat!(stringify!($name), ".rpl")));
        })+

        #[test]
        fn no_script_is_forgotten() {
            let here = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/scenarios");
            let files = std::fs::read_dir(here).unwrap().map(|entry| entry.unwrap().path());
            let scripts = files.filter(|path| path.extension().is_some_and(|e| e == "rpl")).count();
            assert_eq!(scripts, [$(stringify!($name)),+].len());
        }
    };
}

scripts!(
    aliases,
    autopath,
    cache,
    coalescing,
    denied,
    dns64,
    failover,
    flush,
    from_clients,
    horizons,
    hostile,
    local_data,
    local_names,
    never_kept,
    options,
    passing,
    rebinding,
    rewrites,
    shutdown,
    spelling,
    stale,
    suffixes,
    to_clients,
    to_upstreams
);

#[test]
fn mistakes_in_a_script_are_told_with_their_line() {
    for (text, expected) in [
        ("scenario a\n   x\n", "x.rpl:2: indented by 3"),
        ("# c\n\nscene a\n", "x.rpl:3: \"scene\" begins neither"),
        ("scenario a\n  isp answers\n    a. 5 A 1.2.3\n", "x.rpl:3: "),
        ("scenario a\n  client asks \"a\n", "x.rpl:2: a quote"),
        ("  client asks a A\n", "x.rpl:1: a statement outside"),
    ] {
        let error = script::parse("x.rpl", text).unwrap_err();
        assert!(error.starts_with(expected), "{error}");
    }
    for (text, expected) in [
        ("scenario a\n  client sings\n", "x.rpl:2: a: client: \"sings\" is nothing"),
        ("scenario a\n  isp answers\n", "x.rpl:2: a: isp: it has received nothing"),
        ("scenario a\n  client asks a.b A loudly\n", "x.rpl:2: a: client: \"loudly\" means"),
    ] {
        let script = script::parse("x.rpl", text).unwrap();
        let error = play::play("x.rpl", &script, &script.scenarios[0]).unwrap_err();
        assert!(error.starts_with(expected), "{error}");
    }
}

/// What the runner must catch, or no scenario could fail.
#[test]
fn promises_that_are_broken_are_found() {
    let asked = "scenario a\n  client asks a.example A\n  isp receives a.example A\n";
    let answered = format!("{asked}  isp answers\n    a.example 5 A 192.0.2.1\n");
    for (text, expected) in [
        ("scenario a\n  client asks a.example A\n".to_owned(), "x.rpl:1: a: isp also received"),
        (asked.replace("receives a.", "receives b."), "x.rpl:3: a: isp: another question"),
        (format!("{answered}  client gets NXDOMAIN\n"), "x.rpl:6: a: client: another rcode"),
        (format!("{answered}  client gets NOERROR\n"), "x.rpl:6: a: client: other records"),
        (
            format!("{answered}  client gets NOERROR\n    a.example 4 A 192.0.2.1\n"),
            "x.rpl:6: a: client: other records",
        ),
        (format!("{answered}  client gets NOERROR tc\n"), "x.rpl:6: a: client: flags 8180, not"),
    ] {
        let script = script::parse("x.rpl", &text).unwrap();
        let error = play::play("x.rpl", &script, &script.scenarios[0]).unwrap_err();
        assert!(error.starts_with(expected), "{error}");
    }
}
