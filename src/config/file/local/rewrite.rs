//! `[[local.rewrite]]`.

use std::collections::HashMap;

use super::super::diagnostic::{Report, quoted};
use super::super::reader::Section;
use super::{has_asterisk, name, tables};
use crate::config::local::is_fixed;
use crate::config::{LocalRecord, MAX_REWRITES, Rewrite, RewriteKind};
use crate::wire::name::{Labels, Name};

/// A rewriting and where it stands.
struct Read {
    rewrite: Rewrite,
    at: usize,
    key: String,
}

pub(super) fn read(
    local: &Section<'_, '_>,
    records: &[LocalRecord],
    report: &mut Report<'_>,
) -> Vec<Rewrite> {
    let mut rewrites = Vec::new();
    for table in tables(local, "rewrite", MAX_REWRITES, report) {
        let mut kind = RewriteKind::default();
        let words = [("exact", RewriteKind::Exact), ("suffix", RewriteKind::Suffix)];
        table.choice("match", &words, &mut kind, report);
        let from = one(&table, "from", "the name that clients ask for", report);
        let to = one(&table, "to", "the name to ask for instead", report);
        let (Some(from), Some(to)) = (from, to) else { continue };
        let at = table.item("from").map_or(table.at, |item| item.at);
        rewrites.push(Read { rewrite: Rewrite { kind, from, to }, at, key: table.key() });
    }
    let by_from = twice(&rewrites, report);
    circles(&rewrites, &by_from, report);
    hidden(&rewrites, &by_from, records, report);
    rewrites.into_iter().map(|read| read.rewrite).collect()
}

fn one(table: &Section<'_, '_>, key: &str, what: &str, report: &mut Report<'_>) -> Option<Name> {
    let Some(item) = table.item(key) else {
        table.missing(key, &format!("write {what}"), report);
        return None;
    };
    let text = item.text(report, "a domain name in quotes, like \"corp.example\"")?;
    let (what, hint) = match name(text) {
        Err((what, hint)) => (what, hint),
        Ok(name) if name.is_root() => ("the root cannot be rewritten".into(), "write a name"),
        Ok(name) if has_asterisk(&name) => (
            format!("{} has a wildcard", quoted(text)),
            "leave \"*.\" away, and write match = \"suffix\" for all names below",
        ),
        Ok(name) if is_fixed(name.as_wire()) => (
            format!("{} is answered by rule (RFC 6761, RFC 7686)", quoted(text)),
            "write another name",
        ),
        Ok(name) => return Some(name),
    };
    item.error(report, &what, hint);
    None
}

type ByFrom<'r> = HashMap<(RewriteKind, &'r [u8]), usize>;

/// The rewritings by what they are about; a second one about the same is an error.
fn twice<'r>(rewrites: &'r [Read], report: &mut Report<'_>) -> ByFrom<'r> {
    let mut by_from = ByFrom::new();
    for (index, Read { rewrite, at, key }) in rewrites.iter().enumerate() {
        let about = (rewrite.kind, rewrite.from.as_wire());
        if let Some(first) = by_from.get(&about) {
            let line = rewrites.get(*first).map_or(0, |first| report.line(first.at));
            let name = quoted(&rewrite.from.to_string());
            let what = format!("{name} is rewritten already, by line {line}");
            report.error(*at, &format!("{key}.from"), &what, "remove one of them");
        } else {
            by_from.insert(about, index);
        }
    }
    by_from
}

/// A name is rewritten once. A chain that would lead back to its own beginning is a mistake; one
/// that comes to an end is probably not what was meant.
fn circles(rewrites: &[Read], by_from: &ByFrom<'_>, report: &mut Report<'_>) {
    let next: Vec<Option<usize>> =
        rewrites.iter().map(|read| find(read.rewrite.to.as_wire(), by_from)).collect();
    let line = |index: usize, report: &Report<'_>| {
        rewrites.get(index).map_or(0, |read| report.line(read.at))
    };
    for (index, Read { rewrite, at, key }) in rewrites.iter().enumerate() {
        let Some(second) = next[index] else { continue };
        let name = quoted(&rewrite.to.to_string());
        let mut here = Some(second);
        let mut left = rewrites.len();
        while let Some(at) = here.filter(|at| *at != index && left > 0) {
            here = next[at];
            left -= 1;
        }
        if here == Some(index) {
            let what = match second == index {
                true => format!("{name} is one of the names that this rewrites: a circle"),
                false => format!(
                    "{name} is rewritten by line {}, and so on back to here: a circle",
                    line(second, report)
                ),
            };
            let hint = "let it lead to a name that no rewriting is about";
            report.error(*at, key, &what, hint);
        } else {
            let what = format!(
                "{name} is not rewritten again by line {}: a query is rewritten once",
                line(second, report)
            );
            report.warning(*at, key, &what, "write the name that shall be asked for in the end");
        }
    }
}

/// Names are rewritten before records are looked for: those of such a name are never found.
fn hidden(
    rewrites: &[Read],
    by_from: &ByFrom<'_>,
    records: &[LocalRecord],
    report: &mut Report<'_>,
) {
    let mut told = vec![false; rewrites.len()];
    for record in records {
        let Some(index) = find(record.name.as_wire(), by_from) else { continue };
        let (Some(Read { at, key, .. }), Some(told)) = (rewrites.get(index), told.get_mut(index))
        else {
            continue;
        };
        if !std::mem::replace(told, true) {
            let name = quoted(&record.name.to_string());
            let what = format!("{name} has records, which are not found: this comes before them");
            report.warning(
                *at,
                key,
                &what,
                "give the records to the name that is asked for instead",
            );
        }
    }
}

/// The rewriting of a name: that of the name itself, else that of its longest suffix.
fn find(name: &[u8], by_from: &ByFrom<'_>) -> Option<usize> {
    if let Some(exact) = by_from.get(&(RewriteKind::Exact, name)) {
        return Some(*exact);
    }
    let mut rest = name;
    for label in Labels(name) {
        if let Some(suffix) = by_from.get(&(RewriteKind::Suffix, rest)) {
            return Some(*suffix);
        }
        rest = rest.get(1 + label.len()..)?;
    }
    None
}
