//! The UID list, whole and damaged.

use super::*;
use proptest::prelude::*;

const WHOLE: &str = "3 V1721823000 N31 Ge5b1c9a47f0d2c66b0a1000091d7a2f3 Xnew\n1 :1721823666.M512901P7788.mx1,S=4310\n\
                     2 W1300 :1721823670.M1P7788.mx1,S=1267\n7 P00:00 O2 Gabc123 :1721824000.M9P7790.mx1:2,S\n30 S901 W930 :1721830000.77\n";

fn parse(text: &str) -> (UidList, Damage) {
    UidList::parse(text.as_bytes().to_vec(), None).unwrap()
}

fn uids(list: &UidList) -> Vec<u32> {
    list.records().map(|record| record.uid.value()).collect()
}

#[test]
fn reads_what_dovecot_writes() {
    let (list, damage) = parse(WHOLE);
    assert!(!damage.any());
    assert_eq!(
        (
            list.uid_validity().value(),
            list.uid_next().map(Uid::value),
            list.version()
        ),
        (1_721_823_000, Some(31), 3)
    );
    assert_eq!(list.guid.map(|guid| guid[0]), Some(0xe5));
    assert_eq!(uids(&list), [1, 2, 7, 30]);
    let record = list.record(Uid::new(7).unwrap()).unwrap();
    assert_eq!(
        (
            record.base,
            record.field(b'P'),
            record.field(b'O'),
            record.field(b'W')
        ),
        (
            &b"1721824000.M9P7790.mx1"[..],
            Some(&b"00:00"[..]),
            Some(&b"2"[..]),
            None
        )
    );
    assert_eq!(record.fields(), b"P00:00 O2 Gabc123");
    assert_eq!(list.record(Uid::new(1).unwrap()).unwrap().fields(), b"");
    assert!(list.record(Uid::new(8).unwrap()).is_none());
}

#[test]
fn writes_what_it_reads() {
    let (list, _) = parse(WHOLE);
    let printed = list.print(|_| Edit::Keep);
    assert_eq!(
        String::from_utf8(printed).unwrap(),
        WHOLE.replace(":2,S", "")
    );
    let edited = list.print(|record| match record.uid.value() {
        1 => Edit::Drop,
        2 => Edit::Fields(b"P1".to_vec()),
        7 => Edit::Fields(Vec::new()),
        _ => Edit::Keep,
    });
    let (edited, damage) = UidList::parse(edited, None).unwrap();
    assert!(!damage.any());
    assert_eq!(uids(&edited), [2, 7, 30]);
    assert_eq!(
        edited.record(Uid::new(2).unwrap()).unwrap().field(b'P'),
        Some(&b"1"[..])
    );
}

/// A record to be added.
fn new<'a>(base: &'a str, fields: &'a str) -> NewRecord<'a> {
    NewRecord {
        base: base.as_bytes(),
        fields: fields.as_bytes(),
    }
}

#[test]
fn gives_uids_above_all() {
    let text = "3 V1 N3\n1 :a\n9 :b\n";
    let (mut list, _) = parse(text);
    let added = list.add([new("c", ""), new("d", "P7 O2")]).unwrap();
    let lines = list.lines_of(&added).to_vec();
    assert_eq!(String::from_utf8_lossy(&lines), "10 :c\n11 P7 O2 :d\n");
    let values: Vec<u32> = added.uids.iter().map(|uid| uid.value()).collect();
    assert_eq!(values, [10, 11]);
    // what was added is what would be read
    let (mut read, _) = parse(text);
    assert!(!read.extend(&lines).any());
    for list in [&list, &read] {
        assert_eq!(
            (uids(list), list.uid_next().map(Uid::value)),
            (vec![1, 9, 10, 11], Some(12))
        );
    }
    assert!(list.records().eq(read.records()));
    assert_eq!(list.last_octets(), read.last_octets());
    assert_eq!(list.octets(), read.octets());
    for (text, too_many) in [("3 V1 N4294967294\n", 2), ("3 V1 N4294967295\n", 1)] {
        let (mut list, _) = parse(text);
        let before = list.uid_next();
        assert!(list.add((0..too_many).map(|_| new("c", ""))).is_none());
        assert_eq!((list.len(), list.uid_next()), (0, before));
    }
}

