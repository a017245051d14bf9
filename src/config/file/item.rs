//! Values of the parsed text: their types, ranges and words.
//!
//! A reader returns the value if it is right; else it has said so in the [`Report`].

use std::ops::RangeInclusive;
use std::time::Duration;

use toml::de::DeValue;

use super::diagnostic::{Report, quoted};
use super::reader::Section;
use crate::config::units::{self, ShowDuration, ShowSize};

/// One value of the file.
pub(super) struct Item<'a, 'i> {
    pub(super) value: &'a DeValue<'i>,
    /// Dotted, from the top.
    pub(super) key: String,
    /// Where the value begins.
    pub(super) at: usize,
}

impl<'a, 'i> Item<'a, 'i> {
    pub(super) fn error(&self, report: &mut Report<'_>, what: &str, hint: &str) {
        report.error(self.at, &self.key, what, hint);
    }

    pub(super) fn warning(&self, report: &mut Report<'_>, what: &str, hint: &str) {
        report.warning(self.at, &self.key, what, hint);
    }

    pub(super) fn wrong_type(&self, report: &mut Report<'_>, expected: &str) {
        let found = match self.value {
            DeValue::String(_) => "a string",
            DeValue::Integer(_) => "an integer",
            DeValue::Float(_) => "a float",
            DeValue::Boolean(_) => "a boolean",
            DeValue::Datetime(_) => "a date",
            DeValue::Array(_) => "a list",
            DeValue::Table(_) => "a table",
        };
        self.error(report, &format!("this is {found}"), &format!("expected {expected}"));
    }

    /// The value as a table of the given kind (see [`keys::KEYS`]), its keys checked.
    pub(super) fn table(&self, kind: &str, report: &mut Report<'_>) -> Option<Section<'a, 'i>> {
        match self.value {
            DeValue::Table(table) => {
                Some(Section::known(table, kind, self.key.clone(), self.at, report))
            }
            _ => {
                self.wrong_type(report, &format!("a table, [[{kind}]]"));
                None
            }
        }
    }

    pub(super) fn text(&self, report: &mut Report<'_>, expected: &str) -> Option<&'a str> {
        let text = self.value.as_str();
        if text.is_none() {
            self.wrong_type(report, expected);
        }
        text
    }

    pub(super) fn boolean(&self, report: &mut Report<'_>) -> Option<bool> {
        let value = self.value.as_bool();
        if value.is_none() {
            self.wrong_type(report, "true or false");
        }
        value
    }

    pub(super) fn choice<T: Copy>(
        &self,
        words: &[(&str, T)],
        report: &mut Report<'_>,
    ) -> Option<T> {
        let listed = words.iter().map(|(word, _)| format!("{word:?}")).collect::<Vec<_>>();
        let listed = match listed.split_last() {
            Some((last, rest)) if !rest.is_empty() => format!("{} or {last}", rest.join(", ")),
            _ => listed.concat(),
        };
        let text = self.text(report, &listed)?;
        let found = words.iter().find(|(word, _)| *word == text).map(|(_, value)| *value);
        if found.is_none() {
            self.error(
                report,
                &format!("{} is not known", quoted(text)),
                &format!("write {listed}"),
            );
        }
        found
    }

    /// An integer of the file; `None` where it is none, or has more than 128 bits.
    fn integer(&self) -> Option<i128> {
        let integer = self.value.as_integer()?;
        i128::from_str_radix(integer.as_str(), integer.radix()).ok()
    }

    pub(super) fn count(
        &self,
        range: RangeInclusive<usize>,
        report: &mut Report<'_>,
    ) -> Option<usize> {
        let form = format!("an integer, {} to {}", range.start(), range.end());
        let DeValue::Integer(integer) = self.value else {
            self.wrong_type(report, &form);
            return None;
        };
        let value = self.integer().and_then(|value| usize::try_from(value).ok());
        let value = value.filter(|value| range.contains(value));
        if value.is_none() {
            let what = format!("{} is out of range", shortened(integer));
            self.error(report, &what, &format!("write {form}"));
        }
        value
    }

    pub(super) fn duration(
        &self,
        range: RangeInclusive<Duration>,
        report: &mut Report<'_>,
    ) -> Option<Duration> {
        let (least, most) = (ShowDuration(*range.start()), ShowDuration(*range.end()));
        if let DeValue::Integer(integer) = self.value {
            let what = format!("{} has no unit", shortened(integer));
            self.error(report, &what, &format!("write {}", units::DURATION_FORM));
            return None;
        }
        let text = self.text(report, &format!("a duration in quotes, {least} to {most}"))?;
        match units::duration(text) {
            Ok(value) if range.contains(&value) => Some(value),
            Ok(_) => {
                let what = format!("{} is out of range", quoted(text));
                self.error(report, &what, &format!("write {least} to {most}"));
                None
            }
            Err(error) => {
                let what = format!("{} {error}", quoted(text));
                self.error(report, &what, &format!("write {}", units::DURATION_FORM));
                None
            }
        }
    }

    pub(super) fn size(&self, range: RangeInclusive<u64>, report: &mut Report<'_>) -> Option<u64> {
        let (least, most) = (ShowSize(*range.start()), ShowSize(*range.end()));
        let (shown, bytes) = match self.value {
            DeValue::Integer(integer) => (
                shortened(integer),
                Ok(self.integer().and_then(|value| u64::try_from(value).ok()).unwrap_or(u64::MAX)),
            ),
            DeValue::String(text) => (quoted(text), units::size(text)),
            _ => {
                self.wrong_type(report, &format!("a size, {least} to {most}"));
                return None;
            }
        };
        match bytes {
            Ok(value) if range.contains(&value) => Some(value),
            Ok(_) => {
                let what = format!("{shown} is out of range");
                self.error(report, &what, &format!("write {least} to {most}"));
                None
            }
            Err(error) => {
                let what = format!("{shown} {error}");
                self.error(report, &what, &format!("write {}", units::SIZE_FORM));
                None
            }
        }
    }
}

/// An integer for a message; there is no end to the digits it may have.
fn shortened(integer: &toml::de::DeInteger<'_>) -> String {
    let shown = integer.to_string();
    match shown.get(..40) {
        Some(start) if shown.len() > 40 => format!("{start}..."),
        _ => shown,
    }
}
