//! What is wrong with a configuration file, and where: collecting it, and showing it to a person.

use std::fmt;
use std::path::Path;

/// How many errors, and how many warnings, are kept of one file.
pub const MAX_ERRORS: usize = 1000;

/// One thing to tell the author of a configuration file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnostic {
    /// The file's path.
    pub file: String,
    /// From 1; 0 where it is about the file as a whole.
    pub line: usize,
    /// In characters, from 1; 0 where it is about the file as a whole.
    pub column: usize,
    /// Dotted, like `route[1].upstreams[0]`; empty where it is about no key.
    pub key: String,
    /// What is wrong.
    pub what: String,
    /// What would be right.
    pub hint: String,
}

impl fmt::Display for Diagnostic {
    /// `FILE:LINE:COL: KEY: what; hint`, without the parts that are absent.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.file)?;
        if self.line > 0 {
            write!(f, ":{}:{}", self.line, self.column)?;
        }
        if !self.key.is_empty() {
            write!(f, ": {}", self.key)?;
        }
        write!(f, ": {}", self.what)?;
        if self.hint.is_empty() { Ok(()) } else { write!(f, "; {}", self.hint) }
    }
}

/// Everything that is wrong with a configuration file, in the file's order; never empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Errors {
    /// The first [`MAX_ERRORS`] that were found.
    pub list: Vec<Diagnostic>,
    /// How many more there were.
    pub more: usize,
}

impl Errors {
    pub(super) fn of_file(path: &Path, what: &str, hint: &str) -> Errors {
        let only = Diagnostic {
            file: one_line(&path.to_string_lossy()),
            line: 0,
            column: 0,
            key: String::new(),
            what: what.into(),
            hint: hint.into(),
        };
        Errors { list: vec![only], more: 0 }
    }
}

impl fmt::Display for Errors {
    /// One error a line, then how many there are.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for error in &self.list {
            writeln!(f, "{error}")?;
        }
        match self.list.len() + self.more {
            1 => write!(f, "1 error"),
            all if self.more > 0 => {
                write!(f, "{all} errors, the first {} are shown", self.list.len())
            }
            all => write!(f, "{all} errors"),
        }
    }
}

impl std::error::Error for Errors {}

/// Collects what is found while a text is walked. Places are byte offsets in the text.
pub(super) struct Report<'t> {
    text: &'t str,
    file: String,
    line_starts: Vec<usize>,
    errors: Vec<(usize, Diagnostic)>,
    more: usize,
    warnings: Vec<(usize, Diagnostic)>,
}

impl<'t> Report<'t> {
    pub(super) fn new(text: &'t str, path: &Path) -> Report<'t> {
        let breaks = text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n');
        Report {
            text,
            file: one_line(&path.to_string_lossy()),
            line_starts: std::iter::once(0).chain(breaks.map(|(at, _)| at + 1)).collect(),
            errors: Vec::new(),
            more: 0,
            warnings: Vec::new(),
        }
    }

    pub(super) fn error(&mut self, at: usize, key: &str, what: &str, hint: &str) {
        if self.errors.len() < MAX_ERRORS {
            let error = self.diagnostic(at, key, what, hint);
            self.errors.push((at, error));
        } else {
            self.more += 1;
        }
    }

    pub(super) fn warning(&mut self, at: usize, key: &str, what: &str, hint: &str) {
        if self.warnings.len() < MAX_ERRORS {
            let warning = self.diagnostic(at, key, what, hint);
            self.warnings.push((at, warning));
        }
    }

    /// The line, from 1, that the byte at `at` is in.
    pub(super) fn line(&self, at: usize) -> usize {
        self.line_starts.partition_point(|start| *start <= at)
    }

    /// The warnings in the file's order, or the errors if there is any.
    pub(super) fn finish(mut self) -> Result<Vec<Diagnostic>, Errors> {
        if !self.errors.is_empty() {
            return Err(self.into_errors());
        }
        self.warnings.sort_by_key(|(at, _)| *at);
        Ok(self.warnings.into_iter().map(|(_, warning)| warning).collect())
    }

    pub(super) fn into_errors(mut self) -> Errors {
        self.errors.sort_by_key(|(at, _)| *at);
        let list = self.errors.into_iter().map(|(_, error)| error).collect();
        Errors { list, more: self.more }
    }

    fn diagnostic(&self, at: usize, key: &str, what: &str, hint: &str) -> Diagnostic {
        let line = self.line(at);
        let start = self.line_starts.get(line.saturating_sub(1)).copied().unwrap_or(0);
        let before = self.text.get(start..at).unwrap_or_default();
        // A byte order mark takes no column in an editor.
        let column = before.chars().filter(|c| *c != '\u{feff}').count() + 1;
        Diagnostic {
            file: self.file.clone(),
            line,
            column,
            key: key.into(),
            what: what.into(),
            hint: hint.into(),
        }
    }
}

/// A text of the file for a message: in quotes, control characters escaped, not too long.
pub(super) fn quoted(text: &str) -> String {
    const MOST: usize = 60;
    match text.char_indices().nth(MOST) {
        None => format!("{text:?}"),
        Some((end, _)) => format!("{:?}...", text.get(..end).unwrap_or_default()),
    }
}

/// `text` without the control characters that would break or recolour the line it is shown in.
pub(super) fn one_line(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { char::REPLACEMENT_CHARACTER } else { c }).collect()
}