#[test]
fn what_was_added_is_taken_back() {
    let (mut list, _) = parse("3 V1 N3\n1 :a\n9 P1 :b\n");
    list.forget_plain();
    let before = list.clone();
    let added = list.add([new("c", ""), new("d", "P7")]).unwrap();
    list.take_back(&added);
    assert!(list.records().eq(before.records()));
    assert_eq!(list.uid_next(), before.uid_next());
    assert_eq!(list.last_octets(), before.last_octets());
    assert_eq!(list.octets(), before.octets());
}

#[test]
fn forgets_names_and_reads_on() {
    let (mut list, _) = parse(WHOLE);
    let octets = list.octets();
    list.forget_plain();
    assert_eq!((list.len(), list.octets()), (4, octets));
    assert_eq!(uids(&list), [2, 7, 30]);
    assert_eq!(
        list.record(Uid::new(7).unwrap()).unwrap().field(b'G'),
        Some(&b"abc123"[..])
    );
    assert_eq!(list.uid_next().map(Uid::value), Some(31));
    // a UID that does not rise is damage still, and its line is counted in the whole file
    let damage = list.extend(b"29 :x\n31 :y\n");
    assert_eq!((damage.lines, damage.first_line), (1, Some(6)));
    let added: Vec<u32> = list.records_after(4).map(|r| r.uid.value()).collect();
    assert_eq!((added, list.len()), (vec![31], 5));
    assert!(list.last_octets().ends_with(b"31 :y\n"));
    list.forget_plain();
    list.forget_plain();
    assert_eq!((list.len(), uids(&list).len()), (5, 3));
}

#[test]
fn reads_version_1_and_couriers() {
    let (list, damage) = parse("1 721823000 31\n1 1721823666.M512901P7788.mx1,S=4310:2,S\n4 b\n");
    assert!(!damage.any());
    assert_eq!(
        (list.version(), list.uid_validity().value(), uids(&list)),
        (1, 721_823_000, vec![1, 4])
    );
    assert_eq!(
        list.records().next().unwrap().base,
        b"1721823666.M512901P7788.mx1,S=4310"
    );
}

#[test]
fn a_damaged_line_costs_that_line() {
    for (text, expected, next, first_line) in [
        ("3 V1 N5\n1 :a\nx :b\n3 :c\n", vec![1, 3], 5, 3),
        ("3 V1 N5\n1 :a\n2 b\n3 :c\n", vec![1, 3], 5, 3),
        ("3 V1 N5\n1 :a\n2 :\n3 :c\n", vec![1, 3], 5, 3),
        ("3 V1 N5\n1 :a\n2 :x/y\n3 :c\n", vec![1, 3], 5, 3),
        ("3 V1 N5\n0 :a\n4294967295 :b\n3 :c\n", vec![3], 5, 2),
        ("3 V1 N5\n1 :a\n900 :b\n3 :c\n4 :d\n", vec![1, 3, 4], 901, 3),
        (
            "3 V1 N5\n1 :a\n4000000000 :b\n3 :c\n4 :d\n",
            vec![1, 3, 4],
            5,
            3,
        ),
        ("3 V1 N5\n2 :a\n1 :b\n3 :c\n4 :d\n", vec![1, 3, 4], 5, 2),
        ("3 V1 N2\n1 :a\n2\n", vec![1], 2, 3),
    ] {
        let (list, damage) = parse(text);
        assert_eq!(
            (
                uids(&list),
                list.uid_next().map(Uid::value),
                damage.first_line
            ),
            (expected, Some(next), Some(first_line)),
            "{text}"
        );
        assert_eq!(list.uid_validity().value(), 1);
    }
}

#[test]
fn a_damaged_header_keeps_uidvalidity() {
    for header in ["", "3", "x V77 N5", "3 V77", "3 V77 Nx", "2 V77 N5"] {
        let text = format!("{header}\n1 :a\n8 :b\n").into_bytes();
        let (list, damage) = UidList::parse(text, UidValidity::new(77)).unwrap();
        assert!(damage.header, "{header}");
        assert_eq!(
            (
                list.uid_validity().value(),
                uids(&list),
                list.uid_next().map(Uid::value)
            ),
            (77, vec![1, 8], Some(9)),
            "{header}"
        );
    }
    assert!(UidList::parse(b"3 V0 N1\n".to_vec(), None).is_none());
    assert_eq!(
        UidList::parse(b"x V77 N5\n".to_vec(), None)
            .unwrap()
            .0
            .uid_validity()
            .value(),
        77
    );
}

