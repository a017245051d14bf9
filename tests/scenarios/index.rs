//! The index in README.md: which test keeps which promise. What it names must be there, word for word.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use crate::script;

const HERE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/scenarios");
/// So many scenarios there are at the least.
const LEAST: usize = 60;

/// A clause, and the file and name of each of its tests.
type Row<'a> = (&'a str, Vec<(&'a str, &'a str)>);

/// The rows of the tables behind the heading "Clauses".
fn rows(text: &str) -> Vec<Row<'_>> {
    let (_, tables) = text.split_once("\n## Clauses\n").expect("a part called Clauses");
    let lines = tables.lines().filter(|line| line.starts_with("| "));
    lines
        .filter(|line| !line.starts_with("| clause") && !line.starts_with("| ---"))
        .map(row)
        .collect()
}

fn row(line: &str) -> Row<'_> {
    let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
    let [clause, tests] = cells[..] else { panic!("not two cells: {line}") };
    (clause, tests.split("<br>").map(test).collect())
}

fn test(cell: &str) -> (&str, &str) {
    let parts = cell.strip_prefix('`').and_then(|test| test.split_once("` "));
    parts.unwrap_or_else(|| panic!("not `FILE` NAME: {cell}"))
}

/// Scripts by their file names, with the names of their scenarios.
fn scenarios() -> BTreeMap<String, Vec<String>> {
    let files = fs::read_dir(HERE).unwrap().map(|entry| entry.unwrap().path());
    let scripts = files.filter(|path| path.extension().is_some_and(|end| end == "rpl"));
    let names = |path: PathBuf| {
        let file = path.file_name().unwrap().to_str().unwrap().to_owned();
        let script = script::parse(&file, &fs::read_to_string(path).unwrap()).unwrap();
        (file, script.scenarios.into_iter().map(|scenario| scenario.name).collect())
    };
    scripts.map(names).collect()
}

/// Whether a file that is no script has a test of this name.
fn has_test(file: &str, name: &str) -> bool {
    let path = Path::new(HERE).join(file);
    let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{file}: {error}"));
    match file.ends_with(".rs") {
        true => {
            text.contains(&format!("#[test]\nfn {name}()"))
                || text.contains(&format!("    #[test]\n    fn {name}()"))
        }
        false => text.lines().any(|line| line.strip_prefix("=== ") == Some(name)),
    }
}

#[test]
fn every_clause_has_tests_that_exist() {
    let text = fs::read_to_string(Path::new(HERE).join("README.md")).unwrap();
    let (rows, scenarios) = (rows(&text), scenarios());
    assert!(rows.len() > LEAST, "{} clauses", rows.len());
    let mut missing = Vec::new();
    for (clause, tests) in &rows {
        for (file, name) in tests {
            let known = match scenarios.get(*file) {
                Some(names) => names.iter().any(|known| known == name),
                None => has_test(file, name),
            };
            if !known {
                missing.push(format!("{clause}: {file} has no \"{name}\""));
            }
        }
    }
    let named = |file: &String| rows.iter().any(|(_, tests)| tests.iter().any(|(f, _)| f == file));
    missing.extend(scenarios.keys().filter(|file| !named(file)).map(|f| format!("nothing of {f}")));
    assert!(missing.is_empty(), "README.md:\n{}", missing.join("\n"));
}

#[test]
fn there_are_many_scenarios_and_each_has_a_name_of_its_own() {
    let scenarios = scenarios();
    let count: usize = scenarios.values().map(Vec::len).sum();
    assert!(count >= LEAST, "{count} scenarios");
    for (file, names) in scenarios {
        for (at, name) in names.iter().enumerate() {
            assert!(!names[..at].contains(name), "{file} has \"{name}\" twice");
        }
    }
}
