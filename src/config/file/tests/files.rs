//! Files that cannot be read, and how errors look to a person.

use std::fs;

use super::*;

fn only_error(path: &Path) -> String {
    let errors = load(path).unwrap_err();
    assert_eq!(errors.list.len(), 1, "{errors}");
    assert_eq!(errors.to_string(), format!("{}\n1 error", errors.list[0]));
    errors.list[0].to_string().replace(&path.display().to_string(), "PATH")
}

#[test]
fn files_that_are_no_configuration() {
    let dir = tempfile::tempdir().unwrap();
    assert_eq!(only_error(dir.path()), "PATH: this is a directory; name the file in it");
    let path = dir.path().join("horizond.toml");
    assert_eq!(
        only_error(&path),
        "PATH: the file cannot be read: No such file or directory (os error 2); \
         name another with --config"
    );
    fs::write(&path, b"# \xc3\xa9\n# \xc3\xa9\xff\n").unwrap();
    assert_eq!(only_error(&path), "PATH:2:4: the text is not UTF-8 from here on; save it as UTF-8");
    fs::write(&path, vec![b'#'; MAX_FILE + 1]).unwrap();
    let too_large = "PATH: the file is larger than 4MiB; a configuration has to be smaller";
    assert_eq!(only_error(&path), too_large);
    assert_eq!(only_error(Path::new("/dev/zero")), "PATH: this is not a regular file; name a file");
}

#[test]
fn the_largest_file_is_read() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("horizond.toml");
    let text = format!("{ROUTE}{}", "#".repeat(MAX_FILE - ROUTE.len()));
    fs::write(&path, &text).unwrap();
    assert_eq!(load(&path).unwrap().config.hash, Config::hash_of(text.as_bytes()));
    assert!(parse(&(text + "#"), &path).is_err());
}

#[test]
fn errors_are_shown_one_a_line_with_their_number() {
    let errors = read("[cache]\nmemory = 1\nstale = \"1y\"\n").unwrap_err();
    assert_eq!(
        errors.to_string(),
        "horizond.toml:1:1: route: there is no route, so nothing could be answered; \
         add a [[route]] with name, suffixes and upstreams\n\
         horizond.toml:2:10: cache.memory: 1 is out of range; write 1MiB to 64GiB\n\
         horizond.toml:3:9: cache.stale: \"1y\" has an unknown unit; \
         write a whole number with ms, s, m, h or d, like \"250ms\" or \"5s\"\n\
         3 errors"
    );
}

#[test]
fn no_more_errors_are_kept_than_anyone_reads() {
    let many: String = (0..3000).map(|i| format!("k{i} = 1\n")).collect();
    let errors = read(&(many + ROUTE)).unwrap_err();
    assert_eq!((errors.list.len(), errors.more), (MAX_ERRORS, 2000));
    assert!(errors.to_string().ends_with("\n3000 errors, the first 1000 are shown"));
}
