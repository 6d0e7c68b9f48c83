//! `restante demo`.

use super::Failure;
use super::args::Demo;

/// Serves generated mail.
pub(super) fn run(_demo: &Demo) -> Result<(), Failure> {
    Err(Failure::general("not yet"))
}
