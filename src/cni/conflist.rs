//! A list of plugins, as a runtime reads it from its configuration directory (CNI specification 1.1.0,
//! section 1), and our entry in it.
//!
//! Text in, text out: what is not understood is refused before anything is changed, and what others
//! wrote keeps its order and its values.

use serde::Serialize;
use serde_json::ser::{PrettyFormatter, Serializer};
use serde_json::{Map, Value, json};

use super::error::CniError;
use super::json::shown;
use super::magic_dns;
use super::names::NetworkName;
use super::types::{Conf, Version};

/// What the plugin is called in a list, and its file in the directory of plugins.
pub const PLUGIN: &str = "horizond-cni";

/// Why a text is no list that our entry can be put into or taken out of.
#[derive(Debug, thiserror::Error)]
pub enum ConflistError {
    /// Not JSON.
    #[error("is not JSON: {0}")]
    Json(#[from] serde_json::Error),
    /// JSON of another shape.
    #[error("is not a list of plugins that is understood here: {0}; it stays as it is")]
    Shape(String),
    /// The entry would not be understood by the plugin.
    #[error("the entry would be refused by the plugin: {}: {}", .0, .0.details())]
    Entry(CniError),
}

/// What became of an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// It was not there.
    Added,
    /// Keys of it were set.
    Updated,
    /// It was like that already.
    None,
}

/// Our entry: what it cannot do without, and then the given keys.
pub fn entry(keys: &Map<String, Value>) -> Map<String, Value> {
    let mut entry = Map::new();
    entry.insert("type".into(), PLUGIN.into());
    // What a runtime knows of a pod it tells plugins that say they can use it.
    let capabilities = json!({"dns": true, "io.kubernetes.cri.pod-annotations": true});
    entry.insert("capabilities".into(), capabilities);
    entry.extend(keys.clone());
    entry
}

/// Sets keys of an entry; those that are not given stay.
pub fn set(entry: &mut Map<String, Value>, keys: &Map<String, Value>) -> Change {
    let before = entry.clone();
    entry.extend(keys.clone());
    if *entry == before { Change::None } else { Change::Updated }
}

/// Whether the plugin would understand an entry.
///
/// # Errors
/// [`ConflistError::Entry`].
pub fn check_entry(entry: &Map<String, Value>) -> Result<(), ConflistError> {
    let mut conf = entry.clone();
    conf.insert("cniVersion".into(), Version::LATEST.as_str().into());
    conf.insert("name".into(), "n".into());
    Conf::parse(Value::Object(conf).to_string().as_bytes()).map_err(ConflistError::Entry)?;
    Ok(())
}

/// JSON as people write it, indented by so much.
pub fn pretty(value: &Value, indent: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    let formatter = PrettyFormatter::with_indent(indent.as_bytes());
    // Writing a value into memory cannot fail.
    let _ = value.serialize(&mut Serializer::with_formatter(&mut bytes, formatter));
    bytes.push(b'\n');
    bytes
}

/// A list of plugins.
#[derive(Debug, Clone, PartialEq)]
pub struct Conflist {
    keys: Map<String, Value>,
    name: NetworkName,
    indent: String,
}

impl Conflist {
    /// Reads a file's text.
    ///
    /// # Errors
    /// Says why our entry cannot be in it.
    pub fn parse(text: &[u8]) -> Result<Conflist, ConflistError> {
        let shape = |what: &str| ConflistError::Shape(what.to_owned());
        let keys = match serde_json::from_slice(text)? {
            Value::Object(keys) => keys,
            _ => return Err(shape("it is no object")),
        };
        let name = keys.get("name").and_then(Value::as_str).unwrap_or_default();
        let name =
            NetworkName::new(name).map_err(|e| ConflistError::Shape(format!("name: {e}")))?;
        check_versions(&keys)?;
        let plugins = keys.get("plugins").and_then(Value::as_array).map(Vec::as_slice);
        let types: Option<Vec<&str>> = plugins
            .unwrap_or_default()
            .iter()
            .map(|plugin| plugin.get("type").and_then(Value::as_str).filter(|t| !t.is_empty()))
            .collect();
        let types = types.ok_or_else(|| shape("not every plugin has a type"))?;
        match types.iter().filter(|kind| **kind == PLUGIN).count() {
            _ if types.first().is_none_or(|first| *first == PLUGIN) => {
                Err(shape("plugins: there is none before ours that makes the interface"))
            }
            0 | 1 => Ok(Conflist { indent: indent(text), name, keys }),
            _ => Err(shape("plugins: ours is in it more than once")),
        }
    }

    /// The network's name.
    pub fn name(&self) -> &NetworkName {
        &self.name
    }

    /// Whether our entry is in it.
    pub fn has_entry(&self) -> bool {
        self.place().is_some()
    }

