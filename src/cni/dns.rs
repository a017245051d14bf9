//! Blocks of DNS settings: read as the many hands that write them spell them, and merged.

use serde_json::{Map, Value, json};

use super::error::CniError;
use super::json::{object, text, texts, usable_texts};
use super::settings::Settings;

/// How a list is read: its key and its value.
type ReadTexts = fn(&str, &Value) -> Result<Vec<String>, CniError>;

/// A block of DNS settings, as in a CNI result or from a runtime. What the words mean is for whoever
/// uses them; that none of them holds a control character is known.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Dns {
    /// Addresses of servers, as written: a node's may have a zone, which is no address anywhere else.
    pub nameservers: Vec<String>,
    /// The local domain.
    pub domain: Option<String>,
    /// Domains to search.
    pub search: Vec<String>,
    /// Options of resolv.conf(5), such as `ndots:5`.
    pub options: Vec<String>,
}

impl Dns {
    /// Reads a block. Its keys go by CNI's names (`nameservers`, `search`) and by those of the `dns`
    /// capability (`servers`, `searches`), in any case: containerd writes `Servers`. Keys that are
    /// not known are passed over. Of two spellings of one key the first that has a value counts.
    ///
    /// # Errors
    /// [`CniError::Config`] with the key, of which `path` is the first part.
    pub fn read(path: &str, value: &Value) -> Result<Dns, CniError> {
        Dns::read_by(path, value, texts)
    }

    /// Likewise a block that a pod's owner may have written: elements of lists that are of no use are left
    /// out, and so are those beyond [`super::json::MAX_LIST`], and the block has what is left. No pod is kept
    /// from starting by one.
    ///
    /// # Errors
    /// [`CniError::Config`] where something is not of the type that runtimes write.
    pub fn read_usable(path: &str, value: &Value) -> Result<Dns, CniError> {
        Dns::read_by(path, value, usable_texts)
    }

    fn read_by(path: &str, value: &Value, texts: ReadTexts) -> Result<Dns, CniError> {
        let keys = object(path, value)?;
        let list = |names: &[&str]| match find(keys, names) {
            Some((key, value)) => texts(&format!("{path}.{key}"), value),
            None => Ok(vec![]),
        };
        let domain = find(keys, &["domain"])
            .map(|(key, value)| text(&format!("{path}.{key}"), value))
            .transpose()?;
        Ok(Dns {
            nameservers: list(&["nameservers", "servers"])?,
            domain: domain.filter(|domain| !domain.is_empty()).map(str::to_owned),
            search: list(&["search", "searches"])?,
            options: list(&["options"])?,
        })
    }

    /// Whether it says nothing.
    pub fn is_empty(&self) -> bool {
        *self == Dns::default()
    }

    /// This block, with what it does not say taken from another. A list is taken whole.
    pub fn over(self, other: &Dns) -> Dns {
        let list = |ours: Vec<String>, theirs: &Vec<String>| {
            if ours.is_empty() { theirs.clone() } else { ours }
        };
        Dns {
            nameservers: list(self.nameservers, &other.nameservers),
            domain: self.domain.or_else(|| other.domain.clone()),
            search: list(self.search, &other.search),
            options: list(self.options, &other.options),
        }
    }

    /// As CNI writes it; what it does not say is left out.
    pub fn to_value(&self) -> Value {
        let lists = [
            ("nameservers", &self.nameservers),
            ("search", &self.search),
            ("options", &self.options),
        ];
        let mut keys = Map::new();
        for (key, list) in lists.into_iter().filter(|(_, list)| !list.is_empty()) {
            keys.insert(key.into(), json!(list));
        }
        if let Some(domain) = &self.domain {
            keys.insert("domain".into(), json!(domain));
        }
        Value::Object(keys)
    }
}

/// The first of a block's keys that has one of the names and a value.
fn find<'a>(keys: &'a Map<String, Value>, names: &[&str]) -> Option<(&'a str, &'a Value)> {
    let named = |name: &str| {
        keys.iter().find(|(key, value)| key.eq_ignore_ascii_case(name) && !value.is_null())
    };
    names.iter().find_map(|name| named(name)).map(|(key, value)| (key.as_str(), value))
}

/// The `dns` of ADD's result. The servers are this node's. Search list and options are the pod's
/// own where the runtime has told them, an empty list too; else ours, else HeadCNI's (whose base domain
/// is the local one), else what the plugins before us said.
pub fn of_result(settings: &Settings, pod: Option<&Dns>, previous: &Dns) -> Dns {
    let headcni = settings.magic_dns.as_ref().filter(|block| block.is_enabled());
    let tailnet = headcni.map(|block| Dns {
        search: block.search_domains.clone(),
        domain: block.base_domain.clone(),
        ..Dns::default()
    });
    let configured = Dns {
        nameservers: settings.nameservers.iter().map(ToString::to_string).collect(),
        search: settings.search.clone(),
        options: settings.options.clone(),
        domain: None,
    };
    let mut dns = configured.over(&settings.dns).over(&tailnet.unwrap_or_default()).over(previous);
    if let Some(pod) = pod {
        dns.search = pod.search.clone();
        dns.options = pod.options.clone();
    }
    dns
}

#[cfg(test)]
mod tests;
