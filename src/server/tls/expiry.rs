//! When a certificate ends: the one field of it that the TLS library does not tell.
//!
//! A reader of just so much DER as lies before that field (RFC 5280 §4.1):
//!
//! ```text
//! Certificate    ::= SEQUENCE { tbsCertificate, … }
//! TBSCertificate ::= SEQUENCE { version [0] OPTIONAL, serialNumber, signature, issuer, validity, … }
//! Validity       ::= SEQUENCE { notBefore Time, notAfter Time }
//! ```

/// DER tags of what is read.
const SEQUENCE: u8 = 0x30;
/// `[0]`, the version.
const VERSION: u8 = 0xA0;
/// `UTCTime`: `YYMMDDHHMMSSZ`.
const UTC_TIME: u8 = 0x17;
/// `GeneralizedTime`: `YYYYMMDDHHMMSSZ`.
const GENERALIZED_TIME: u8 = 0x18;

/// The end of a certificate's validity in seconds since 1970; `None` if it is not where it should be.
pub(super) fn not_after(certificate: &[u8]) -> Option<i64> {
    let (_, certificate, _) = value(certificate)?;
    let (_, tbs, _) = value(certificate)?;
    let (tag, _, after_version) = value(tbs)?;
    let mut rest = if tag == VERSION { after_version } else { tbs };
    for _serial_signature_issuer in 0..3 {
        rest = value(rest)?.2;
    }
    let (_, validity, _) = value(rest).filter(|(tag, ..)| *tag == SEQUENCE)?;
    let (_, _, rest) = value(validity)?;
    let (tag, time, _) = value(rest)?;
    unix_time(tag, time)
}

/// One DER value: its tag, its content, and what comes after it.
fn value(input: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (&tag, rest) = input.split_first()?;
    let (&first, rest) = rest.split_first()?;
    let (length, rest) = if first < 0x80 {
        (usize::from(first), rest)
    } else {
        let (digits, rest) = rest.split_at_checked(usize::from(first & 0x7F))?;
        if digits.is_empty() || digits.len() > 3 {
            return None;
        }
        let length = digits
            .iter()
            .fold(0, |length, &digit| length << 8 | usize::from(digit));
        (length, rest)
    };
    let (content, rest) = rest.split_at_checked(length)?;
    Some((tag, content, rest))
}

/// Years of two digits are 1950 to 2049 (RFC 5280 §4.1.2.5.1).
fn unix_time(tag: u8, time: &[u8]) -> Option<i64> {
    let year_digits = match tag {
        UTC_TIME => 2,
        GENERALIZED_TIME => 4,
        _ => return None,
    };
    let text = std::str::from_utf8(time).ok()?.strip_suffix('Z')?;
    let (year, rest) = text.split_at_checked(year_digits)?;
    let year: i16 = year.parse().ok()?;
    let year = match tag {
        UTC_TIME if year < 50 => year + 2000,
        UTC_TIME => year + 1900,
        _ => year,
    };
    let field = |at: usize| rest.get(at..at + 2)?.parse::<i8>().ok();
    let date = jiff::civil::Date::new(year, field(0)?, field(2)?).ok()?;
    let time = jiff::civil::Time::new(field(4)?, field(6)?, field(8)?, 0).ok()?;
    let epoch = jiff::civil::DateTime::constant(1970, 1, 1, 0, 0, 0, 0);
    Some(date.to_datetime(time).duration_since(epoch).as_secs())
}

#[cfg(test)]
mod tests {
    use super::{GENERALIZED_TIME, UTC_TIME, not_after, unix_time};

    #[test]
    fn times_of_both_forms() {
        for (tag, time, expected) in [
            (UTC_TIME, "261123120000Z", Some(1_795_435_200)),
            (UTC_TIME, "700101000000Z", Some(0)),
            (GENERALIZED_TIME, "20500101000000Z", Some(2_524_608_000)),
            (GENERALIZED_TIME, "99991231235959Z", Some(253_402_300_799)),
            (UTC_TIME, "261323120000Z", None),
            (UTC_TIME, "2611231200Z", None),
            (UTC_TIME, "261123120000+0100", None),
            (0x02, "261123120000Z", None),
        ] {
            assert_eq!(unix_time(tag, time.as_bytes()), expected, "{time}");
        }
    }

    #[test]
    fn certificates_of_any_year_and_cut_anywhere() {
        for (year, expected) in [(2030, 1_893_456_000), (2060, 2_840_140_800)] {
            let mut params = rcgen::CertificateParams::new(vec!["a.example".to_owned()]).unwrap();
            params.not_after = rcgen::date_time_ymd(year, 1, 1);
            let key = rcgen::KeyPair::generate().unwrap();
            let certificate = params.self_signed(&key).unwrap();
            let octets = certificate.der();
            assert_eq!(not_after(octets), Some(expected));
            for end in 0..octets.len() {
                assert_eq!(not_after(&octets[..end]), None, "{end}");
            }
        }
    }
}
