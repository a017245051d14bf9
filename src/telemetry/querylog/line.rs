//! A record as a line of text or JSON.

use std::fmt;
use std::io::Write as _;

use serde::Serialize;

use super::Record;
use crate::config::LogFormat;
use crate::telemetry::labels::{rcode_index, rcode_label, type_index, type_label};
use crate::telemetry::utc::Utc;
use crate::wire::name::Presentation;

/// Makes lines, one after another, in one buffer.
pub(super) struct Lines {
    format: LogFormat,
    routes: Vec<String>,
    buffer: Vec<u8>,
}

#[derive(Serialize)]
struct Json<'a> {
    time: String,
    client: String,
    proto: &'static str,
    name: String,
    #[serde(rename = "type")]
    qtype: String,
    rcode: String,
    source: &'static str,
    route: Option<&'a str>,
    duration_us: u64,
    bytes: u16,
    #[serde(skip_serializing_if = "Option::is_none")]
    namespace: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pod: Option<&'a str>,
}

impl Lines {
    pub(super) fn new(format: LogFormat, routes: Vec<String>) -> Lines {
        Lines { format, routes, buffer: Vec::with_capacity(1024) }
    }

    /// The line, with its line break.
    pub(super) fn of(&mut self, record: &Record) -> &[u8] {
        self.buffer.clear();
        let route = self.routes.get(usize::from(record.route)).map(String::as_str);
        // Writing to memory does not fail.
        let _ = match self.format {
            LogFormat::Text => text(&mut self.buffer, record, route),
            LogFormat::Json => json(&mut self.buffer, record, route),
        };
        self.buffer.push(b'\n');
        &self.buffer
    }
}

fn text(out: &mut Vec<u8>, record: &Record, route: Option<&str>) -> std::io::Result<()> {
    write!(
        out,
        "{} {} {} {} {} {} {} {} {}us {}B",
        Utc(record.at),
        record.client,
        record.proto.as_str(),
        Presentation(record.name()),
        Type(record.qtype),
        Rcode(record.rcode),
        record.source.as_str(),
        route.unwrap_or("-"),
        record.duration.as_micros(),
        record.size,
    )?;
    match &record.pod {
        Some(pod) => write!(out, " {pod}"),
        None => Ok(()),
    }
}

fn json(out: &mut Vec<u8>, record: &Record, route: Option<&str>) -> std::io::Result<()> {
    let line = Json {
        time: Utc(record.at).to_string(),
        client: record.client.to_string(),
        proto: record.proto.as_str(),
        name: Presentation(record.name()).to_string(),
        qtype: Type(record.qtype).to_string(),
        rcode: Rcode(record.rcode).to_string(),
        source: record.source.as_str(),
        route,
        duration_us: u64::try_from(record.duration.as_micros()).unwrap_or(u64::MAX),
        bytes: record.size,
        namespace: record.pod.as_ref().and_then(|pod| pod.namespace.as_deref()),
        pod: record.pod.as_ref().and_then(|pod| pod.name.as_deref()),
    };
    serde_json::to_writer(out, &line).map_err(Into::into)
}

/// A type's name, else `TYPE1234` (RFC 3597, 5).
struct Type(u16);

impl fmt::Display for Type {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match type_label(type_index(self.0)) {
            "other" => write!(f, "TYPE{}", self.0),
            name => f.write_str(name),
        }
    }
}

/// An rcode's name, else `RCODE23`.
struct Rcode(u16);

impl fmt::Display for Rcode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match rcode_label(rcode_index(self.0)) {
            "other" => write!(f, "RCODE{}", self.0),
            name => f.write_str(name),
        }
    }
}
