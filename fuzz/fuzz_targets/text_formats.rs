//! See `restante::fuzzing::text_formats`.
#![no_main]
libfuzzer_sys::fuzz_target!(|octets: &[u8]| restante::fuzzing::text_formats(octets));
