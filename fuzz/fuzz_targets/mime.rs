//! See `restante::fuzzing::mime`.
#![no_main]
libfuzzer_sys::fuzz_target!(|octets: &[u8]| restante::fuzzing::mime(octets));
