use super::*;
use std::io::Cursor;

/// A message long enough to be compressed.
fn message() -> Vec<u8> {
    let mut message = b"Subject: compressed\n\n".to_vec();
    for n in 0..5000_u32 {
        message.extend(format!("line {n} {}\n", n.wrapping_mul(2_654_435_761)).bytes());
    }
    message
}

/// As Dovecot writes it, here with blocks of an odd size.
fn lz4(octets: &[u8]) -> Vec<u8> {
    let mut file = [LZ4_MAGIC, &40_000_u32.to_be_bytes()].concat();
    for block in octets.chunks(40_000) {
        let packed = lz4_flex::block::compress(block);
        file.extend(u32::try_from(packed.len()).unwrap().to_be_bytes());
        file.extend(packed);
    }
    file
}

fn gzip(octets: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(octets).unwrap();
    encoder.finish().unwrap()
}

fn bzip2(octets: &[u8]) -> Vec<u8> {
    let mut encoder = bzip2::write::BzEncoder::new(Vec::new(), bzip2::Compression::default());
    encoder.write_all(octets).unwrap();
    encoder.finish().unwrap()
}

fn zstd(octets: &[u8]) -> Vec<u8> {
    use ruzstd::encoding::{CompressionLevel, compress_to_vec};
    compress_to_vec(octets, CompressionLevel::Fastest)
}

fn all(octets: &[u8]) -> [(Form, Vec<u8>); 4] {
    [
        (Form::Gzip, gzip(octets)),
        (Form::Bzip2, bzip2(octets)),
        (Form::Zstd, zstd(octets)),
        (Form::Lz4, lz4(octets)),
    ]
}

fn expand(file: &[u8]) -> io::Result<Vec<u8>> {
    let form = Form::of(file.get(..FIRST_OCTETS).unwrap_or(file));
    let mut out = Vec::new();
    form.expand(Cursor::new(file), &mut out).map(|()| out)
}

fn unreadable(file: &[u8]) -> Option<Unreadable> {
    Unreadable::of(&expand(file).err()?)
}

#[test]
fn each_form_gives_the_message() {
    let message = message();
    for (form, file) in all(&message) {
        assert_eq!(Form::of(&file[..FIRST_OCTETS]), form);
        assert!(file.len() < message.len(), "{form:?}");
        assert!(expand(&file).unwrap() == message, "{form:?}");
    }
}

/// A message as the programs of three forms wrote it.
const WRITTEN_BY_OTHERS: [&[u8]; 3] = [
    b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03\x0b.M\xcaJM.\xb1R(JM\xcc\xe1\xe2J\xcaO\xa9T@%\xb8\x00\
              \x9aX\xb1\xbf#\x00\x00\x00",
    b"BZh91AY&SY$\xdf\x7f\x11\x00\x00\x04[\x80\x00\x10@\x00\x00\x10\x08\x00>\x14\x96  \x00!\xa2hh\
              \x1b(S\x00\x04\xd3\x8a\xce\xd71\xd5-\x10@J\xa9\xc0\x92P\x1f\x17rE8P\x90$\xdf\x7f\x11",
    b"(\xb5/\xfd\x04X\xdd\x00\x00\xa8Subject: real\x0a\x0abody \x0a\x01\x00 \x17&\x04-\x08S",
];

#[test]
fn what_other_programs_wrote_is_read() {
    for file in WRITTEN_BY_OTHERS {
        assert_ne!(Form::of(file), Form::Plain);
        let message = expand(file).unwrap();
        assert_eq!(message, b"Subject: real\n\nbody body body body\n");
    }
}

#[test]
fn several_streams_behind_each_other_are_one_message() {
    let (first, second) = (message(), b"and more\n".to_vec());
    for ((form, mut file), (_, more)) in all(&first).into_iter().zip(all(&second)) {
        if form == Form::Lz4 {
            continue;
        }
        file.extend(more);
        assert!(
            expand(&file).unwrap() == [&first[..], &second].concat(),
            "{form:?}"
        );
    }
}

#[test]
fn what_is_cut_off_or_changed_is_damaged() {
    for (form, file) in all(&message()) {
        for length in [FIRST_OCTETS, file.len() / 2, file.len() - 1] {
            assert_eq!(
                unreadable(&file[..length]),
                Some(Unreadable::Damaged),
                "{form:?} {length}"
            );
        }
        // LZ4 has no checksum
        if form != Form::Lz4 {
            let mut changed = file.clone();
            changed[file.len() / 2] ^= 0x55;
            assert_eq!(
                unreadable(&changed),
                Some(Unreadable::Damaged),
                "{form:?} changed"
            );
        }
    }
    for size in [0_u32, 1_048_577, u32::MAX] {
        let file = [LZ4_MAGIC, &size.to_be_bytes()].concat();
        assert_eq!(unreadable(&file), Some(Unreadable::Damaged), "{size}");
        let file = [LZ4_MAGIC, &65_536_u32.to_be_bytes(), &size.to_be_bytes()].concat();
        assert_eq!(unreadable(&file), Some(Unreadable::Damaged), "{size}");
    }
}

#[test]
fn what_others_alone_can_read_is_told_from_damage() {
    assert_eq!(
        unreadable(b"CRYPTED\x03\x07\x02\0\0\0\0more"),
        Some(Unreadable::Encrypted)
    );
    assert_eq!(
        unreadable(b"\xfd7zXZ\0\0\x04more"),
        Some(Unreadable::Unsupported)
    );
}

#[test]
fn no_mail_header_is_taken_for_a_form() {
    for text in [
        &b""[..],
        b"\x1f\x8b",
        b"BZh91AY&SY: a field of that name\nSubject: x\n\n",
        b"BZh91AY&SY",
        b"BZh\n",
        b"Dovecot-LZ4: x\n\n",
        b"CRYPTED: x\n\n",
        b"(\n",
        b"From: x\n\n",
    ] {
        assert_eq!(Form::of(text), Form::Plain, "{text:?}");
        assert_eq!(expand(text).unwrap(), text);
    }
}

#[test]
fn no_more_is_written_than_is_allowed() {
    let mut out = Vec::new();
    let mut bounded = Bounded {
        out: &mut out,
        left: 10,
    };
    let error = copy(MultiGzDecoder::new(&gzip(&[0; 11])[..]), &mut bounded).unwrap_err();
    assert_eq!(Unreadable::of(&error), Some(Unreadable::TooLarge));
    assert!(out.len() <= 10);
}

#[test]
fn trouble_of_the_system_is_no_damage() {
    struct Failing;
    impl Read for Failing {
        fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
            Err(io::Error::from_raw_os_error(5))
        }
    }
    for (form, file) in all(&message()) {
        let source = Cursor::new(file[..FIRST_OCTETS].to_vec()).chain(Failing);
        let error = form.expand(source, &mut Vec::new()).unwrap_err();
        assert_eq!(error.raw_os_error(), Some(5), "{form:?}");
    }
}
