//! The limit of open files, raised as far as connections may need it.
//!
//! Not here: who opens files.

use nix::sys::resource::{Resource, getrlimit, setrlimit};

/// Files that the store and the listeners may have open, beside connections.
const FILES_BESIDE: u64 = 4096;

/// Raises the soft limit of open files as far as connections may need it and the hard one allows.
pub(super) fn raise_open_files(connections_max: usize) {
    let wanted = connections_max as u64 + FILES_BESIDE;
    let raised = getrlimit(Resource::RLIMIT_NOFILE).and_then(|(soft, hard)| match soft < wanted {
        true => setrlimit(Resource::RLIMIT_NOFILE, wanted.min(hard), hard).map(|()| wanted.min(hard)),
        false => Ok(soft),
    });
    match raised {
        Ok(files) if files < wanted => tracing::warn!(files, wanted, "fewer open files than connections may need"),
        Ok(_) => {}
        Err(error) => tracing::warn!(%error, "the limit of open files stays as it is"),
    }
}
