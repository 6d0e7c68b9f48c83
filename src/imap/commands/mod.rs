//! commands

pub(crate) mod fetch;
pub(crate) mod search;
