//! Scripts: scenarios of one statement a line, by indentation.
//!
//! ```text
//! config NAME                    TOML, indented, that scenarios may use; $word is an upstream
//! scenario WHAT IS PROMISED
//!   given NAME                   the configuration, unless it is the standard one
//!   client asks NAME TYPE ...    statements; what they know is told by play.rs
//!   coredns answers ...
//!     NAME TTL TYPE DATA         records of the statement above; "authority: " in front if not
//!                                answers; "40x " in front writes 40, "#" being the number
//! ```

use std::collections::BTreeMap;

use crate::message::{Record, SECTIONS};
use crate::text;

/// One statement.
#[derive(Debug, Clone)]
pub struct Step {
    pub line: usize,
    pub words: Vec<String>,
    pub records: Vec<Record>,
}

/// One scenario.
#[derive(Debug, Clone)]
pub struct Scenario {
    pub line: usize,
    pub name: String,
    pub steps: Vec<Step>,
}

/// A script file.
#[derive(Debug, Default)]
pub struct Script {
    pub configs: BTreeMap<String, String>,
    pub scenarios: Vec<Scenario>,
}

/// Reads a script; errors begin with `FILE:LINE: `.
pub fn parse(file: &str, text: &str) -> Result<Script, String> {
    let mut script = Script::default();
    let mut config: Option<String> = None;
    for (index, full) in text.lines().enumerate() {
        let line = index + 1;
        let fail = |what: String| format!("{file}:{line}: {what}");
        let content = full.trim_start();
        let indent = full.len() - content.len();
        if content.is_empty() || content.starts_with('#') {
            continue;
        }
        match (indent, &config) {
            (0, _) => {
                let (kind, name) = content.split_once(' ').unwrap_or((content, ""));
                let name = name.trim().to_owned();
                config = None;
                match kind {
                    "config" => {
                        script.configs.insert(name.clone(), String::new());
                        config = Some(name);
                    }
                    "scenario" if !name.is_empty() => {
                        script.scenarios.push(Scenario { line, name, steps: Vec::new() });
                    }
                    _ => {
                        return Err(fail(format!("\"{kind}\" begins neither config nor scenario")));
                    }
                }
            }
            (_, Some(name)) => {
                let toml = script.configs.entry(name.clone()).or_default();
                toml.push_str(content);
                toml.push('\n');
            }
            (2, None) => {
                let steps = script.scenarios.last_mut().map(|scenario| &mut scenario.steps);
                let steps = steps.ok_or_else(|| fail("a statement outside a scenario".into()))?;
                let words = words(content).map_err(fail)?;
                steps.push(Step { line, words, records: Vec::new() });
            }
            (4, None) => {
                let step = script.scenarios.last_mut().and_then(|s| s.steps.last_mut());
                let step = step.ok_or_else(|| fail("a record without a statement".into()))?;
                records(content, &mut step.records).map_err(fail)?;
            }
            _ => return Err(fail(format!("indented by {indent}: statements 2, records 4"))),
        }
    }
    Ok(script)
}

/// Words; those with blanks stand in quotes, also behind an equals sign.
fn words(line: &str) -> Result<Vec<String>, String> {
    let mut words = vec![String::new()];
    let mut quoted = false;
    for c in line.chars() {
        match c {
            '"' => quoted = !quoted,
            ' ' if !quoted => words.push(String::new()),
            _ => words.last_mut().ok_or("no word")?.push(c),
        }
    }
    if quoted {
        return Err("a quote is not closed".into());
    }
    words.retain(|word| !word.is_empty());
    Ok(words)
}

fn records(line: &str, out: &mut Vec<Record>) -> Result<(), String> {
    let (section, line) = match line.split_once(": ") {
        Some((name, rest)) => {
            let section = SECTIONS.iter().position(|section| *section == name);
            (section.ok_or_else(|| format!("{name} is no section"))?, rest)
        }
        None => (0, line),
    };
    let (times, line) = match line.split_once("x ") {
        Some((times, rest)) if times.bytes().all(|b| b.is_ascii_digit()) => {
            (times.parse().map_err(|_| "too many times")?, rest)
        }
        _ => (1, line),
    };
    for number in 1..=times {
        let line = text::normal(&line.replace('#', &number.to_string()))?;
        out.push(Record { section, line });
    }
    Ok(())
}

/// The words behind a statement's verb: those that are flags, and those with a value.
#[derive(Clone)]
pub struct Options(Vec<String>);

impl Options {
    pub fn new(words: &[String]) -> Options {
        Options(words.to_vec())
    }

    /// Whether a flag stands there; takes it away.
    pub fn flag(&mut self, name: &str) -> bool {
        let at = self.0.iter().position(|word| word == name);
        at.map(|at| self.0.remove(at)).is_some()
    }

    /// The value of `name=value`; takes it away.
    pub fn value(&mut self, name: &str) -> Option<String> {
        let is = |word: &str| word.strip_prefix(name)?.strip_prefix('=').map(str::to_owned);
        let at = self.0.iter().position(|word| is(word).is_some())?;
        is(&self.0.remove(at))
    }

    /// The value of `name=value` as a number.
    pub fn number<T: std::str::FromStr>(&mut self, name: &str) -> Result<Option<T>, String> {
        let Some(value) = self.value(name) else { return Ok(None) };
        value.parse().map(Some).map_err(|_| format!("{name}={value} is not a number here"))
    }

    /// The next word without a name.
    pub fn next(&mut self) -> Option<String> {
        (!self.0.is_empty()).then(|| self.0.remove(0))
    }

    /// That nothing is left.
    pub fn done(self) -> Result<(), String> {
        match self.0.first() {
            None => Ok(()),
            Some(word) => Err(format!("\"{word}\" means nothing here")),
        }
    }
}
