//! Bodies of all fuzz targets (`fuzz/`), also run on every seed by `cargo test`. A body panics when something is wrong.
