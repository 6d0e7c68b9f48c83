//! See `restante::fuzzing::pop3_session`.
#![no_main]
libfuzzer_sys::fuzz_target!(|octets: &[u8]| restante::fuzzing::pop3_session(octets));
