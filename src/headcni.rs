//! HeadCNI's `magic_dns` block as the source of a route's suffixes and upstreams: one truth for both.
//!
//! [`read`] finds the block in a file, [`Learnt`] knows what a route has from it and keeps that when the
//! file goes bad, [`follow`] looks at the file again and again, [`check`] says what a configuration would
//! have from it. What the block's keys are called is [`crate::cni::magic_dns`]'s; who owns which name and
//! who is asked is decided elsewhere, from what is learnt here. Nothing here lies on the road of a query.

use std::path::{Path, PathBuf};

use crate::cni::error::CniError;
use crate::cni::json;
use crate::cni::magic_dns::MagicDns;
use crate::files::{self, FileError};

mod check;
mod follow;
mod learnt;

pub use check::{Report, check};
pub use follow::follow;
pub use learnt::{Learnt, Servers};

/// The most bytes of a file that are read: as many as the plugin takes.
pub const MAX_BYTES: usize = json::MAX_FILE;

/// The block of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Block {
    /// The key that it stands under, as `plugins[0].magic_dns`.
    pub key: String,
    /// What it says.
    pub said: MagicDns,
}

/// Why a file gives no block.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// It cannot be read, or is no file.
    #[error(transparent)]
    File(#[from] FileError),
    /// It is longer than [`MAX_BYTES`].
    #[error("{} is longer than {MAX_BYTES} bytes", .0.display())]
    TooLong(PathBuf),
    /// Not JSON (half of it, or nothing), or not of HeadCNI's shape.
    #[error("{}: {why}", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// The key and what is wrong with it, or where the JSON ends.
        why: String,
    },
    /// No plugin has one.
    #[error("{} has no magic_dns block on any plugin", .0.display())]
    NoBlock(PathBuf),
}

/// Reads the file once. Blocks for as long as the file system does; a pipe does not block it.
///
/// # Errors
/// Says why it gives no block.
pub fn read(path: &Path) -> Result<Block, ReadError> {
    understand(path, &files::read(path, MAX_BYTES)?)
}

fn understand(path: &Path, bytes: &[u8]) -> Result<Block, ReadError> {
    if bytes.len() > MAX_BYTES {
        return Err(ReadError::TooLong(path.to_owned()));
    }
    let malformed = |error: CniError| {
        let (path, why) = (path.to_owned(), error.details().to_owned());
        ReadError::Malformed { path, why }
    };
    let keys = json::decode(bytes).map_err(malformed)?;
    match MagicDns::find(&keys).map_err(malformed)? {
        Some((key, said)) => Ok(Block { key, said }),
        None => Err(ReadError::NoBlock(path.to_owned())),
    }
}

#[cfg(test)]
mod tests;
