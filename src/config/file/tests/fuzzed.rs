//! No text makes the reader panic, and every error names a place that exists.

use proptest::prelude::*;

use super::*;

const REFERENCE: &str = include_str!("../../../../config/horizond.toml");
const DESIGNED: &str = include_str!("designed.toml");

fn judge(text: &str) {
    let lines = text.split('\n').count();
    match read(text) {
        Ok(loaded) => assert!(!loaded.config.routes.is_empty()),
        Err(errors) => {
            assert!(!errors.list.is_empty());
            for error in &errors.list {
                assert!((1..=lines).contains(&error.line), "{error}");
                let line = text.split('\n').nth(error.line - 1).unwrap();
                assert!((1..=line.chars().count() + 1).contains(&error.column), "{error}");
                assert!(!error.what.is_empty() && !error.hint.is_empty(), "{error}");
                assert_eq!(error.to_string().lines().count(), 1, "{error}");
            }
        }
    }
}

/// Pieces that configurations are made of, so that what is put together often gets past the syntax.
fn piece() -> impl Strategy<Value = String> {
    let words = [
        "[listen]\n",
        "[[route]]\n",
        "[route]\n",
        "[cache]\n",
        "[admit]\n",
        "[listen.tcp]\n",
        "[[local.record]]\n",
        "[[local.rewrite]]\n",
        "type = \"A\"\n",
        "type = \"CNAME\"\n",
        "type = \"SRV\"\n",
        "value = ",
        "ptr = ",
        "from = ",
        "to = ",
        "match = \"suffix\"\n",
        "name = ",
        "suffixes = ",
        "reverse = ",
        "upstreams = ",
        "addresses = ",
        "shards = ",
        "timeout = ",
        "deadline = ",
        "memory = ",
        "stale = ",
        "allow = ",
        "private = ",
        "\"a\"\n",
        "\".\"\n",
        "[\".\"]\n",
        "[\"10.0.0.0/8\"]\n",
        "[\"10.0.0.1\", \"::1\"]\n",
        "[1, [2], {a = 3}]\n",
        "\"5s\"\n",
        "\"1d\"\n",
        "\"64MiB\"\n",
        "true\n",
        "-1\n",
        "1e400\n",
        "0xffffffffffffffffffffffffffffffffffffffff\n",
        "1979-05-27\n",
        "{}\n",
        "[]\n",
        "\"\"\n",
        "\"\\u0000\\u001b[31m\"\n",
        "\"é%:/\"\n",
    ];
    prop_oneof![
        8 => proptest::sample::select(words.to_vec()).prop_map(str::to_owned),
        1 => ".{0,8}",
    ]
}

proptest! {
    #[test]
    fn any_text(text in "(?s).{0,200}") {
        judge(&text);
    }

    #[test]
    fn any_pieces(pieces in proptest::collection::vec(piece(), 0..40)) {
        judge(&pieces.concat());
    }

    #[test]
    fn mutated(
        reference in any::<bool>(),
        edits in proptest::collection::vec((any::<prop::sample::Index>(), 0usize..12, piece()), 1..6),
    ) {
        let mut text: Vec<char> = if reference { REFERENCE } else { DESIGNED }.chars().collect();
        for (at, removed, inserted) in edits {
            let at = at.index(text.len() + 1);
            let end = (at + removed).min(text.len());
            text.splice(at..end, inserted.chars());
        }
        judge(&text.iter().collect::<String>());
    }

    #[test]
    fn values_exchanged(
        lines in proptest::collection::vec((any::<prop::sample::Index>(), piece()), 1..8),
    ) {
        let mut text: Vec<String> = DESIGNED.lines().map(str::to_owned).collect();
        for (line, value) in lines {
            let line = line.get_mut(&mut text);
            if let Some((key, _)) = line.split_once('=') {
                *line = format!("{key}= {}", value.trim_end());
            }
        }
        judge(&text.join("\n"));
    }
}

#[test]
fn deep_and_wide_texts() {
    for text in [
        format!("{}a = 1", "a.".repeat(200_000)),
        format!("[{}a]", "a.".repeat(200_000)),
        format!("a = {}", "[".repeat(200_000)),
        format!("a = {}", "{a = ".repeat(200_000)),
        "=\n".repeat(200_000),
        "\n".repeat(200_000),
        format!("a = \"{}\"", "é".repeat(200_000)),
        format!("[listen]\nwaiting = {}", "9".repeat(200_000)),
        format!("{} = 1", "a".repeat(200_000)),
    ] {
        judge(&text);
    }
}
