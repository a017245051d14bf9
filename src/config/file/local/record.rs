//! `[[local.record]]`.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use toml::de::DeValue;

use super::super::diagnostic::{Report, quoted};
use super::super::item::Item;
use super::super::reader::Section;
use super::value::{TYPES, rdata, type_name};
use super::{DAY, has_asterisk, name, tables};
use crate::config::local::is_fixed;
use crate::config::{LocalRecord, MAX_LOCAL_BYTES, MAX_LOCAL_RECORDS, MAX_LOCAL_VALUES, Prefix};
use crate::wire::name::Name;
use crate::wire::rtype;

/// How many CNAMEs may lead from one to the next; beyond that an answer ends.
const MAX_CHAIN: usize = 8;

/// A record and where it comes from.
struct Read {
    record: LocalRecord,
    /// The place and the key that errors about it name.
    at: usize,
    key: String,
}

pub(super) fn read(local: &Section<'_, '_>, report: &mut Report<'_>) -> Vec<LocalRecord> {
    let mut records = Vec::new();
    for table in tables(local, "record", MAX_LOCAL_RECORDS, report) {
        one(&table, &mut records, report);
    }
    apart(&records, report);
    chains(&records, report);
    records.into_iter().map(|read| read.record).collect()
}

/// Adds the record of a table, and those of the way back where it asks for them.
fn one(table: &Section<'_, '_>, records: &mut Vec<Read>, report: &mut Report<'_>) {
    let rtype = rtype_of(table, report);
    let name = owner(table, rtype, report);
    let mut ttl = Duration::from_secs(300);
    table.duration("ttl", Duration::ZERO..=7 * DAY, &mut ttl, report);
    let rdata = values(table, rtype, report);
    let addresses = ptr(table, rtype, name.as_ref(), rdata.as_deref(), report);
    let (Some(rtype), Some(name), Some(rdata)) = (rtype, name, rdata) else { return };
    for reverse in addresses {
        let rdata = vec![name.as_wire().into()];
        let record = LocalRecord { name: reverse, rtype: rtype::PTR, rdata, ttl };
        let (at, key) = table.item("ptr").map_or((table.at, table.key()), |i| (i.at, i.key));
        records.push(Read { record, at, key });
    }
    let record = LocalRecord { name, rtype, rdata, ttl };
    let at = table.item("name").map_or(table.at, |item| item.at);
    records.push(Read { record, at, key: format!("{}.name", table.key()) });
}

fn rtype_of(table: &Section<'_, '_>, report: &mut Report<'_>) -> Option<u16> {
    match table.item("type") {
        Some(item) => item.choice(&TYPES, report),
        None => {
            table.missing("type", "write the type of the records, like \"A\"", report);
            None
        }
    }
}