    /// Whether plugins from the folder of the network's name are left out. libcni takes the word for it
    /// as a text, too.
    pub fn is_closed(&self) -> bool {
        match self.keys.get("loadOnlyInlinedPlugins") {
            Some(Value::Bool(closed)) => *closed,
            Some(Value::String(text)) => text.eq_ignore_ascii_case("true"),
            _ => false,
        }
    }

    /// These keys, and HeadCNI's block with them where another plugin of the list has one: a runtime tells
    /// each plugin its own entry alone, so ours gets a copy, which each call brings up to date.
    pub fn with_block(&self, keys: &Map<String, Value>) -> Map<String, Value> {
        let is_other = |plugin: &&Value| !is_ours(plugin);
        let blocks = self.plugins().iter().filter(is_other).filter_map(|p| p.get(magic_dns::KEY));
        let mut keys = keys.clone();
        if let Some(block) = { blocks }.find(|block| !block.is_null()) {
            keys.entry(magic_dns::KEY).or_insert_with(|| block.clone());
        }
        keys
    }

    /// Puts our entry at the end, so that the result that the runtime gets is ours; or sets these keys
    /// of the one that is there, wherever that is. HeadCNI's block is copied as it stands
    /// ([`Conflist::with_block`]).
    ///
    /// # Errors
    /// [`ConflistError::Entry`]; then nothing has changed.
    pub fn put(&mut self, keys: &Map<String, Value>) -> Result<Change, ConflistError> {
        let keys = &self.with_block(keys);
        let place = self.place();
        let old = place.and_then(|at| self.plugins().get(at)).and_then(Value::as_object);
        let (entry, change) = match old.cloned() {
            Some(mut old) => {
                let change = set(&mut old, keys);
                (old, change)
            }
            None => (entry(keys), Change::Added),
        };
        check_entry(&entry)?;
        let plugins = self.plugins_mut();
        match place {
            Some(at) => plugins[at] = Value::Object(entry),
            None => plugins.push(Value::Object(entry)),
        }
        Ok(change)
    }

    /// Takes our entry out; `None` if there is none.
    pub fn take(&mut self) -> Option<Map<String, Value>> {
        let place = self.place()?;
        match self.plugins_mut().remove(place) {
            Value::Object(entry) => Some(entry),
            _ => None,
        }
    }

    /// The text for the file, indented as it was.
    pub fn to_bytes(&self) -> Vec<u8> {
        pretty(&Value::Object(self.keys.clone()), &self.indent)
    }

    /// Whether they say the same.
    pub fn says(&self, other: &Conflist) -> bool {
        self.keys == other.keys
    }

    fn plugins(&self) -> &[Value] {
        self.keys.get("plugins").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
    }

    fn plugins_mut(&mut self) -> &mut Vec<Value> {
        self.keys
            .get_mut("plugins")
            .and_then(Value::as_array_mut)
            .expect("one that was parsed has them")
    }

    fn place(&self) -> Option<usize> {
        self.plugins().iter().position(is_ours)
    }
}

fn is_ours(plugin: &Value) -> bool {
    plugin.get("type").and_then(Value::as_str) == Some(PLUGIN)
}

/// A runtime calls with `cniVersion`, or with the newest of `cniVersions` that it speaks itself (1.1.0,
/// section 1): the plugin has to speak each.
fn check_versions(keys: &Map<String, Value>) -> Result<(), ConflistError> {
    let key = |name: &str| keys.get(name).filter(|value| !value.is_null());
    let many = key("cniVersions").map(|value| value.as_array().map(Vec::as_slice));
    let one = key("cniVersion").map(std::slice::from_ref);
    let many = many.map(|list| list.unwrap_or(&[Value::Null]));
    let (one, many) = (one.unwrap_or_default(), many.unwrap_or_default());
    if one.is_empty() && many.is_empty() {
        return Err(ConflistError::Shape("it has no cniVersion".to_owned()));
    }
    let is_known = |value: &Value| Version::ALL.iter().any(|known| *value == known.as_str());
    match one.iter().chain(many).find(|value| !is_known(value)) {
        Some(other) => {
            let known = Version::ALL.map(Version::as_str).join(", ");
            let other = shown(other.as_str().unwrap_or_default());
            Err(ConflistError::Shape(format!("cniVersion {other}; the plugin speaks {known}")))
        }
        None => Ok(()),
    }
}

/// By what the first key is indented, two spaces where it stands in the first line.
fn indent(text: &[u8]) -> String {
    let text = String::from_utf8_lossy(text);
    let first = text.lines().skip(1).find(|line| line.trim_start().starts_with('"'));
    let blanks = first.map(|line| &line[..line.len() - line.trim_start().len()]);
    match blanks {
        Some(blanks) if (1..=8).contains(&blanks.len()) => blanks.to_owned(),
        _ => "  ".to_owned(),
    }
}

#[cfg(test)]
mod tests;
