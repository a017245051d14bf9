//! HeadCNI's `magic_dns` block: the one place that reads it, for the plugin, which has it in its own
//! entry, and for the daemon, which finds it in the list of plugins ([`crate::headcni`]).
//!
//! It is another program's, and read as it stands: keys that are not known here are passed over, those
//! that are known must be of HeadCNI's kinds. What names and addresses are worth is for others to judge.

use serde_json::{Map, Value};

use super::conflist::PLUGIN;
use super::error::CniError;
use super::json::{boolean, get, list, object, text, texts};

/// What the block is called.
pub const KEY: &str = "magic_dns";

/// HeadCNI's block; lists of at most [`super::json::MAX_LIST`] texts.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct MagicDns {
    /// Whether HeadCNI uses it; `None` where it does not say, which means no.
    pub enable: Option<bool>,
    /// The cluster's domain.
    pub base_domain: Option<String>,
    /// Whom the forwarder asks for the tailnet.
    pub nameservers: Vec<String>,
    /// Domains to search.
    pub search_domains: Vec<String>,
}

impl MagicDns {
    /// Reads the block.
    ///
    /// # Errors
    /// [`CniError::Config`] where a value is of another kind than HeadCNI's.
    pub fn read(value: &Value) -> Result<MagicDns, CniError> {
        let keys = object(KEY, value)?;
        let path = |key: &str| format!("{KEY}.{key}");
        let list = |key: &str| get(keys, key).map(|value| texts(&path(key), value)).transpose();
        let enable =
            get(keys, "enable").map(|value| boolean(&path("enable"), value)).transpose()?;
        let base = get(keys, "base_domain")
            .map(|value| text(&path("base_domain"), value))
            .transpose()?
            .filter(|text| !text.is_empty());
        Ok(MagicDns {
            enable,
            base_domain: base.map(str::to_owned),
            nameservers: list("nameservers")?.unwrap_or_default(),
            search_domains: list("search_domains")?.unwrap_or_default(),
        })
    }

    /// Whether it is in use.
    pub fn is_enabled(&self) -> bool {
        self.enable == Some(true)
    }

    /// The block of a list of plugins, and the key that it stands under, as `plugins[0].magic_dns`: of
    /// the first plugin that has one, our own entry, which holds a copy, coming last. Of a file that is
    /// one plugin's alone (from the folder beside a list), that plugin's. `None` where there is none.
    ///
    /// # Errors
    /// [`CniError::Config`] where `plugins` or the block is of another kind.
    pub fn find(keys: &Map<String, Value>) -> Result<Option<(String, MagicDns)>, CniError> {
        let block = |plugin: &Map<String, Value>, key: String| match get(plugin, KEY) {
            Some(value) => Ok(Some((key, MagicDns::read(value)?))),
            None => Ok(None),
        };
        let Some(plugins) = get(keys, "plugins") else { return block(keys, KEY.to_owned()) };
        let plugins = list("plugins", plugins)?.iter().map(Value::as_object).enumerate();
        let with = plugins
            .filter_map(|(at, plugin)| Some((at, plugin?)))
            .filter(|(_, plugin)| get(plugin, KEY).is_some());
        let is_ours = |plugin: &Map<String, Value>| {
            plugin.get("type").and_then(Value::as_str) == Some(PLUGIN)
        };
        match with.min_by_key(|(at, plugin)| (is_ours(plugin), *at)) {
            Some((at, plugin)) => block(plugin, format!("plugins[{at}].{KEY}")),
            None => Ok(None),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::cni::json::decode;

    fn find(text: &str) -> Result<Option<(String, MagicDns)>, CniError> {
        MagicDns::find(&decode(text.as_bytes()).unwrap())
    }

    #[test]
    fn on_whichever_plugin_it_stands() {
        for (text, found) in [
            (
                r#"{"plugins":[{"type":"a"},{"type":"b","magic_dns":{"enable":true}}]}"#,
                "plugins[1].",
            ),
            (r#"{"plugins":[{"type":"horizond-cni","magic_dns":{}}]}"#, "plugins[0]."),
            // Whose it is comes before a copy, wherever that stands.
            (
                r#"{"plugins":[{"type":"horizond-cni","magic_dns":{}},
                {"type":"headcni","magic_dns":{}},{"type":"x","magic_dns":{}}]}"#,
                "plugins[1].",
            ),
            (
                r#"{"plugins":[7,{"magic_dns":null},{"magic_dns":{}}],"magic_dns":{}}"#,
                "plugins[2].",
            ),
            (r#"{"type":"horizond-cni","magic_dns":{}}"#, ""),
        ] {
            assert_eq!(find(text).unwrap().unwrap().0, format!("{found}magic_dns"), "{text}");
        }
        for text in ["{}", r#"{"plugins":[]}"#, r#"{"plugins":[{"type":"bridge"},[]]}"#] {
            assert_eq!(find(text), Ok(None), "{text}");
        }
    }

    #[test]
    fn what_it_says_is_kept_apart_from_what_it_does_not() {
        let read = |block: &str| {
            find(&format!(r#"{{"plugins":[{{"magic_dns":{block}}}]}}"#)).unwrap().unwrap().1
        };
        assert_eq!(read("{}").enable, None);
        assert_eq!(read(r#"{"enable":false}"#).enable, Some(false));
        assert!(read(r#"{"enable":true,"mtu":1}"#).is_enabled());
    }

    #[test]
    fn other_kinds_are_errors_that_name_the_key() {
        for (text, details) in [
            (r#"{"plugins":{}}"#, "plugins: an object where a list belongs"),
            (
                r#"{"plugins":[{"magic_dns":{"search_domains":"x"}}]}"#,
                "magic_dns.search_domains: a text where a list belongs",
            ),
        ] {
            assert_eq!(find(text).unwrap_err().details(), details);
        }
    }
}
