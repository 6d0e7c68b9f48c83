//! uid_validity
