//! See `restante::fuzzing::imap_session`.
#![no_main]
libfuzzer_sys::fuzz_target!(|octets: &[u8]| restante::fuzzing::imap_session(octets));
