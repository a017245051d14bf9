//! The configuration file: from TOML text to [`Config`], or to everything that is wrong with it.
//!
//! The text is parsed into a tree that knows where each value stands, and the tree is walked by
//! hand, table by table, so that one run shows every mistake and not only the first. Nothing is
//! bound, sent or looked up, and no file but the configuration itself is opened. No input makes
//! this panic.

mod checks;
mod diagnostic;
mod item;
mod keys;
mod listen;
mod local;
mod node;
mod reader;
mod route;
mod tables;
#[cfg(test)]
mod tests;

use std::fs;
use std::io::Read;
use std::path::Path;

use toml::de::DeTable;

use super::Config;
pub use diagnostic::{Diagnostic, Errors, MAX_ERRORS};
use diagnostic::{Report, one_line};
pub use keys::KEYS;
use reader::Section;

/// The largest configuration file, in bytes.
pub const MAX_FILE: usize = 4 << 20;

/// Up to here every syntax error is looked for; in a larger file the first has to do, because what
/// is found behind it may fill the memory.
const MAX_RECOVERABLE: usize = 256 << 10;

/// A configuration, and what its author should know about it.
#[derive(Debug, Clone, PartialEq)]
pub struct Loaded {
    /// What the file says, with defaults filled in.
    pub config: Config,
    /// What is accepted but probably not meant, or not done by this version; in the file's order.
    pub warnings: Vec<Diagnostic>,
}

/// Reads and checks a configuration file.
///
/// # Errors
/// All that is wrong with the file's contents; or one error without line and column where it cannot
/// be read, is no regular file, or is larger than [`MAX_FILE`].
pub fn load(path: &Path) -> Result<Loaded, Errors> {
    let bytes = read(path)?;
    match std::str::from_utf8(&bytes) {
        Ok(text) => parse(text, path),
        Err(error) => {
            let good = bytes.get(..error.valid_up_to()).unwrap_or_default();
            let good = std::str::from_utf8(good).unwrap_or_default();
            let mut report = Report::new(good, path);
            report.error(good.len(), "", "the text is not UTF-8 from here on", "save it as UTF-8");
            Err(report.into_errors())
        }
    }
}

/// Checks the text of a configuration file. `path` is for the messages only.
///
/// # Errors
/// All that is wrong with the text, in its order; at most [`MAX_ERRORS`] are kept, the rest is
/// counted.
pub fn parse(text: &str, path: &Path) -> Result<Loaded, Errors> {
    if text.len() > MAX_FILE {
        return Err(too_large(path));
    }
    let mut report = Report::new(text, path);
    let Some(tree) = syntax(text, &mut report) else { return Err(report.into_errors()) };
    let mut config = walk(tree.get_ref(), &mut report);
    config.hash = Config::hash_of(text.as_bytes());
    report.finish().map(|warnings| Loaded { config, warnings })
}

/// The configuration as far as it can be read; what cannot be is in the report and has its default.
fn walk(tree: &DeTable<'_>, report: &mut Report<'_>) -> Config {
    let root = Section::root(tree, report);
    let mut listen = listen::read(&root, report);
    let node = node::read(&root, &listen.addresses, report);
    listen.addresses = node.listening(&listen.addresses);
    let cache = tables::cache(&root, report);
    let routes = route::read(&root, cache.stale, report);
    let admit = tables::admit(&root, &node.asks_itself(&listen.addresses), report);
    let local = local::read(&root, report);
    let pods = tables::pods(&root, report);
    let (admin, admin_at) = tables::admin(&root, report);
    let log = tables::log(&root, report);
    checks::run(&listen, &routes, &admin, admin_at, report);
    Config {
        listen,
        node,
        routes: routes.into_iter().map(|read| read.route).collect(),
        cache,
        admit,
        local,
        pods,
        admin,
        log,
        hash: 0,
    }
}

fn syntax<'i>(text: &'i str, report: &mut Report<'_>) -> Option<toml::Spanned<DeTable<'i>>> {
    let first = match DeTable::parse(text) {
        Ok(tree) => return Some(tree),
        Err(first) => first,
    };
    let mut errors = match text.len() <= MAX_RECOVERABLE {
        true => DeTable::parse_recoverable(text).1,
        false => vec![first],
    };
    let start = |error: &toml::de::Error| error.span().map_or(text.len(), |span| span.start);
    errors.sort_by_key(start);
    // The parser stumbles on behind an error; of one line only the first complaint is of use.
    errors.dedup_by_key(|error| report.line(start(error)));
    for error in &errors {
        let what = format!("this is not TOML: {}", one_line(error.message()));
        report.error(start(error), "", &what, "see https://toml.io for the form");
    }
    None
}

fn read(path: &Path) -> Result<Vec<u8>, Errors> {
    let unreadable = |error: std::io::Error| {
        let hint = match error.kind() {
            std::io::ErrorKind::NotFound => "name another with --config",
            std::io::ErrorKind::PermissionDenied => "let this user read it",
            _ => "check the path and the disk",
        };
        Errors::of_file(path, &format!("the file cannot be read: {error}"), hint)
    };
    // Asked before it is opened: opening a FIFO waits for a writer without end.
    let kind = fs::metadata(path).map_err(unreadable)?.file_type();
    if kind.is_dir() {
        return Err(Errors::of_file(path, "this is a directory", "name the file in it"));
    }
    if !kind.is_file() {
        return Err(Errors::of_file(path, "this is not a regular file", "name a file"));
    }
    let mut bytes = Vec::new();
    let limit = MAX_FILE as u64 + 1;
    fs::File::open(path)
        .and_then(|file| file.take(limit).read_to_end(&mut bytes))
        .map_err(unreadable)?;
    if bytes.len() > MAX_FILE { Err(too_large(path)) } else { Ok(bytes) }
}

fn too_large(path: &Path) -> Errors {
    Errors::of_file(path, "the file is larger than 4MiB", "a configuration has to be smaller")
}
