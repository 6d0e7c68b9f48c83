//! The I/O shell: everything asynchronous.
