//! `restante serve`.

use super::Failure;
use std::path::Path;

/// Serves until SIGTERM.
pub(super) fn run(_config: &Path) -> Result<(), Failure> {
    Err(Failure::general("not yet"))
}