fn owner(table: &Section<'_, '_>, rtype: Option<u16>, report: &mut Report<'_>) -> Option<Name> {
    let Some(item) = table.item("name") else {
        table.missing("name", "write the name that has the records, like \"printer.lan\"", report);
        return None;
    };
    let text = item.text(report, "a domain name in quotes, like \"printer.lan\"")?;
    if let Ok(address) = text.parse::<IpAddr>() {
        let reverse = reverse_name(address);
        if rtype != Some(rtype::PTR) {
            let what = format!("{} is an address, not a name", quoted(text));
            item.error(report, &what, "write a name, or type = \"PTR\" for the address's name");
            return None;
        }
        return reverse;
    }
    let (what, hint) = match name(text) {
        Err((what, hint)) => (what, hint),
        Ok(name) if name.is_root() => ("the root cannot have records here".into(), "write a name"),
        Ok(name) if name.as_wire() == b"\x01*\0" => {
            ("\"*\" would be every name there is".into(), "write \"*.\" and a name behind it")
        }
        Ok(name) if has_asterisk(&name) && !is_wildcard(&name) => (
            format!("{} has an asterisk that is not in front", quoted(text)),
            "write \"*.\" in front of a name, for all names below it",
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

/// A name whose only asterisk stands in front.
fn is_wildcard(name: &Name) -> bool {
    let parent = name.as_wire().strip_prefix(b"\x01*").and_then(Name::from_wire);
    parent.is_some_and(|parent| !has_asterisk(&parent))
}

fn reverse_name(address: IpAddr) -> Option<Name> {
    let address = address.to_canonical();
    Prefix::of(address, if address.is_ipv4() { 32 } else { 128 })?.reverse_zone()
}

/// A text, or a list of them. Of a type that could not be read only the form is looked at.
fn values(
    table: &Section<'_, '_>,
    rtype: Option<u16>,
    report: &mut Report<'_>,
) -> Option<Vec<Box<[u8]>>> {
    const FORM: &str = "a value in quotes, or a list of them";
    let Some(item) = table.item("value") else {
        table.missing("value", &format!("write {FORM}"), report);
        return None;
    };
    let items = match item.value {
        DeValue::Array(_) => table.list("value", "values", MAX_LOCAL_VALUES, report)?,
        DeValue::String(_) => vec![table.item("value")?],
        _ => {
            item.wrong_type(report, FORM);
            return None;
        }
    };
    if items.is_empty() {
        item.error(report, "the list is empty", "write at least one value");
        return None;
    }
    let rtype = rtype?;
    if rtype == rtype::CNAME && items.len() > 1 {
        let what = "a CNAME has one value alone (RFC 1034, 3.6.2)";
        item.error(report, what, "write the one name that is meant");
        return None;
    }
    read_values(&item, &items, rtype, report)
}

fn read_values(
    whole: &Item<'_, '_>,
    items: &[Item<'_, '_>],
    rtype: u16,
    report: &mut Report<'_>,
) -> Option<Vec<Box<[u8]>>> {
    let mut found: Vec<Box<[u8]>> = Vec::new();
    let mut all_right = true;
    for item in items {
        match value(item, rtype, report) {
            Some(rdata) if found.contains(&rdata) => {
                item.warning(report, "this value is listed twice", "remove one of them");
            }
            Some(rdata) => found.push(rdata),
            None => all_right = false,
        }
    }
    // As they are sent: a pointer to the name, ten bytes, the data.
    let bytes: usize = found.iter().map(|rdata| rdata.len() + 12).sum();
    if bytes > MAX_LOCAL_BYTES {
        let what = format!("the values take {bytes} bytes of an answer");
        whole.error(report, &what, &format!("at most {MAX_LOCAL_BYTES}"));
        return None;
    }
    all_right.then_some(found)
}

fn value(item: &Item<'_, '_>, rtype: u16, report: &mut Report<'_>) -> Option<Box<[u8]>> {
    let text = item.text(report, "a value in quotes")?;
    match rdata(rtype, text) {
        Ok(rdata) => Some(rdata.into()),
        Err((what, hint)) => {
            item.error(report, &what, hint);
            None
        }
    }
}

/// The reverse names that the record's addresses are to have.
fn ptr(
    table: &Section<'_, '_>,
    rtype: Option<u16>,
    name: Option<&Name>,
    rdata: Option<&[Box<[u8]>]>,
    report: &mut Report<'_>,
) -> Vec<Name> {
    let Some(item) = table.item("ptr") else { return Vec::new() };
    let Some(true) = item.boolean(report) else { return Vec::new() };
    if rtype.is_some_and(|rtype| !matches!(rtype, rtype::A | rtype::AAAA)) {
        let what = "only addresses have a way back";
        item.error(report, what, "leave the key out, unless the type is A or AAAA");
        return Vec::new();
    }
    if name.is_some_and(has_asterisk) {
        let what = "a wildcard is no name that an address could lead back to";
        item.error(report, what, "leave the key out, or write a [[local.record]] of type PTR");
        return Vec::new();
    }
    let address = |rdata: &[u8]| match rdata.len() {
        4 => <[u8; 4]>::try_from(rdata).ok().map(|octets| IpAddr::V4(Ipv4Addr::from(octets))),
        _ => <[u8; 16]>::try_from(rdata).ok().map(IpAddr::from),
    };
    let all = rdata.unwrap_or_default().iter();
    all.filter_map(|rdata| address(rdata)).filter_map(reverse_name).collect()
}

/// No two tables may have the same name and type, and nothing stands beside a CNAME.
fn apart(records: &[Read], report: &mut Report<'_>) {
    const TWICE: &str = "write all values in one table";
    let mut by_name: HashMap<&Name, Vec<(u16, usize)>> = HashMap::new();
    for Read { record, at, key } in records {
        let line = report.line(*at);
        let (name, rtype) = (quoted(&record.name.to_string()), type_name(record.rtype));
        let known = match by_name.entry(&record.name) {
            Entry::Vacant(free) => {
                free.insert(vec![(record.rtype, line)]);
                continue;
            }
            Entry::Occupied(known) => known.into_mut(),
        };
        if let Some((_, first)) = known.iter().find(|(other, _)| *other == record.rtype) {
            let what = format!("{name} has {rtype} records already, by line {first}");
            let hint = match key.ends_with(".ptr") {
                true => "an address leads back to one name: leave ptr out here",
                false => TWICE,
            };
            report.error(*at, key, &what, hint);
        } else if let Some((other, first)) = known
            .iter()
            .find(|(other, _)| (*other == rtype::CNAME) != (record.rtype == rtype::CNAME))
        {
            let other = type_name(*other);
            let what = format!("{rtype} beside the {other} of {name}, by line {first}");
            let hint = "a CNAME stands alone at its name (RFC 1034, 3.6.2)";
            report.error(*at, key, &what, hint);
        } else {
            known.push((record.rtype, line));
        }
    }
}

/// CNAMEs must come to an end.
fn chains(records: &[Read], report: &mut Report<'_>) {
    let aliases: HashMap<&[u8], &[u8]> = records
        .iter()
        .map(|read| &read.record)
        .filter(|record| record.rtype == rtype::CNAME)
        .filter_map(|record| Some((record.name.as_wire(), record.rdata.first()?.as_ref())))
        .collect();
    if aliases.is_empty() {
        return;
    }
    let names: std::collections::HashSet<&[u8]> =
        records.iter().map(|read| read.record.name.as_wire()).collect();
    for Read { record, at, key } in records.iter().filter(|r| r.record.rtype == rtype::CNAME) {
        let mut here = record.rdata.first().map_or(&[0][..], |first| first.as_ref());
        let mut steps = 1;
        while let Some(next) = follow(here, &aliases, &names) {
            here = next;
            steps += 1;
            if steps > MAX_CHAIN {
                let name = quoted(&record.name.to_string());
                let what = format!("{name} leads in a circle, or over more than 8 CNAMEs");
                report.error(*at, key, &what, "let it end at a name with addresses, or elsewhere");
                break;
            }
        }
    }
}

/// Where the CNAME leads that a name has itself or from a wildcard.
fn follow<'r>(
    name: &[u8],
    aliases: &HashMap<&'r [u8], &'r [u8]>,
    names: &std::collections::HashSet<&'r [u8]>,
) -> Option<&'r [u8]> {
    if names.contains(name) {
        return aliases.get(name).copied();
    }
    let mut rest = name;
    loop {
        rest = rest.get(1 + usize::from(*rest.first().filter(|len| **len > 0)?)..)?;
        let wildcard = [b"\x01*", rest].concat();
        if let Some(target) = aliases.get(wildcard.as_slice()) {
            return Some(target);
        }
        if names.contains(rest) || names.contains(wildcard.as_slice()) {
            return None;
        }
    }
}
