#![allow(clippy::unwrap_used)]
use super::*;
use crate::cni::names::{ContainerId, InterfaceName, NetworkName};
use crate::cni::record::{SearchFrom, VERSION};

fn identity(network: &str, container: &str) -> Identity {
    Identity {
        network: NetworkName::new(network).unwrap(),
        container: ContainerId::new(container).unwrap(),
        interface: InterfaceName::new("eth0").unwrap(),
    }
}

fn record(of: &Identity) -> PodRecord {
    PodRecord {
        version: VERSION,
        network: of.network.to_string(),
        container: of.container.to_string(),
        interface: of.interface.to_string(),
        netns: String::new(),
        netns_id: None,
        addresses: vec![],
        namespace: None,
        pod: None,
        uid: None,
        search: vec![],
        search_from: SearchFrom::Configuration,
        ndots: None,
        redirect: vec![],
        when_unix_s: 0,
    }
}

#[test]
fn a_record_comes_and_goes() {
    let home = tempfile::tempdir().unwrap();
    let records = Records::new(&home.path().join("run/pods"));
    let one = identity("n", "c");
    assert_eq!(records.find(&one).unwrap(), Found::Nothing);
    records.remove(&one).unwrap();
    records.write(&one, &record(&one)).unwrap();
    assert_eq!(records.find(&one).unwrap(), Found::Own(Box::new(record(&one))));
    let path = records.path(&one);
    assert_eq!(path, home.path().join("run/pods/n_c_eth0.json"));
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o7777, 0o644);
    records.remove(&one).unwrap();
    records.remove(&one).unwrap();
    assert!(!path.exists());
}

#[test]
fn below_what_is_no_directory_there_is_no_record_to_remove() {
    let home = tempfile::tempdir().unwrap();
    let (file, one) = (home.path().join("pods"), identity("n", "c"));
    fs::write(&file, "").unwrap();
    for directory in [file.clone(), file.join("below")] {
        let records = Records::new(&directory);
        assert!(records.write(&one, &record(&one)).is_err());
        assert_eq!(records.find(&one).unwrap(), Found::Nothing);
        records.remove(&one).unwrap();
    }
}

#[test]
fn attachments_that_share_a_file_name_do_not_share_a_record() {
    let home = tempfile::tempdir().unwrap();
    let records = Records::new(home.path());
    let (one, other) = (identity("a_b", "c"), identity("a", "b_c"));
    assert_eq!(records.path(&one), records.path(&other));
    records.write(&one, &record(&one)).unwrap();
    assert_eq!(records.find(&other).unwrap(), Found::Other(one.clone()));
    let error = records.write(&other, &record(&other)).unwrap_err();
    assert!(error.details().ends_with("a_b_c_eth0.json: the record of a_b, c, eth0"), "{error:?}");
    records.remove(&other).unwrap();
    assert_eq!(records.find(&one).unwrap(), Found::Own(Box::new(record(&one))));
}

#[test]
fn what_is_damaged_is_told_and_replaced_by_its_owner_alone() {
    let home = tempfile::tempdir().unwrap();
    let records = Records::new(home.path());
    let (one, two) = (identity("n", "one"), identity("n", "two"));
    records.write(&one, &record(&one)).unwrap();
    fs::write(records.path(&two), "{").unwrap();
    fs::write(home.path().join(".horizond-1-0"), "{").unwrap();
    fs::write(home.path().join("n_readme.txt"), "").unwrap();
    let Listing { records: sound, damaged } = records.list("n_").unwrap();
    assert_eq!(sound, [(one.clone(), record(&one))]);
    assert!(damaged.len() == 1 && damaged[0].starts_with("n_two_eth0.json: EOF"), "{damaged:?}");
    assert!(matches!(records.find(&two).unwrap(), Found::Damaged(_)));
    records.write(&two, &record(&two)).unwrap();
    fs::write(records.path(&two), "{").unwrap();
    records.remove(&two).unwrap();
    assert_eq!(records.find(&two).unwrap(), Found::Nothing);
}

#[test]
fn a_link_is_no_record() {
    let home = tempfile::tempdir().unwrap();
    let records = Records::new(&home.path().join("pods"));
    let one = identity("n", "one");
    records.write(&one, &record(&one)).unwrap();
    let elsewhere = home.path().join("elsewhere");
    fs::rename(records.path(&one), &elsewhere).unwrap();
    std::os::unix::fs::symlink(&elsewhere, records.path(&one)).unwrap();
    assert_eq!(records.find(&one).unwrap(), Found::Damaged("a symbolic link".into()));
    let before = fs::read(&elsewhere).unwrap();
    records.write(&one, &PodRecord { when_unix_s: 7, ..record(&one) }).unwrap();
    assert!(!records.path(&one).is_symlink());
    assert_eq!(fs::read(&elsewhere).unwrap(), before);
}
