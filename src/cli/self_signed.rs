//! Certificates that nobody but ourselves vouches for: for the demo, and for a server that has been given none.

use super::Failure;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use rcgen::{CertificateParams, DistinguishedName, DnType, KeyPair, date_time_ymd};
use std::fmt;

/// A certificate and its key, PEM.
pub(super) struct SelfSigned {
    /// The certificate.
    pub(super) chain: String,
    /// The key.
    pub(super) key: zeroize::Zeroizing<String>,
}

impl fmt::Debug for SelfSigned {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SelfSigned").finish_non_exhaustive()
    }
}

/// Days that a certificate is good for: as long as browsers and mail programs accept at most.
const DAYS: i64 = 397;

/// Makes a certificate for names and addresses.
pub(super) fn make(names: &[&str]) -> Result<SelfSigned, Failure> {
    let failed = |error| Failure::general(format!("cannot make a certificate: {error}"));
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    let mut params = CertificateParams::new(names).map_err(failed)?;
    let now = Timestamp::now();
    // A day earlier, for clients whose clock is behind.
    let midnight = |(year, month, day)| date_time_ymd(year, month, day);
    params.not_before = midnight(day(now, -1));
    params.not_after = midnight(day(now, DAYS - 1));
    params.distinguished_name = DistinguishedName::new();
    params
        .distinguished_name
        .push(DnType::CommonName, "restante, self-signed");
    let key = KeyPair::generate().map_err(failed)?;
    let certificate = params.self_signed(&key).map_err(failed)?;
    Ok(SelfSigned {
        chain: certificate.pem(),
        key: zeroize::Zeroizing::new(key.serialize_pem()),
    })
}

/// Year, month and day so many days from now.
fn day(now: Timestamp, days: i64) -> (i32, u8, u8) {
    let day = now
        .checked_add(SignedDuration::from_hours(days * 24))
        .unwrap_or(now)
        .to_zoned(TimeZone::UTC)
        .date();
    (
        day.year().into(),
        day.month().unsigned_abs(),
        day.day().unsigned_abs(),
    )
}
