//! From bytes to a JSON object within limits, and from JSON values to plain ones, by hand, so that
//! every complaint names the key it is about.
//!
//! `null` is the same as no value, or as an empty list: Go writes them so.

use std::net::IpAddr;

use serde_json::{Map, Value};

use super::error::{CniError, cut};

/// The most bytes of a runtime's call. A pod has up to 256 KiB of annotations (Kubernetes'
/// `TotalAnnotationSizeLimitB`), of which Go may write every byte as six (`\u003c` for `<`): 1.5 MiB. A large
/// `prevResult`, or the attachments of a thousand pods, take a fifth of one.
pub const MAX_STDIN: usize = 4 << 20;
/// The most bytes of a file with a network configuration, which holds nothing of pods.
pub const MAX_FILE: usize = 1 << 20;
/// The most elements of a list of servers, names or options (Kubernetes: 3, 32, no limit).
pub const MAX_LIST: usize = 64;
/// The longest single text, in bytes.
pub const MAX_TEXT: usize = 4096;

/// Reads one JSON object. Nesting beyond 128 levels is refused, as serde_json does by itself.
///
/// # Errors
/// [`CniError::Decode`].
pub fn decode(stdin: &[u8]) -> Result<Map<String, Value>, CniError> {
    if stdin.len() > MAX_STDIN {
        return Err(CniError::Decode(format!("more than {MAX_STDIN} bytes on standard input")));
    }
    match serde_json::from_slice(stdin) {
        Ok(Value::Object(keys)) => Ok(keys),
        Ok(other) => Err(CniError::Decode(format!("{} instead of an object", kind(&other)))),
        Err(error) => Err(CniError::Decode(error.to_string())),
    }
}

/// The value of a key, if it is there and not null.
pub(super) fn get<'a>(keys: &'a Map<String, Value>, key: &str) -> Option<&'a Value> {
    keys.get(key).filter(|value| !value.is_null())
}

/// `key: what`.
pub(super) fn wrong(key: &str, what: impl std::fmt::Display) -> CniError {
    CniError::Config(format!("{key}: {what}"))
}

fn not_a(key: &str, wanted: &str, value: &Value) -> CniError {
    wrong(key, format_args!("{} where {wanted} belongs", kind(value)))
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

/// As much of a value as an error may show.
pub(super) fn shown(value: &str) -> String {
    let part = cut(value, 64);
    format!("{part:?}{}", if part.len() < value.len() { "..." } else { "" })
}

pub(super) fn object<'a>(key: &str, value: &'a Value) -> Result<&'a Map<String, Value>, CniError> {
    value.as_object().ok_or_else(|| not_a(key, "an object", value))
}

pub(super) fn list<'a>(key: &str, value: &'a Value) -> Result<&'a [Value], CniError> {
    value.as_array().map(Vec::as_slice).ok_or_else(|| not_a(key, "a list", value))
}

pub(super) fn boolean(key: &str, value: &Value) -> Result<bool, CniError> {
    value.as_bool().ok_or_else(|| not_a(key, "true or false", value))
}

/// A text of at most [`MAX_TEXT`] bytes without control characters: much of it ends up as words
/// of a resolv.conf, where a line break would begin a line of somebody else's making.
pub(super) fn text<'a>(key: &str, value: &'a Value) -> Result<&'a str, CniError> {
    let text = value.as_str().ok_or_else(|| not_a(key, "a text", value))?;
    if text.len() > MAX_TEXT {
        return Err(wrong(key, format_args!("longer than {MAX_TEXT} bytes")));
    }
    if text.chars().any(char::is_control) {
        return Err(wrong(key, format_args!("{} holds a control character", shown(text))));
    }
    Ok(text)
}

/// A list of at most [`MAX_LIST`] texts; empty ones are left out.
pub(super) fn texts(key: &str, value: &Value) -> Result<Vec<String>, CniError> {
    let values = list(key, value)?;
    if values.len() > MAX_LIST {
        return Err(wrong(key, format_args!("more than {MAX_LIST} elements")));
    }
    let texts = values.iter().enumerate().map(|(i, value)| text(&format!("{key}[{i}]"), value));
    texts.filter(|text| *text != Ok("")).map(|text| text.map(str::to_owned)).collect()
}

/// A list of texts; those that [`text`] refuses and empty ones are left out, and those beyond [`MAX_LIST`].
pub(super) fn usable_texts(key: &str, value: &Value) -> Result<Vec<String>, CniError> {
    let mut texts = Vec::new();
    for value in list(key, value)? {
        if !value.is_string() {
            return Err(not_a(key, "texts", value));
        }
        texts.extend(text(key, value).ok().filter(|text| !text.is_empty()).map(str::to_owned));
    }
    texts.truncate(MAX_LIST);
    Ok(texts)
}

/// Texts as addresses that a server can have.
pub(super) fn addresses(key: &str, texts: &[String]) -> Result<Vec<IpAddr>, CniError> {
    let address = |text: &String| match text.parse::<IpAddr>().map(|ip| ip.to_canonical()) {
        Ok(ip) if ip.is_unspecified() || ip.is_multicast() => {
            Err(wrong(key, format_args!("{ip} is not the address of one server")))
        }
        Ok(ip) => Ok(ip),
        Err(_) => Err(wrong(key, format_args!("{} is not an IP address", shown(text)))),
    };
    texts.iter().map(address).collect()
}
