//! special_use
