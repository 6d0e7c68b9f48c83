//! Bodies of all fuzz targets (`fuzz/`), also run on every seed by `cargo test`. A body panics when something is wrong.

/// SASL mechanisms, user names, stored hashes.
///
/// # Panics
/// If something is wrong.
pub fn sasl(octets: &[u8]) {
    crate::auth::fuzzing::sasl(octets);
}
