//! See `restante::fuzzing::deflate`.
#![no_main]
libfuzzer_sys::fuzz_target!(|octets: &[u8]| restante::fuzzing::deflate(octets));
