//! `[local]`: its own keys; records and rewritings have files of their own.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::diagnostic::{Report, quoted};
use super::item::Item;
use super::reader::{Section, keep};
use crate::config::{Local, PrivateReverse, SingleLabel};
use crate::wire::name::{Labels, Name, NameError};

mod record;
mod rewrite;
mod value;

const DAY: Duration = Duration::from_secs(86_400);
/// The longest path that the system takes, without its closing zero.
const MAX_PATH: usize = 4095;

pub(super) fn read(root: &Section<'_, '_>, report: &mut Report<'_>) -> Local {
    let table = root.section("local", report);
    let mut local = Local::default();
    let words = [("nodata", SingleLabel::NoData), ("forward", SingleLabel::Forward)];
    table.choice("single_label", &words, &mut local.single_label, report);
    let words = [("forward", PrivateReverse::Forward), ("nxdomain", PrivateReverse::NxDomain)];
    table.choice("private_reverse", &words, &mut local.private_reverse, report);
    keep(&mut local.hosts, table.item("hosts").map(|item| hosts(&item, report)));
    table.duration("hosts_ttl", Duration::ZERO..=DAY, &mut local.hosts_ttl, report);
    local.records = record::read(&table, report);
    local.rewrites = rewrite::read(&table, &local.records, report);
    local
}

fn hosts(item: &Item<'_, '_>, report: &mut Report<'_>) -> Option<PathBuf> {
    let text = item.text(report, "a path in quotes, or \"\" for none")?;
    if text.is_empty() {
        return None;
    }
    let what = if !Path::new(text).is_absolute() {
        format!("{} is a relative path", quoted(text))
    } else if text.len() > MAX_PATH || text.contains('\0') {
        format!("{} is no path of a file", quoted(text))
    } else {
        return Some(PathBuf::from(text));
    };
    item.error(report, &what, "write an absolute path, like \"/etc/horizond/hosts\"");
    None
}

/// A domain name; what a text has instead, and what would be right, if it is none.
fn name(text: &str) -> Result<Name, (String, &'static str)> {
    let said = |what: &str| format!("{} {what}", quoted(text));
    match text.parse::<Name>() {
        Ok(_) if !text.bytes().all(|byte| byte.is_ascii_graphic()) => Err((
            said("has characters that are not printable ASCII"),
            "write other alphabets in their xn-- form, and odd bytes as \\DDD",
        )),
        Ok(name) => Ok(name),
        Err(error) => {
            let hint = match error {
                NameError::EmptyLabel => "write one dot between labels and none in front",
                NameError::Empty => "write a name, like \"printer.lan\"",
                NameError::Escape => "write \\DDD with three digits up to 255",
                NameError::LongLabel | NameError::LongName => "write a name that DNS can carry",
            };
            Err((said(&error.to_string()), hint))
        }
    }
}

/// Whether one of the labels is an asterisk.
fn has_asterisk(name: &Name) -> bool {
    Labels(name.as_wire()).any(|label| label == b"*")
}

/// The tables of `[[local.NAME]]`.
fn tables<'a, 'i>(
    local: &Section<'a, 'i>,
    key: &str,
    most: usize,
    report: &mut Report<'_>,
) -> Vec<Section<'a, 'i>> {
    let kind = format!("local.{key}");
    match local.item(key) {
        Some(item) if item.value.is_table() => {
            let hint = format!("write [[{kind}]], in two brackets");
            item.error(report, "this is a single table", &hint);
            Vec::new()
        }
        _ => {
            let items = local.list(key, &format!("tables, [[{kind}]]"), most, report);
            let items = items.unwrap_or_default();
            items.iter().filter_map(|item| item.table(&kind, report)).collect()
        }
    }
}
