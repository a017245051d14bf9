//! Names that a runtime gives to networks, containers and interfaces. They become part of a file's
//! name, so what is not one of them never gets as far as a path.

use std::fmt;

use super::json::shown;

/// Longest name of a network: with a container's, an interface's and what goes between them it fits
/// into the name of a file, 255 bytes.
pub const MAX_NETWORK: usize = 100;
/// Longest name of a container.
pub const MAX_CONTAINER: usize = 128;
/// Longest name of an interface (Linux, IFNAMSIZ without its zero).
pub const MAX_INTERFACE: usize = 15;

/// Why a text is no such name; for people.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{shown} is not {wanted}")]
pub struct BadName {
    shown: String,
    wanted: &'static str,
}

macro_rules! name {
    ($(#[$doc:meta])* $name:ident, $sound:expr, $wanted:expr) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(Box<str>);

        impl $name {
            /// Checks a text.
            ///
            /// # Errors
            /// Says what such a name is.
            pub fn new(text: &str) -> Result<$name, BadName> {
                let sound: fn(&str) -> bool = $sound;
                if sound(text) {
                    Ok($name(text.into()))
                } else {
                    Err(BadName { shown: shown(text), wanted: $wanted })
                }
            }

            /// As it was given.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

name!(
    /// The name of a network (CNI specification, section 1).
    NetworkName,
    |text| text.len() <= MAX_NETWORK && is_identifier(text),
    "the name of a network: a letter or digit, then letters, digits, `_`, `.`, `-`, at most 100"
);
name!(
    /// What the runtime calls a container, CNI_CONTAINERID (CNI specification, section 2).
    ContainerId,
    |text| text.len() <= MAX_CONTAINER && is_identifier(text),
    "a container id: a letter or digit, then letters, digits, `_`, `.`, `-`, at most 128"
);
name!(
    /// The name of an interface in a container, CNI_IFNAME.
    InterfaceName,
    |text| {
        let foreign = |c: char| c == '/' || c == ':' || c.is_whitespace() || c.is_control();
        (1..=MAX_INTERFACE).contains(&text.len())
            && !matches!(text, "." | "..")
            && !text.contains(foreign)
    },
    "the name of an interface: 1 to 15 bytes without `/`, `:` and blanks"
);

fn is_identifier(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphanumeric())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"_.-".contains(&b))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        for (text, network, interface) in [
            ("cbr0", true, true),
            ("a_b.c-d", true, true),
            ("0", true, true),
            ("eth0.100", true, true),
            ("", false, false),
            (".", false, false),
            ("..", false, false),
            ("../x", false, false),
            ("-x", false, true),
            ("a b", false, false),
            ("a/b", false, false),
            ("a:b", false, false),
            ("a\n", false, false),
            ("é", false, true),
            ("sixteen-bytes-xx", true, false),
        ] {
            assert_eq!(NetworkName::new(text).is_ok(), network, "{text}");
            assert_eq!(ContainerId::new(text).is_ok(), network, "{text}");
            assert_eq!(InterfaceName::new(text).is_ok(), interface, "{text}");
        }
        assert!(NetworkName::new(&"x".repeat(MAX_NETWORK)).is_ok());
        assert!(NetworkName::new(&"x".repeat(MAX_NETWORK + 1)).is_err());
        assert!(ContainerId::new(&"x".repeat(MAX_CONTAINER)).is_ok());
        assert!(ContainerId::new(&"x".repeat(MAX_CONTAINER + 1)).is_err());
        let file = MAX_NETWORK + MAX_CONTAINER + MAX_INTERFACE + "__.json".len();
        assert!(file <= 255, "{file}");
    }
}
