//! commands

mod fetch;
mod search;
