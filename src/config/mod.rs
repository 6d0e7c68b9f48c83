//! Settings as plain data: types, defaults, reading, checking.
