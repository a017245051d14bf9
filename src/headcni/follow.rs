//! Following the file while it changes.

use std::convert::Infallible;
use std::path::Path;
use std::time::Duration;

use tokio::time::sleep;

use super::{Block, MAX_BYTES, ReadError, understand};
use crate::files::watch::{self, Look};

/// Looks at the file `every` so often ([`watch::EVERY`]) and calls `tell` when there is something to
/// tell: what it says, whenever that is new or can be read again, and each time that it cannot be read.
/// Never returns. Cancel safe. `tell` runs on the calling task and must not block.
pub async fn follow(
    path: &Path,
    every: Duration,
    mut tell: impl FnMut(Result<Block, ReadError>),
) -> Infallible {
    let mut last: Option<Block> = None;
    let mut failing = false;
    loop {
        match watch::look(path, MAX_BYTES, last.as_ref(), understand).await {
            Ok(Look::Moving) => {}
            Ok(Look::New(block)) => {
                failing = false;
                last = Some(block.clone());
                tell(Ok(block));
            }
            Ok(Look::Same) => {
                if std::mem::take(&mut failing)
                    && let Some(block) = last.clone()
                {
                    tell(Ok(block));
                }
            }
            Err(error) => {
                failing = true;
                tell(Err(error));
            }
        }
        sleep(every).await;
    }
}
