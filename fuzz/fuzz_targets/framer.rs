//! See `restante::fuzzing::framer`.
#![no_main]
libfuzzer_sys::fuzz_target!(|octets: &[u8]| restante::fuzzing::framer(octets));
