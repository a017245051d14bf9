//! Tables of the parsed text, read one key at a time.
//!
//! A reader returns the value if it is there and right. Anything else is in the [`Report`] by then,
//! so a caller only has to fall back on its default.

use std::ops::RangeInclusive;
use std::time::Duration;

use toml::de::{DeTable, DeValue};

use super::diagnostic::{Report, quoted};
use super::item::Item;
use super::keys;

/// A table: of the file, or one that is absent and so empty.
pub(super) struct Section<'a, 'i> {
    table: Option<&'a DeTable<'i>>,
    path: String,
    /// Where it begins.
    pub(super) at: usize,
}

impl<'a, 'i> Section<'a, 'i> {
    pub(super) fn root(tree: &'a DeTable<'i>, report: &mut Report<'_>) -> Section<'a, 'i> {
        Section::known(tree, "", String::new(), 0, report)
    }

    /// The table under `name`, its keys checked.
    pub(super) fn section(&self, name: &str, report: &mut Report<'_>) -> Section<'a, 'i> {
        let path = self.path_of(name);
        match self.item(name).map(|item| (item.value, item)) {
            Some((DeValue::Table(table), item)) => {
                Section::known(table, &path, path.clone(), item.at, report)
            }
            Some((_, item)) => {
                item.wrong_type(report, &format!("a table, [{path}]"));
                Section { table: None, path, at: item.at }
            }
            None => Section { table: None, path, at: self.at },
        }
    }

    /// A table of the given kind (see [`keys::KEYS`]); what does not belong in it is reported.
    pub(super) fn known(
        table: &'a DeTable<'i>,
        kind: &str,
        path: String,
        at: usize,
        report: &mut Report<'_>,
    ) -> Section<'a, 'i> {
        let section = Section { table: Some(table), path, at };
        for (key, value) in table {
            let name = key.get_ref().as_ref();
            if !keys::of(kind).contains(&name) {
                let what = match value.get_ref() {
                    DeValue::Table(_) => "unknown table",
                    DeValue::Array(array) if array.iter().any(|v| v.get_ref().is_table()) => {
                        "unknown table"
                    }
                    _ => "unknown key",
                };
                let path = section.path_of(&shown_key(name));
                report.error(key.span().start, &path, what, &keys::suggest(kind, name));
            }
        }
        section
    }

    /// Its own name, dotted.
    pub(super) fn key(&self) -> String {
        self.path.clone()
    }

    /// Says that `key` has to be here.
    pub(super) fn missing(&self, key: &str, hint: &str, report: &mut Report<'_>) {
        report.error(self.at, &self.path_of(key), "this key is missing", hint);
    }

    fn path_of(&self, key: &str) -> String {
        if self.path.is_empty() { key.into() } else { format!("{}.{key}", self.path) }
    }

    pub(super) fn item(&self, key: &str) -> Option<Item<'a, 'i>> {
        let value = self.table?.get(key)?;
        Some(Item { value: value.get_ref(), key: self.path_of(key), at: value.span().start })
    }

    /// A whole number into `slot`.
    pub(super) fn count(
        &self,
        key: &str,
        range: RangeInclusive<usize>,
        slot: &mut usize,
        report: &mut Report<'_>,
    ) {
        keep(slot, self.item(key).and_then(|item| item.count(range, report)));
    }

    /// A duration into `slot`.
    pub(super) fn duration(
        &self,
        key: &str,
        range: RangeInclusive<Duration>,
        slot: &mut Duration,
        report: &mut Report<'_>,
    ) {
        keep(slot, self.item(key).and_then(|item| item.duration(range, report)));
    }

    /// `true` or `false` into `slot`.
    pub(super) fn boolean(&self, key: &str, slot: &mut bool, report: &mut Report<'_>) {
        keep(slot, self.item(key).and_then(|item| item.boolean(report)));
    }

    /// One of a few words into `slot`.
    pub(super) fn choice<T: Copy>(
        &self,
        key: &str,
        words: &[(&str, T)],
        slot: &mut T,
        report: &mut Report<'_>,
    ) {
        keep(slot, self.item(key).and_then(|item| item.choice(words, report)));
    }

    /// A list's items; `None` if it is absent or no list of at most `most`.
    pub(super) fn list(
        &self,
        key: &str,
        of: &str,
        most: usize,
        report: &mut Report<'_>,
    ) -> Option<Vec<Item<'a, 'i>>> {
        let item = self.item(key)?;
        let DeValue::Array(array) = item.value else {
            item.wrong_type(report, &format!("a list of {of}"));
            return None;
        };
        if array.len() > most {
            item.error(report, &format!("{} entries are too many", array.len()), &at_most(most));
            return None;
        }
        let items = array.iter().enumerate().map(|(index, value)| Item {
            value: value.get_ref(),
            key: format!("{}[{index}]", item.key),
            at: value.span().start,
        });
        Some(items.collect())
    }
}

pub(super) fn keep<T>(slot: &mut T, value: Option<T>) {
    if let Some(value) = value {
        *slot = value;
    }
}

fn at_most(most: usize) -> String {
    format!("at most {most}")
}

/// A key as it has to be written: bare where it can be.
fn shown_key(key: &str) -> String {
    let bare = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
    if !key.is_empty() && key.len() <= 60 && key.bytes().all(bare) {
        key.into()
    } else {
        quoted(key)
    }
}
