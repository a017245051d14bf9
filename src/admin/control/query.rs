//! The part of a URL behind its question mark: `name=www.example.com&limit=5`.

use std::fmt::Write;

/// Why a query is not understood, for whoever wrote it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum QueryError {
    /// A name that means nothing here.
    #[error("there is no parameter \"{0}\": there are {1}")]
    Unknown(String, String),
    /// The same name again.
    #[error("\"{0}\" stands there twice")]
    Twice(String),
    /// Percent signs that are no escapes, or bytes that are no UTF-8.
    #[error("\"{0}\" is not encoded as a URL's query is (RFC 3986, 2.1)")]
    Encoding(String),
    /// A value that is none for this name.
    #[error("{0}=\"{1}\" {2}")]
    Value(&'static str, String, String),
    /// None or several of those of which exactly one must be there.
    #[error("exactly one is needed of {0}")]
    ExactlyOne(String),
    /// A route that is not in the configuration.
    #[error("there is no route \"{0}\": there are {1}")]
    NoRoute(String, String),
}

/// Names and values.
#[derive(Debug, Default)]
pub(super) struct Query(Vec<(String, String)>);

impl Query {
    /// Takes a query apart; only `known` names may be in it, each once.
    pub fn parse(text: &str, known: &[&str]) -> Result<Query, QueryError> {
        let mut pairs: Vec<(String, String)> = Vec::new();
        for pair in text.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let name = decode(name)?;
            if !known.contains(&name.as_str()) {
                return Err(QueryError::Unknown(name, known.join(", ")));
            }
            if pairs.iter().any(|(before, _)| *before == name) {
                return Err(QueryError::Twice(name));
            }
            pairs.push((name, decode(value)?));
        }
        Ok(Query(pairs))
    }

    /// Whether a name is there, with or without a value.
    pub fn has(&self, name: &str) -> bool {
        self.value(name).is_some()
    }

    /// The value of a name.
    pub fn value(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// The value of a name as something else.
    pub fn parsed<T>(&self, name: &'static str) -> Result<Option<T>, QueryError>
    where
        T: std::str::FromStr<Err: std::fmt::Display>,
    {
        let Some(value) = self.value(name) else { return Ok(None) };
        let wrong = |error: T::Err| QueryError::Value(name, value.to_owned(), error.to_string());
        value.parse().map(Some).map_err(wrong)
    }
}

/// A text as it may stand in a query, for [`super::get`] and [`super::post`].
pub fn encode(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                encoded.push(char::from(byte));
            }
            // Writing to a String does not fail.
            _ => drop(write!(encoded, "%{byte:02X}")),
        }
    }
    encoded
}

fn decode(text: &str) -> Result<String, QueryError> {
    let wrong = || QueryError::Encoding(text.to_owned());
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, behind)) = rest.split_first() {
        rest = behind;
        if first != b'%' {
            bytes.push(first);
            continue;
        }
        let (digits, behind) = rest.split_at_checked(2).ok_or_else(wrong)?;
        let digits = std::str::from_utf8(digits).map_err(|_| wrong())?;
        if !digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
            return Err(wrong());
        }
        bytes.push(u8::from_str_radix(digits, 16).map_err(|_| wrong())?);
        rest = behind;
    }
    String::from_utf8(bytes).map_err(|_| wrong())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn what_is_encoded_comes_back() {
        for text in ["", "www.example.com.", "a\\046b c&d=e%f+g?#", "\u{e4}\0"] {
            let query = Query::parse(&format!("x=1&name={}", encode(text)), &["name", "x"]);
            assert_eq!(query.unwrap().value("name"), Some(text));
        }
    }

    #[test]
    fn what_is_wrong_is_told() {
        for (text, error) in [
            ("nmae=a", "there is no parameter \"nmae\": there are name, n"),
            ("name=a&name=b", "\"name\" stands there twice"),
            ("name=%2", "\"%2\" is not encoded"),
            ("name=%+2", "\"%+2\" is not encoded"),
            ("name=%ff", "\"%ff\" is not encoded"),
            ("%zz=a", "\"%zz\" is not encoded"),
        ] {
            let told = Query::parse(text, &["name", "n"]).unwrap_err().to_string();
            assert!(told.starts_with(error), "{told}");
        }
        let query = Query::parse("n=x", &["n"]).unwrap();
        let told = query.parsed::<u8>("n").unwrap_err().to_string();
        assert!(told.starts_with("n=\"x\" "), "{told}");
        let query = Query::parse("&n&", &["n"]).unwrap();
        assert!(query.has("n") && !query.has("name") && query.value("n") == Some(""));
    }
}
