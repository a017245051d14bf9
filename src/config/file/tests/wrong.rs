//! Bad files and exactly what is said about them: the cases are in `wrong.txt`.

use std::collections::BTreeSet;

use super::*;
use crate::config::{MAX_LOCAL_RECORDS, MAX_LOCAL_VALUES, MAX_REWRITES};
use crate::config::{MAX_REBIND_ALLOW, MAX_ROUTES, MAX_SUFFIXES, MAX_UPSTREAMS};

/// A text and the errors that it must have.
struct Case {
    text: String,
    errors: Vec<String>,
}

fn cases() -> Vec<Case> {
    let case = |block: &str| {
        let (errors, text): (Vec<_>, Vec<_>) =
            block.trim().lines().partition(|line| line.starts_with("-> "));
        let text = text.iter().map(|line| match *line {
            "@route" => ROUTE.to_owned(),
            line => format!("{line}\n"),
        });
        Case { text: text.collect(), errors: errors.iter().map(|line| line[3..].into()).collect() }
    };
    include_str!("wrong.txt").split("===\n").skip(1).map(case).collect()
}

#[test]
fn each_case_has_exactly_its_errors() {
    let cases = cases();
    for Case { text, errors } in &cases {
        let found = match read(text) {
            Ok(_) => Vec::new(),
            Err(errors) => shown(&errors.list),
        };
        assert_eq!(found, *errors, "in\n{text}");
        assert!(!errors.is_empty(), "a case without an error:\n{text}");
    }
    assert!(cases.len() > 40, "{} cases", cases.len());
}

#[test]
fn every_key_has_a_case() {
    let indices = |key: &str| {
        let outside = key.split('[').map(|part| part.split(']').next_back().unwrap_or_default());
        outside.collect::<String>()
    };
    let cases = cases();
    let errors = cases.iter().flat_map(|case| &case.errors);
    let keys: BTreeSet<_> = errors
        .filter_map(|error| error.split_once(' ')?.1.split_once(": "))
        .map(|(key, _)| indices(key))
        .collect();
    for (table, names) in KEYS.iter().filter(|(table, _)| !table.is_empty()) {
        for name in *names {
            let key = format!("{table}.{name}");
            let is_table = KEYS.iter().any(|(table, _)| *table == key);
            assert!(is_table || keys.contains(&key), "no case has an error at {key}");
        }
    }
}

#[test]
fn control_characters_of_the_file_do_not_reach_the_terminal() {
    for text in ["a = \"\u{1b}[31mx", "\"\\u001b[31m\" = 1", "[cache]\nstale = \"\\u001b[31m\""] {
        let shown = read(text).unwrap_err().to_string();
        assert!(!shown.contains('\u{1b}'), "{shown:?}");
    }
}

fn route(name: &str, suffixes: &str, upstreams: &str) -> String {
    format!("[[route]]\nname = \"{name}\"\nsuffixes = [{suffixes}]\nupstreams = [{upstreams}]\n")
}

#[test]
fn limits() {
    let routes = |count: usize| -> String {
        (0..count).map(|i| route(&format!("r{i}"), &format!("\"s{i}\""), "\"10.0.0.1\"")).collect()
    };
    assert!(read(&routes(MAX_ROUTES)).is_ok());
    assert_eq!(
        shown(&read(&routes(MAX_ROUTES + 1)).unwrap_err().list),
        ["1:1 route: 65 entries are too many; at most 64"]
    );

    let upstreams = |count: usize| -> String {
        let list: String = (0..count).map(|i| format!("\"10.0.0.{i}\",")).collect();
        route("r", "\".\"", &list)
    };
    assert!(read(&upstreams(MAX_UPSTREAMS)).is_ok());
    assert_eq!(
        shown(&read(&upstreams(MAX_UPSTREAMS + 1)).unwrap_err().list),
        ["4:13 route[0].upstreams: 17 entries are too many; at most 16"]
    );

    let allowed = |count: usize| -> String {
        let list: String = (0..count).map(|i| format!("\"a{i}\",")).collect();
        format!("{ROUTE}rebind_protection = true\nrebind_allow = [{list}]\n")
    };
    assert!(read(&allowed(MAX_REBIND_ALLOW)).is_ok());
    assert_eq!(
        shown(&read(&allowed(MAX_REBIND_ALLOW + 1)).unwrap_err().list),
        ["6:16 route[0].rebind_allow: 1025 entries are too many; at most 1024"]
    );

    let suffixes = |count: usize| -> String {
        let list = |from: usize, to: usize| -> String {
            (from..to).map(|i| format!("\"{i}.a\",")).collect()
        };
        route("a", &list(0, 50_000), "\"10.0.0.1\"")
            + &route("b", &list(50_000, count), "\"10.0.0.1\"")
    };
    assert!(read(&suffixes(MAX_SUFFIXES)).is_ok());
    assert_eq!(
        shown(&read(&suffixes(MAX_SUFFIXES + 1)).unwrap_err().list),
        ["5:1 route[1]: more than 100000 suffixes and prefixes in all routes together; \
          use shorter suffixes and prefixes"]
    );
}

#[test]
fn limits_of_local_data() {
    let table = |name: usize, value: &str| {
        format!("[[local.record]]\nname = \"{name}.lan\"\ntype = \"TXT\"\nvalue = {value}\n")
    };
    let tables = |count: usize| (0..count).map(|i| table(i, "\"\"")).collect::<String>() + ROUTE;
    assert!(read(&tables(MAX_LOCAL_RECORDS)).is_ok());
    assert_eq!(
        shown(&read(&tables(MAX_LOCAL_RECORDS + 1)).unwrap_err().list),
        ["1:1 local.record: 10001 entries are too many; at most 10000"]
    );

    let values = |count: usize, len: usize| {
        let list: String = (0..count).map(|i| format!("\"{i:0>len$}\",")).collect();
        table(0, &format!("[{list}]")) + ROUTE
    };
    assert!(read(&values(MAX_LOCAL_VALUES, 3)).is_ok());
    assert_eq!(
        shown(&read(&values(MAX_LOCAL_VALUES + 1, 3)).unwrap_err().list),
        ["4:9 local.record[0].value: 257 entries are too many; at most 256"]
    );
    // Each takes 13 bytes beside its text.
    assert!(read(&values(64, 16_384 / 64 - 13)).is_ok());
    assert_eq!(
        shown(&read(&values(64, 16_384 / 64 - 12)).unwrap_err().list),
        ["4:9 local.record[0].value: the values take 16448 bytes of an answer; at most 16384"]
    );

    let rewrites = |count: usize| {
        let table = |i: usize| format!("[[local.rewrite]]\nfrom = \"{i}.a\"\nto = \"b\"\n");
        (0..count).map(table).collect::<String>() + ROUTE
    };
    assert!(read(&rewrites(MAX_REWRITES)).is_ok());
    assert_eq!(
        shown(&read(&rewrites(MAX_REWRITES + 1)).unwrap_err().list),
        ["1:1 local.rewrite: 10001 entries are too many; at most 10000"]
    );
}
