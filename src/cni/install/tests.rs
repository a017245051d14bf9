#![allow(clippy::unwrap_used)]
use std::os::unix::fs::symlink;

use serde_json::json;
use tempfile::TempDir;

use super::*;
use crate::cni::conflist::PLUGIN;

const REAL: Hands = Hands { dry: false };
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
    assert!(put_entry(REAL, &place, &keys).unwrap().contains("entry added; as it was: "));
    let once = read(&path);
    assert!(put_entry(REAL, &place, &keys).unwrap().ends_with("has the entry already"));
    assert_eq!((read(&path), types(&path)), (once, vec!["headcni".into(), PLUGIN.to_owned()]));
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    let kept = "10-cbr0.conflist.before-horizond";
    assert_eq!(names(home.path()), ["10-cbr0.conflist", kept, "99-other.conflist"]);
    assert_eq!(read(&home.path().join(kept)), LIST);

    let said = take_entry(REAL, &place).unwrap().said;
    assert!(said[0].ends_with("10-cbr0.conflist: entry removed"), "{said:?}");
    assert!(said[1].ends_with(&format!("{kept}: removed")), "{said:?}");
    assert!(said[2].starts_with("left alone: ") && said[2].contains("99-other"), "{said:?}");
    assert_eq!((read(&path).as_str(), names(home.path()).len()), (LIST, 2));
    assert_eq!(take_entry(REAL, &place).unwrap().said.len(), 1);
}

#[test]
fn what_others_changed_since_stays_changed() {
    let (home, place) = directory(&[("a.conflist", LIST)]);
    let path = home.path().join("a.conflist");
    put_entry(REAL, &place, &Map::new()).unwrap();
    fs::write(&path, read(&path).replace("headcni", "bridge")).unwrap();
    take_entry(REAL, &place).unwrap();
    assert_eq!(types(&path), ["bridge"]);
    assert_eq!(names(home.path()), ["a.conflist"]);
    // One that another program wrote anew, without us.
    put_entry(REAL, &place, &Map::new()).unwrap();
    fs::write(&path, LIST).unwrap();
    let said = take_entry(REAL, &place).unwrap().said;
    assert!(said.len() == 1 && said[0].ends_with(".before-horizond: removed"), "{said:?}");
    assert_eq!((read(&path).as_str(), names(home.path()).len()), (LIST, 1));
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
        let error = put_entry(REAL, &place, &Map::new()).unwrap_err().to_string();
        assert!(error.contains(name) && error.contains(expected), "{error}");
        assert!(put_drop_in(REAL, &place, &Map::new()).is_err());
        assert_eq!(read(&home.path().join(name)), text);
        assert_eq!(names(home.path()), [name, "b.conflist"]);
    }
    let (home, place) = directory(&[("a.conflist.headcni_bak", LIST), ("readme", "")]);
    let error = put_entry(REAL, &place, &Map::new()).unwrap_err().to_string();
    assert!(error.ends_with("no network configuration is in it yet"), "{error}");
    assert!(take_entry(REAL, &place).unwrap().said.is_empty());
    let none = Place::File(home.path().join("none.conflist"));
    assert!(put_entry(REAL, &none, &Map::new()).is_err());
}

/// A slip in a path must not leave a list without its program.
#[test]
fn nothing_is_taken_from_what_is_not_there() {
    let (home, place) = directory(&[("10-cbr0.conflist", LIST)]);
    put_entry(REAL, &place, &Map::new()).unwrap();
    let missing = home.path().join("none");
    for place in [Place::File(missing.join("x.conflist")), Place::Directory(missing)] {
        let error = take_entry(REAL, &place).unwrap_err().to_string();
        assert!(error.contains("is not there; say with --conf-dir or --conflist"), "{error}");
    }
    // A name without a directory is in this one.
    assert_eq!(Place::File("20.conflist".into()).directory(), Path::new("."));
    assert_eq!(types(&home.path().join("10-cbr0.conflist")), ["headcni", PLUGIN]);
}

