//! What a runtime is told where something is wrong (CNI specification 1.1.0, section 5, "Error").

use serde_json::json;

use super::types::Version;

/// Longest `details` in bytes; what is longer is cut.
pub const MAX_DETAILS: usize = 1000;

/// An error of the plugin. The text behind a variant becomes `details`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CniError {
    /// 1: a `cniVersion` that this plugin does not speak.
    #[error("incompatible CNI version")]
    Version(String),
    /// 2: a key that is not known; the text holds key and value.
    #[error("unsupported field in the network configuration")]
    UnsupportedField(String),
    /// 3: a container that was never seen or is gone; the runtime need not call DEL for it.
    #[error("unknown container")]
    UnknownContainer(String),
    /// 4: environment variables are missing or wrong; the text names them.
    #[error("invalid environment variables")]
    Environment(String),
    /// 5: standard input could not be read, or a file not be written.
    #[error("input or output failed")]
    Io(String),
    /// 6: bytes that are no JSON object, or too many of them.
    #[error("the network configuration cannot be decoded")]
    Decode(String),
    /// 7: values that are not what their keys need; the text names the key.
    #[error("invalid network configuration")]
    Config(String),
    /// 11: something passing; the runtime should try again.
    #[error("try again later")]
    TryAgain(String),
    /// 50: STATUS, ADD cannot work.
    #[error("the plugin is not available")]
    NotAvailable(String),
    /// 51: STATUS, ADD cannot work and the pods that exist may have lost their network.
    #[error("the plugin is not available and pods may be cut off")]
    LimitedConnectivity(String),
    /// 100 and above: this plugin's own.
    #[error("{msg}")]
    Own {
        /// Added to 100.
        number: u16,
        /// What went wrong.
        msg: &'static str,
        /// The particulars.
        details: String,
    },
}

impl CniError {
    /// The number that runtimes know it by.
    pub fn code(&self) -> u32 {
        match self {
            CniError::Version(_) => 1,
            CniError::UnsupportedField(_) => 2,
            CniError::UnknownContainer(_) => 3,
            CniError::Environment(_) => 4,
            CniError::Io(_) => 5,
            CniError::Decode(_) => 6,
            CniError::Config(_) => 7,
            CniError::TryAgain(_) => 11,
            CniError::NotAvailable(_) => 50,
            CniError::LimitedConnectivity(_) => 51,
            CniError::Own { number, .. } => 100 + u32::from(*number),
        }
    }

    /// The particulars: which key or variable, and what would be right. At most [`MAX_DETAILS`]
    /// bytes.
    pub fn details(&self) -> &str {
        let text = match self {
            CniError::Version(text)
            | CniError::UnsupportedField(text)
            | CniError::UnknownContainer(text)
            | CniError::Environment(text)
            | CniError::Io(text)
            | CniError::Decode(text)
            | CniError::Config(text)
            | CniError::TryAgain(text)
            | CniError::NotAvailable(text)
            | CniError::LimitedConnectivity(text)
            | CniError::Own { details: text, .. } => text,
        };
        cut(text, MAX_DETAILS)
    }

    /// The JSON for standard output. `version` is the caller's, the newest one where it is unknown.
    pub fn to_json(&self, version: Version) -> String {
        json!({
            "cniVersion": version.as_str(),
            "code": self.code(),
            "msg": self.to_string(),
            "details": self.details(),
        })
        .to_string()
    }
}

/// As much of a text as fits into so many bytes.
pub(super) fn cut(text: &str, most: usize) -> &str {
    let end = (0..=most.min(text.len())).rev().find(|&at| text.is_char_boundary(at));
    &text[..end.unwrap_or(0)]
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn codes_and_json() {
        let text = || "why".to_owned();
        for (error, code) in [
            (CniError::Version(text()), 1),
            (CniError::UnsupportedField(text()), 2),
            (CniError::UnknownContainer(text()), 3),
            (CniError::Environment(text()), 4),
            (CniError::Io(text()), 5),
            (CniError::Decode(text()), 6),
            (CniError::Config(text()), 7),
            (CniError::TryAgain(text()), 11),
            (CniError::NotAvailable(text()), 50),
            (CniError::LimitedConnectivity(text()), 51),
            (CniError::Own { number: 0, msg: "no redirect", details: text() }, 100),
            (CniError::Own { number: 7, msg: "no record", details: text() }, 107),
        ] {
            let json = error.to_json(Version::V0_4_0);
            let value: serde_json::Value = serde_json::from_str(&json).unwrap();
            assert_eq!(value["cniVersion"], "0.4.0");
            assert_eq!(value["code"], code);
            assert_eq!(value["msg"], error.to_string());
            assert_eq!(value["details"], "why");
            assert_eq!(value.as_object().unwrap().len(), 4);
        }
    }

    #[test]
    fn long_details_are_cut_between_characters() {
        let error = CniError::Config("é".repeat(MAX_DETAILS));
        assert_eq!(error.details().len(), MAX_DETAILS);
        let error = CniError::Config(format!("x{}", "é".repeat(MAX_DETAILS)));
        assert_eq!(error.details().len(), MAX_DETAILS - 1);
    }
}
