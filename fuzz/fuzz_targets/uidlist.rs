//! See `restante::fuzzing::uidlist`.
#![no_main]
libfuzzer_sys::fuzz_target!(|octets: &[u8]| restante::fuzzing::uidlist(octets));
