//! Standard input, read to its end: so much, and for so long.

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use super::json::MAX_STDIN;
use crate::sys;

/// How long a runtime may take to say all it has to say, and to close its end. It has it ready.
pub const PATIENCE: Duration = Duration::from_secs(5);

/// Reads to the end, at most one byte more than [`MAX_STDIN`]: it tells that there is too much.
///
/// # Errors
/// What the system says, and [`io::ErrorKind::TimedOut`] where the end has not come within `patience`.
pub fn read(input: impl AsFd, patience: Duration) -> io::Result<Vec<u8>> {
    // Not through the buffer of `io::Stdin`, behind which nobody knows what is left to wait for.
    let mut file = File::from(input.as_fd().try_clone_to_owned()?);
    let end = Instant::now() + patience;
    let (mut bytes, mut part) = (Vec::new(), [0; 16 * 1024]);
    while bytes.len() <= MAX_STDIN {
        let left = end.saturating_duration_since(Instant::now());
        match sys::wait_readable(&file, left) {
            Ok(true) => {}
            Ok(false) => {
                let what = format!("its end has not come within {patience:?}");
                return Err(io::Error::new(io::ErrorKind::TimedOut, what));
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        }
        match file.read(&mut part) {
            Ok(0) => break,
            Ok(count) => bytes.extend_from_slice(&part[..count]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    bytes.truncate(MAX_STDIN + 1);
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::io::Write;

    use super::*;

    #[test]
    fn to_the_end_and_no_further() {
        for (length, expected) in [(0, 0), (100_000, 100_000), (6 << 20, MAX_STDIN + 1)] {
            let (reader, mut writer) = io::pipe().unwrap();
            let thread = std::thread::spawn(move || {
                // One that reads no more breaks the pipe.
                let _ = writer.write_all(&vec![b'x'; length]);
            });
            let bytes = read(&reader, PATIENCE).unwrap();
            drop(reader);
            thread.join().unwrap();
            assert_eq!(bytes.len(), expected);
        }
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(b"from a file").unwrap();
        assert_eq!(read(file.reopen().unwrap(), PATIENCE).unwrap(), b"from a file");
    }

    #[test]
    fn an_end_that_does_not_come() {
        let (reader, mut writer) = io::pipe().unwrap();
        writer.write_all(b"{}").unwrap();
        let error = read(&reader, Duration::from_millis(20)).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        assert_eq!(error.to_string(), "its end has not come within 20ms");
        drop(writer);
        assert!(read(&reader, PATIENCE).unwrap().is_empty());
    }
}
