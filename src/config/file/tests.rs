#![allow(clippy::unwrap_used)]
//! What bad files are told, and what good ones come to.

use std::path::Path;

use super::*;

mod documents;
mod files;
mod fuzzed;
mod values;
mod wrong;

/// A route that nothing is wrong with.
const ROUTE: &str =
    "[[route]]\nname = \"internet\"\nsuffixes = [\".\"]\nupstreams = [\"10.0.0.1\"]\n";

fn read(text: &str) -> Result<Loaded, Errors> {
    parse(text, Path::new("horizond.toml"))
}

fn config(text: &str) -> Config {
    read(text).unwrap_or_else(|errors| panic!("{errors}\nin\n{text}")).config
}

/// `LINE:COLUMN KEY: what; hint` of each.
fn shown(list: &[Diagnostic]) -> Vec<String> {
    let line = |d: &Diagnostic| {
        assert_eq!(d.file, "horizond.toml");
        format!("{}:{} {}: {}; {}", d.line, d.column, d.key, d.what, d.hint)
    };
    list.iter().map(line).collect()
}
