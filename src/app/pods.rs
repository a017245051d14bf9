//! The pods' records: read at the start, and followed while they come and go.
//!
//! What there is to read is read on a thread for such work: neither queries nor the endpoints wait.

use std::sync::Arc;
use std::time::Instant;

use tokio::time::sleep;

use crate::config;
use crate::pods::{AT_START, EVERY, Folder, PER_LOOK};
use crate::serve::Server;

/// The directory that the configuration names, with what is in it read; `None` if it names none.
pub fn load(config: &config::Pods, server: &Server) -> Option<Folder> {
    let mut folder = Folder::new(config.dir.clone()?, config.namespaces);
    look(&mut folder, AT_START, server);
    let pods = server.pods.load().len();
    if pods > 0 {
        tracing::info!(pods, "pod records read");
    }
    Some(folder)
}

fn look(folder: &mut Folder, files: usize, server: &Server) {
    if let Some(table) = folder.look(Instant::now(), files) {
        server.set_pods(table);
    }
}

/// Looks at the directory again and again and hands what it says to the server. Does not return as
/// long as nothing panics. Cancel safe.
pub async fn follow(mut folder: Folder, server: Arc<Server>) {
    loop {
        sleep(EVERY).await;
        server.pods.tidy();
        if !folder.is_due(Instant::now()) {
            continue;
        }
        let server = Arc::clone(&server);
        let work = tokio::task::spawn_blocking(move || {
            look(&mut folder, PER_LOOK, &server);
            folder
        });
        match work.await {
            Ok(back) => folder = back,
            Err(error) => {
                tracing::error!(%error, "the pods' records are not followed any more");
                return;
            }
        }
    }
}
