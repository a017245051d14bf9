#![allow(clippy::unwrap_used)]
use std::os::unix::fs::symlink;

use serde_json::json;
use tempfile::TempDir;

use super::*;

const LIST: &str =
    "{\"name\":\"cbr0\", \"cniVersion\":\"1.0.0\",\n   \"plugins\":[{\"type\":\"headcni\"}]}";

/// A runtime's directory with files in it.
fn directory(files: &[(&str, &str)]) -> (TempDir, Place) {
    let home = tempfile::tempdir().unwrap();
    for (name, text) in files {
        fs::write(home.path().join(name), text).unwrap();
    }
    let place = Place::Directory(home.path().to_owned());
    (home, place)
}

fn names(directory: &Path) -> Vec<String> {
    let entries = fs::read_dir(directory).unwrap();
    let mut names: Vec<String> =
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap()
}

fn types(path: &Path) -> Vec<String> {
    let list: Value = serde_json::from_str(&read(path)).unwrap();
    let plugins = list["plugins"].as_array().unwrap().iter();
    plugins.map(|plugin| plugin["type"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn an_entry_comes_and_goes_and_the_list_is_as_it_was() {
    let (home, place) = directory(&[("10-cbr0.conflist", LIST), ("99-other.conflist", "{}")]);
    let path = home.path().join("10-cbr0.conflist");
    fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
    let keys = json!({"redirect": "off"}).as_object().unwrap().clone();
    assert!(put_entry(&place, &keys).unwrap().contains("entry added; as it was: "));
    let once = read(&path);
    assert!(put_entry(&place, &keys).unwrap().ends_with("has the entry already"));
    assert_eq!((read(&path), types(&path)), (once, vec!["headcni".into(), PLUGIN.to_owned()]));
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    let kept = "10-cbr0.conflist.before-horizond";
    assert_eq!(names(home.path()), ["10-cbr0.conflist", kept, "99-other.conflist"]);
    assert_eq!(read(&home.path().join(kept)), LIST);

    let said = take_entry(&place).unwrap();
    assert!(said[0].ends_with("10-cbr0.conflist: entry removed"), "{said:?}");
    assert!(said[1].starts_with("left alone: ") && said[1].contains("99-other"), "{said:?}");
    assert_eq!((read(&path).as_str(), names(home.path()).len()), (LIST, 2));
    assert_eq!(take_entry(&place).unwrap().len(), 1);
}

#[test]
fn what_others_changed_since_stays_changed() {
    let (home, place) = directory(&[("a.conflist", LIST)]);
    let path = home.path().join("a.conflist");
    put_entry(&place, &Map::new()).unwrap();
    fs::write(&path, read(&path).replace("headcni", "bridge")).unwrap();
    take_entry(&place).unwrap();
    assert_eq!(types(&path), ["bridge"]);
    assert_eq!(names(home.path()), ["a.conflist", "a.conflist.before-horizond"]);
}

#[test]
fn what_is_not_understood_stays_as_it_is() {
    let single = r#"{"name":"n","cniVersion":"1.0.0","type":"bridge"}"#;
    for (name, text, expected) in [
        ("a.conflist", "not json", "is not JSON"),
        ("a.conflist", single, "plugins: there is none before ours"),
        ("a.conf", single, "a single plugin cannot be followed by ours"),
        ("a.conflist", r#"{"name":"n","cniVersion":"9","plugins":[{"type":"x"}]}"#, "cniVersion"),
    ] {
        let (home, place) = directory(&[(name, text), ("b.conflist", LIST)]);
        let error = put_entry(&place, &Map::new()).unwrap_err().to_string();
        assert!(error.contains(name) && error.contains(expected), "{error}");
        assert!(put_drop_in(&place, &Map::new()).is_err());
        assert_eq!(read(&home.path().join(name)), text);
        assert_eq!(names(home.path()), [name, "b.conflist"]);
    }
    let (home, place) = directory(&[("a.conflist.headcni_bak", LIST), ("readme", "")]);
    let error = put_entry(&place, &Map::new()).unwrap_err().to_string();
    assert!(error.ends_with("no network configuration is in it yet"), "{error}");
    assert!(take_entry(&place).unwrap().is_empty());
    let none = Place::File(home.path().join("none.conflist"));
    assert!(put_entry(&none, &Map::new()).is_err() && take_entry(&none).unwrap().is_empty());
}

#[test]
fn a_list_behind_a_link() {
    let (home, _) = directory(&[("real", LIST)]);
    let link = home.path().join("a.conflist");
    symlink(home.path().join("real"), &link).unwrap();
    put_entry(&Place::File(link.clone()), &Map::new()).unwrap();
    assert!(link.is_symlink());
    assert_eq!(types(&home.path().join("real")), ["headcni", PLUGIN]);
}

#[test]
fn a_file_in_the_networks_folder() {
    let (home, place) = directory(&[("10-cbr0.conflist", LIST)]);
    let path = home.path().join("cbr0").join("90-horizond-cni.conf");
    assert!(put_drop_in(&place, &Map::new()).unwrap().ends_with("90-horizond-cni.conf: written"));
    let keys = json!({"redirect": "required"}).as_object().unwrap().clone();
    put_drop_in(&place, &keys).unwrap();
    assert!(put_drop_in(&place, &Map::new()).unwrap().ends_with("has the entry already"));
    let entry: Value = serde_json::from_str(&read(&path)).unwrap();
    let capabilities = json!({"dns": true, "io.kubernetes.cri.pod-annotations": true});
    let expected = json!({"type": PLUGIN, "capabilities": capabilities, "redirect": "required"});
    assert_eq!(entry, expected);
    assert_eq!(read(&home.path().join("10-cbr0.conflist")), LIST);
    // One of both, or the plugin would run twice.
    assert!(put_entry(&place, &Map::new()).unwrap_err().to_string().contains("already"));
    take_entry(&place).unwrap();
    assert_eq!(names(home.path()), ["10-cbr0.conflist"]);
    put_entry(&place, &Map::new()).unwrap();
    assert!(put_drop_in(&place, &Map::new()).unwrap_err().to_string().contains("already"));
    for word in ["true", "\"True\""] {
        let key = format!("\"loadOnlyInlinedPlugins\": {word}, \"name\"");
        let (_home, place) = directory(&[("a.conflist", &LIST.replace("\"name\"", &key))]);
        let error = put_drop_in(&place, &Map::new()).unwrap_err().to_string();
        assert!(error.contains("keeps the folder"), "{error}");
    }
}

#[test]
fn the_binary_comes_and_goes() {
    let home = tempfile::tempdir().unwrap();
    let directory = home.path().join("opt/cni/bin");
    let (path, program) = (directory.join(PLUGIN), home.path().join("program"));
    fs::write(&program, "a program").unwrap();
    assert!(put_binary(&program, &directory).unwrap().ends_with(": written"));
    assert!(put_binary(&program, &directory).unwrap().ends_with(": is there already"));
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o7777, 0o755);
    fs::write(&path, "an older one").unwrap();
    assert!(put_binary(&program, &directory).unwrap().ends_with(": written"));
    assert_eq!(read(&path), "a program");
    assert!(put_binary(&home.path().join("none"), &directory).is_err());
    assert_eq!((read(&path).as_str(), names(&directory)), ("a program", vec![PLUGIN.to_owned()]));
    assert!(take_binary(&directory).unwrap().ends_with(": removed"));
    assert!(take_binary(&directory).unwrap().ends_with(": was not there"));
}