proptest! {
    #[test]
    fn nothing_makes_it_panic(text in proptest::collection::vec(prop_oneof![Just(b'\n'), Just(b' '), Just(b':'), Just(b'1'), any::<u8>()], 0..200)) {
        if let Some((list, _)) = UidList::parse(text, UidValidity::new(7)) {
            let printed = list.print(|_| Edit::Keep);
            let (again, damage) = UidList::parse(printed, None).unwrap();
            prop_assert!(!damage.any());
            prop_assert_eq!(uids(&again), uids(&list));
            prop_assert_eq!(again.uid_next(), list.uid_next());
        }
    }

    #[test]
    fn truncation_and_bit_flips_keep_uidvalidity_and_other_lines(cut in 0..WHOLE.len(), at in 0..WHOLE.len(), bit in 0..8_u8) {
        let (whole, _) = parse(WHOLE);
        let mut text = WHOLE.as_bytes()[..cut].to_vec();
        if let Some(octet) = text.get_mut(at) {
            *octet ^= 1_u8 << bit;
        }
        let lines = text.iter().filter(|octet| **octet == b'\n').count();
        let (list, _) = UidList::parse(text, Some(whole.uid_validity())).unwrap();
        let header = WHOLE.find('\n').unwrap();
        // digits of the header's own numbers may have changed unnoticed; everything else is as it was
        if at > header {
            prop_assert_eq!(list.uid_validity(), whole.uid_validity());
        }
        let same = list.records().filter(|record| whole.record(record.uid).is_some_and(|old| old.base == record.base)).count();
        prop_assert!(same + 2 >= lines.saturating_sub(1), "{} of {} lines are left", same, lines);
    }
}

/// Lines after the header that are in a text whole, as UIDs.
fn whole_lines(text: &[u8]) -> Vec<u32> {
    let lines = WHOLE.split_inclusive('\n');
    let mut end = 0;
    lines
        .filter(|line| {
            end += line.len();
            end <= text.len() && !line.starts_with("3 V")
        })
        .filter_map(|line| line.split(' ').next()?.parse().ok())
        .collect()
}

#[test]
fn every_truncation_keeps_the_lines_before_it() {
    let (whole, _) = parse(WHOLE);
    for cut in 0..WHOLE.len() {
        let text = &WHOLE.as_bytes()[..cut];
        let (list, _) = UidList::parse(text.to_vec(), Some(whole.uid_validity())).unwrap();
        let kept = whole_lines(text);
        assert!(uids(&list).starts_with(&kept), "cut at {cut}");
        let next = list.uid_next().map_or(u32::MAX, Uid::value);
        assert!(kept.iter().all(|uid| *uid < next), "cut at {cut}");
        if cut > WHOLE.find('\n').unwrap() {
            assert_eq!(list.uid_validity(), whole.uid_validity());
        }
    }
}

#[test]
fn every_flipped_bit_costs_two_lines_at_most() {
    let (whole, _) = parse(WHOLE);
    let header = WHOLE.find('\n').unwrap();
    for at in header..WHOLE.len() {
        for bit in 0..8 {
            let mut text = WHOLE.as_bytes().to_vec();
            text[at] ^= 1_u8 << bit;
            let (list, _) = UidList::parse(text, Some(whole.uid_validity())).unwrap();
            if at > header {
                assert_eq!(list.uid_validity(), whole.uid_validity());
            }
            let same = whole.records().filter(|record| {
                list.record(record.uid)
                    .is_some_and(|kept| kept.base == record.base)
            });
            assert!(same.count() + 2 >= whole.len(), "octet {at}, bit {bit}");
            let next = list.uid_next().map_or(u32::MAX, Uid::value);
            let given = list.records().all(|record| record.uid.value() < next);
            assert!(given && next >= whole.uid_next().unwrap().value() || at == header);
        }
    }
}