#[test]
fn what_cannot_be_read_keeps_no_entry_in_its_list() {
    let (home, place) = directory(&[("10-cbr0.conflist", LIST)]);
    put_entry(REAL, &place, &Map::new()).unwrap();
    symlink("/nowhere", home.path().join("05.conflist")).unwrap();
    fs::write(home.path().join("99.conflist"), vec![b' '; MAX_FILE + 1]).unwrap();
    let taken = take_entry(REAL, &place).unwrap();
    assert!(taken.failed.is_none());
    assert!(taken.said[0].starts_with("left alone: ") && taken.said[0].contains("05.conflist"));
    assert!(taken.said[1].ends_with("10-cbr0.conflist: entry removed"), "{:?}", taken.said);
    assert!(taken.said[3].contains("99.conflist: longer than"), "{:?}", taken.said);
    assert_eq!(read(&home.path().join("10-cbr0.conflist")), LIST);
    check_taken(REAL, &place).unwrap();
    // One that is not understood and names us is for people.
    let twice = format!(r#"{{"plugins":[{{"type":"{PLUGIN}"}},{{"type":"{PLUGIN}"}}]}}"#);
    let odd = home.path().join("20-odd.conflist");
    fs::write(&odd, twice).unwrap();
    for place in [&place, &Place::File(odd.clone())] {
        assert!(take_entry(REAL, place).unwrap().failed.is_none());
        let error = check_taken(REAL, place).unwrap_err().to_string();
        assert!(error.ends_with("still names the plugin; take it out by hand"), "{error}");
        check_taken(Hands { dry: true }, place).unwrap();
    }
    check_taken(REAL, &Place::File(home.path().join("10-cbr0.conflist"))).unwrap();
}

#[test]
fn a_list_behind_a_link() {
    let (home, _) = directory(&[]);
    let real = home.path().join("elsewhere/real");
    fs::create_dir(home.path().join("elsewhere")).unwrap();
    fs::write(&real, LIST).unwrap();
    let link = home.path().join("a.conflist");
    symlink(&real, &link).unwrap();
    let place = Place::File(link.clone());
    put_entry(REAL, &place, &Map::new()).unwrap();
    assert!(link.is_symlink());
    assert_eq!(types(&real), ["headcni", PLUGIN]);
    take_entry(REAL, &place).unwrap();
    assert_eq!(read(&real), LIST);
    // Runtimes look for the folder beside the link.
    put_drop_in(REAL, &place, &Map::new()).unwrap();
    assert_eq!(names(home.path()), ["a.conflist", "cbr0", "elsewhere"]);
    assert_eq!(names(&home.path().join("elsewhere")), ["real"]);
    take_entry(REAL, &place).unwrap();
    assert_eq!(names(home.path()), ["a.conflist", "elsewhere"]);
}

#[test]
fn a_list_stays_its_owners() {
    let (home, place) = directory(&[("a.conflist", LIST)]);
    let path = home.path().join("a.conflist");
    // Only root can give files away.
    let is_root = std::os::unix::fs::chown(&path, Some(65534), Some(65533)).is_ok();
    let owner = |path: &Path| {
        let about = fs::metadata(path).unwrap();
        (std::os::unix::fs::MetadataExt::uid(&about), std::os::unix::fs::MetadataExt::gid(&about))
    };
    let before = owner(&path);
    assert_eq!(before == (65534, 65533), is_root);
    put_entry(REAL, &place, &Map::new()).unwrap();
    assert_eq!(owner(&path), before);
    take_entry(REAL, &place).unwrap();
    assert_eq!((owner(&path), read(&path).as_str()), (before, LIST));
}

#[test]
fn headcnis_block_is_copied_and_kept_in_step() {
    let list = |domain: &str| {
        let block = json!({"enable": true, "search_domains": [domain], "its": {"own": [1]}});
        json!({"cniVersion": "1.0.0", "name": "cbr0", "plugins": [
            {"type": "headcni", "magic_dns": block}, {"type": "portmap"}]})
    };
    let block = |path: &Path| {
        let value: Value = serde_json::from_str(&read(path)).unwrap();
        let entry = value["plugins"].as_array().map_or(value.clone(), |all| all[2].clone());
        entry["magic_dns"].clone()
    };
    let (home, place) = directory(&[("10-cbr0.conflist", &list("c.binrc.com").to_string())]);
    let path = home.path().join("10-cbr0.conflist");
    put_entry(REAL, &place, &Map::new()).unwrap();
    assert_eq!(block(&path), list("c.binrc.com")["plugins"][0]["magic_dns"]);
    assert!(put_entry(REAL, &place, &Map::new()).unwrap().ends_with("has the entry already"));
    fs::write(&path, read(&path).replacen("c.binrc.com", "d.binrc.com", 1)).unwrap();
    assert!(put_entry(REAL, &place, &Map::new()).unwrap().ends_with("entry changed"));
    assert_eq!(block(&path), list("d.binrc.com")["plugins"][0]["magic_dns"]);
    take_entry(REAL, &place).unwrap();

    put_drop_in(REAL, &place, &Map::new()).unwrap();
    let drop_in = home.path().join("cbr0/90-horizond-cni.conf");
    assert_eq!(block(&drop_in), list("d.binrc.com")["plugins"][0]["magic_dns"]);
    fs::write(&path, list("e.binrc.com").to_string()).unwrap();
    assert!(put_drop_in(REAL, &place, &Map::new()).unwrap().ends_with(": written"));
    assert_eq!(block(&drop_in), list("e.binrc.com")["plugins"][0]["magic_dns"]);
    // One that HeadCNI wrote otherwise than the plugin reads it would break every pod.
    fs::write(&path, list("e").to_string().replace("[\"e\"]", "7")).unwrap();
    let error = put_drop_in(REAL, &place, &Map::new()).unwrap_err().to_string();
    assert!(error.contains("would be refused by the plugin") && error.contains("search_domains"));
}

#[test]
fn nothing_is_done_in_a_dry_run() {
    let (home, place) = directory(&[("10-cbr0.conflist", LIST)]);
    let (dry, bin) = (Hands { dry: true }, home.path().join("bin"));
    let program = home.path().join("program");
    fs::write(&program, "a program").unwrap();
    assert!(put_binary(dry, &program, &bin).unwrap().ends_with(": written"));
    assert!(put_entry(dry, &place, &Map::new()).unwrap().contains("entry added"));
    assert!(put_drop_in(dry, &place, &Map::new()).unwrap().ends_with(": written"));
    assert_eq!(names(home.path()), ["10-cbr0.conflist", "program"]);
    assert_eq!(read(&home.path().join("10-cbr0.conflist")), LIST);
    put_binary(REAL, &program, &bin).unwrap();
    put_entry(REAL, &place, &Map::new()).unwrap();
    let before = read(&home.path().join("10-cbr0.conflist"));
    let said = take_entry(dry, &place).unwrap().said;
    assert!(said.len() == 2 && said[0].ends_with("entry removed"), "{said:?}");
    assert!(take_binary(dry, &bin, &place, &BTreeSet::new()).unwrap().ends_with(": removed"));
    assert_eq!(read(&home.path().join("10-cbr0.conflist")), before);
    assert_eq!((names(&bin), names(home.path()).len()), (vec![PLUGIN.to_owned()], 4));
}

#[test]
fn the_program_stays_while_it_may_be_called() {
    let (home, place) = directory(&[("10-cbr0.conflist", LIST)]);
    let (bin, program) = (home.path().join("bin"), home.path().join("program"));
    fs::write(&program, "a program").unwrap();
    put_binary(REAL, &program, &bin).unwrap();
    let take = |pods: &[&Path]| {
        let pods = pods.iter().map(|path| path.to_path_buf()).collect();
        take_binary(REAL, &bin, &place, &pods)
    };
    // A list that is left alone because it is not understood; and a file in a folder.
    let twice = format!(r#"{{"plugins":[{{"type":"{PLUGIN}"}},{{"type":"{PLUGIN}"}}]}}"#);
    fs::write(home.path().join("20-odd.conflist"), twice).unwrap();
    let error = take(&[]).unwrap_err().to_string();
    assert!(error.contains("20-odd.conflist: still names the plugin"), "{error}");
    fs::remove_file(home.path().join("20-odd.conflist")).unwrap();
    fs::create_dir(home.path().join("net2")).unwrap();
    fs::write(home.path().join("net2/50-own.conf"), format!(r#"{{"type":"{PLUGIN}"}}"#)).unwrap();
    assert!(take(&[]).unwrap_err().to_string().contains("net2/50-own.conf: still names"));
    fs::remove_file(home.path().join("net2/50-own.conf")).unwrap();
    // A pod that lives; one that is gone has nothing to be undone.
    let pods = home.path().join("pods");
    fs::create_dir(&pods).unwrap();
    let record = |id: &str, netns: &str| {
        let text = json!({"version": 1, "network": "cbr0", "container": id, "interface": "eth0",
            "netns": netns, "when_unix_s": 1});
        fs::write(pods.join(format!("cbr0_{id}_eth0.json")), text.to_string()).unwrap();
    };
    record("gone", "/run/netns/none-of-this-name");
    record("lives", home.path().to_str().unwrap());
    let said = take(&[&pods, &home.path().join("none")]).unwrap();
    let again = format!("when they are gone, again with --pod-dir {}", pods.display());
    assert!(said.contains("stays for 1 pods made with it; ") && said.ends_with(&again), "{said}");
    assert_eq!(names(&bin), [PLUGIN]);
    fs::remove_file(pods.join("cbr0_lives_eth0.json")).unwrap();
    assert!(take(&[&pods]).unwrap().ends_with(": removed"));
    assert!(take(&[&pods]).unwrap().ends_with(": was not there"));
}

#[test]
fn where_the_records_of_an_entry_are_is_known() {
    let (_home, place) = directory(&[("10-cbr0.conflist", LIST)]);
    let keys = json!({"podDir": "/var/pods"}).as_object().unwrap().clone();
    let expected = BTreeSet::from([PathBuf::from("/var/pods")]);
    put_entry(REAL, &place, &keys).unwrap();
    assert_eq!(take_entry(REAL, &place).unwrap().pod_dirs, expected);
    put_drop_in(REAL, &place, &keys).unwrap();
    assert_eq!(take_entry(REAL, &place).unwrap().pod_dirs, expected);
    let taken = take_entry(REAL, &place).unwrap();
    assert!(taken.said.is_empty() && taken.pod_dirs.is_empty());
}

#[test]
fn a_file_in_the_networks_folder() {
    let (home, place) = directory(&[("10-cbr0.conflist", LIST)]);
    let path = home.path().join("cbr0").join("90-horizond-cni.conf");
    assert!(
        put_drop_in(REAL, &place, &Map::new()).unwrap().ends_with("90-horizond-cni.conf: written")
    );
    let keys = json!({"redirect": "required"}).as_object().unwrap().clone();
    put_drop_in(REAL, &place, &keys).unwrap();
    assert!(put_drop_in(REAL, &place, &Map::new()).unwrap().ends_with("has the entry already"));
    let entry: Value = serde_json::from_str(&read(&path)).unwrap();
    let capabilities = json!({"dns": true, "io.kubernetes.cri.pod-annotations": true});
    let expected = json!({"type": PLUGIN, "capabilities": capabilities, "redirect": "required"});
    assert_eq!(entry, expected);
    assert_eq!(read(&home.path().join("10-cbr0.conflist")), LIST);
    // One of both, or the plugin would run twice.
    assert!(put_entry(REAL, &place, &Map::new()).unwrap_err().to_string().contains("already"));
    take_entry(REAL, &place).unwrap();
    assert_eq!(names(home.path()), ["10-cbr0.conflist"]);
    put_entry(REAL, &place, &Map::new()).unwrap();
    assert!(put_drop_in(REAL, &place, &Map::new()).unwrap_err().to_string().contains("already"));
    for word in ["true", "\"True\""] {
        let key = format!("\"loadOnlyInlinedPlugins\": {word}, \"name\"");
        let (_home, place) = directory(&[("a.conflist", &LIST.replace("\"name\"", &key))]);
        let error = put_drop_in(REAL, &place, &Map::new()).unwrap_err().to_string();
        assert!(error.contains("keeps the folder"), "{error}");
    }
}

#[test]
fn the_binary_comes_and_goes() {
    let home = tempfile::tempdir().unwrap();
    let directory = home.path().join("opt/cni/bin");
    let (path, program) = (directory.join(PLUGIN), home.path().join("program"));
    fs::write(&program, "a program").unwrap();
    assert!(put_binary(REAL, &program, &directory).unwrap().ends_with(": written"));
    assert!(put_binary(REAL, &program, &directory).unwrap().ends_with(": is there already"));
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o7777, 0o755);
    fs::write(&path, "an older one").unwrap();
    assert!(put_binary(REAL, &program, &directory).unwrap().ends_with(": written"));
    assert_eq!(read(&path), "a program");
    assert!(put_binary(REAL, &home.path().join("none"), &directory).is_err());
    assert_eq!((read(&path).as_str(), names(&directory)), ("a program", vec![PLUGIN.to_owned()]));
    fs::set_permissions(&path, Permissions::from_mode(0o644)).unwrap();
    assert!(put_binary(REAL, &program, &directory).unwrap().ends_with(": written"));
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o7777, 0o755);
    // Where other programs have links into one of theirs, that stays as it is.
    let theirs = home.path().join("theirs");
    fs::rename(&path, &theirs).unwrap();
    symlink(&theirs, &path).unwrap();
    fs::write(&program, "a newer one").unwrap();
    put_binary(REAL, &program, &directory).unwrap();
    assert!(!path.is_symlink() && read(&theirs) == "a program");
}
