//! The table of certificates, and how files that were renewed come into use.
//!
//! The files of a pair are read whole at each look and compared with what was read last. A pair that is new and good is taken into use for
//! the handshakes that follow. One that is not good changes nothing: renewal programs replace two files one after the other, so a bad
//! pair is reported when the next look finds it unchanged, or at once when an operator asked for the look.

use super::expiry;
use std::fmt;
use std::hash::{BuildHasher as _, RandomState};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use tokio_rustls::rustls;
use tokio_rustls::rustls::client::verify_server_name;
use tokio_rustls::rustls::crypto::CryptoProvider;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem};
use tokio_rustls::rustls::server::{ClientHello, ParsedCertificate, ResolvesServerCert};
use tokio_rustls::rustls::sign::CertifiedKey;
use zeroize::Zeroizing;

/// Days before the end of a certificate from which it is complained about, and how often, in seconds.
const WARN_DAYS: i64 = 14;
/// Seconds of a day.
const DAY: i64 = 86_400;

/// Where a certificate lies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CertificateFiles {
    /// The chain, PEM, the server's own certificate first.
    pub chain: PathBuf,
    /// The private key, PEM.
    pub key: PathBuf,
}

/// Why a certificate cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum CertificateError {
    /// A file cannot be read.
    #[error("cannot read {path}")]
    Read {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file is not PEM or lacks what it should hold.
    #[error("{path} holds no usable PEM")]
    Pem {
        /// Which.
        path: PathBuf,
        /// Why.
        source: pem::Error,
    },
    /// The chain is empty.
    #[error("{path} holds no certificate")]
    NoCertificate {
        /// Which.
        path: PathBuf,
    },
    /// The certificate is malformed, or the key is of no known kind or of another certificate.
    #[error("certificate {chain} and key {key} cannot be used together")]
    Pair {
        /// The chain.
        chain: PathBuf,
        /// The key.
        key: PathBuf,
        /// Why.
        source: rustls::Error,
    },
    /// No certificate is configured.
    #[error("no certificate is configured")]
    None,
    /// TLS cannot be set up at all.
    #[error("TLS cannot be set up")]
    Tls(#[source] rustls::Error),
}

/// The certificates in use; chooses one for each handshake.
pub(super) struct Certificates {
    files: Vec<CertificateFiles>,
    provider: Arc<CryptoProvider>,
    /// In the order of the files.
    in_use: RwLock<Arc<[Arc<CertifiedKey>]>>,
    /// What was seen of each pair of files; locked for the whole of a look.
    seen: Mutex<Vec<Seen>>,
    hasher: RandomState,
}

/// What was seen of a pair of files.
#[derive(Debug, Clone)]
struct Seen {
    /// Of both files, as they were read last.
    fingerprint: u64,
    state: State,
    /// When the pair in use ends, in seconds since 1970.
    not_after: Option<i64>,
    /// When that was last complained about, in seconds since 1970.
    warned: i64,
}

/// What came of the last look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    InUse,
    /// Bad, perhaps just being replaced.
    Suspect,
    /// Bad, and reported.
    Reported,
}

/// One look at a pair.
struct Look {
    fingerprint: u64,
    loaded: Result<(Arc<CertifiedKey>, Option<i64>), CertificateError>,
}

impl Certificates {
    /// Reads all pairs.
    pub(super) fn load(
        files: &[CertificateFiles],
        provider: Arc<CryptoProvider>,
    ) -> Result<Self, CertificateError> {
        let hasher = RandomState::new();
        let mut in_use = Vec::with_capacity(files.len());
        let mut seen = Vec::with_capacity(files.len());
        for pair in files {
            let Look {
                fingerprint,
                loaded,
            } = look(pair, &provider, &hasher);
            let (key, not_after) = loaded?;
            in_use.push(key);
            seen.push(Seen {
                fingerprint,
                state: State::InUse,
                not_after,
                warned: 0,
            });
        }
        if in_use.is_empty() {
            return Err(CertificateError::None);
        }
        Ok(Self {
            files: files.to_vec(),
            provider,
            in_use: RwLock::new(in_use.into()),
            seen: Mutex::new(seen),
            hasher,
        })
    }

    /// One certificate that is never read again.
    pub(super) fn fixed(
        chain: &[u8],
        key: &[u8],
        provider: Arc<CryptoProvider>,
    ) -> Result<Self, CertificateError> {
        let nowhere = CertificateFiles {
            chain: "(memory)".into(),
            key: "(memory)".into(),
        };
        let (key, _) = parse(chain, key, &nowhere, &provider)?;
        Ok(Self {
            files: Vec::new(),
            provider,
            in_use: RwLock::new(Arc::new([key])),
            seen: Mutex::default(),
            hasher: RandomState::new(),
        })
    }

    /// Looks at the files again; `is_asked` if an operator wants to know at once what is wrong.
    pub(super) fn refresh(&self, now: i64, is_asked: bool) {
        let mut all_seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let mut keys = self.in_use().to_vec();
        for ((files, seen), key) in self.files.iter().zip(all_seen.iter_mut()).zip(&mut keys) {
            let look = look(files, &self.provider, &self.hasher);
            if let Some(renewed) = seen.take(look, files, is_asked) {
                *key = renewed;
            }
            seen.complain_of_end(now, files);
        }
        *self.in_use.write().unwrap_or_else(PoisonError::into_inner) = keys.into();
    }

    /// See [`super::Tls::ends`].
    pub(super) fn ends(&self) -> Vec<Option<i64>> {
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.iter().map(|seen| seen.not_after).collect()
    }

    fn in_use(&self) -> Arc<[Arc<CertifiedKey>]> {
        Arc::clone(&self.in_use.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// The first certificate that holds a name, or else the first of all.
    fn choose(&self, name: Option<&str>) -> Option<Arc<CertifiedKey>> {
        let keys = self.in_use();
        let name = name.and_then(|name| ServerName::try_from(name).ok());
        let fitting = name.and_then(|name| keys.iter().find(|key| holds(key, &name)).cloned());
        fitting.or_else(|| keys.first().cloned())
    }
}

impl fmt::Debug for Certificates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Certificates")
            .field("files", &self.files)
            .finish_non_exhaustive()
    }
}

impl ResolvesServerCert for Certificates {
    fn resolve(&self, client_hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.choose(client_hello.server_name())
    }
}

impl Seen {
    /// Books a look; the pair to be taken into use, if there is a new one.
    fn take(
        &mut self,
        look: Look,
        files: &CertificateFiles,
        is_asked: bool,
    ) -> Option<Arc<CertifiedKey>> {
        let is_new = look.fingerprint != self.fingerprint;
        self.fingerprint = look.fingerprint;
        match look.loaded {
            Ok((key, not_after)) => {
                let was = std::mem::replace(&mut self.state, State::InUse);
                if !is_new && was == State::InUse {
                    return None;
                }
                self.not_after = not_after;
                self.warned = 0;
                tracing::info!(certificate = %files.chain.display(), "certificate_loaded");
                Some(key)
            }
            Err(error) => {
                let is_known = !is_new && self.state != State::InUse;
                if is_asked || (is_known && self.state == State::Suspect) {
                    report(&error, files);
                    self.state = State::Reported;
                } else if !is_known {
                    self.state = State::Suspect;
                }
                None
            }
        }
    }

    /// Says daily that the pair in use ends soon.
    fn complain_of_end(&mut self, now: i64, files: &CertificateFiles) {
        let Some(not_after) = self.not_after else {
            return;
        };
        let days_left = not_after.saturating_sub(now).div_euclid(DAY);
        if days_left >= WARN_DAYS || now.saturating_sub(self.warned) < DAY {
            return;
        }
        self.warned = now;
        let certificate = files.chain.display();
        if days_left < 0 {
            tracing::error!(
                %certificate,
                days_left,
                advice = "it has ended and clients refuse it; renew it, the new file is taken into use by itself",
                "certificate_expires"
            );
        } else {
            tracing::warn!(%certificate, days_left, "certificate_expires");
        }
    }
}

/// Tells the operator what is wrong with a pair.
fn report(error: &CertificateError, files: &CertificateFiles) {
    let cause = std::error::Error::source(error).map(ToString::to_string);
    tracing::error!(
        certificate = %files.chain.display(),
        key = %files.key.display(),
        %error,
        cause,
        advice = "the one read before stays in use; put a certificate and its key in place",
        "certificate_refused"
    );
}

/// Reads a pair.
fn look(files: &CertificateFiles, provider: &CryptoProvider, hasher: &RandomState) -> Look {
    match read(&files.chain).and_then(|chain| Ok((chain, Zeroizing::new(read(&files.key)?)))) {
        Ok((chain, key)) => Look {
            fingerprint: hasher.hash_one((&chain, &*key)),
            loaded: parse(&chain, &key, files, provider),
        },
        Err(error) => Look {
            fingerprint: hasher.hash_one(error.to_string()),
            loaded: Err(error),
        },
    }
}

fn read(path: &Path) -> Result<Vec<u8>, CertificateError> {
    std::fs::read(path).map_err(|source| CertificateError::Read {
        path: path.to_owned(),
        source,
    })
}

fn parse(
    chain: &[u8],
    key: &[u8],
    files: &CertificateFiles,
    provider: &CryptoProvider,
) -> Result<(Arc<CertifiedKey>, Option<i64>), CertificateError> {
    let malformed = |path: &Path| {
        let path = path.to_owned();
        |source| CertificateError::Pem { path, source }
    };
    let chain: Vec<_> = CertificateDer::pem_slice_iter(chain)
        .collect::<Result<_, _>>()
        .map_err(malformed(&files.chain))?;
    let Some(own) = chain.first() else {
        return Err(CertificateError::NoCertificate {
            path: files.chain.clone(),
        });
    };
    let not_after = expiry::not_after(own);
    let key = PrivateKeyDer::from_pem_slice(key).map_err(malformed(&files.key))?;
    let certified =
        CertifiedKey::from_der(chain, key, provider).map_err(|source| CertificateError::Pair {
            chain: files.chain.clone(),
            key: files.key.clone(),
            source,
        })?;
    Ok((Arc::new(certified), not_after))
}

/// Whether a certificate is for a name, wildcards included.
fn holds(key: &CertifiedKey, name: &ServerName<'_>) -> bool {
    key.end_entity_cert()
        .and_then(ParsedCertificate::try_from)
        .is_ok_and(|certificate| verify_server_name(&certificate, name).is_ok())
}

#[cfg(test)]
mod tests {
    use super::{CertificateError, CertificateFiles, Certificates, DAY, State};
    use crate::server::tls::{Tls, TlsSettings, provider, watch};
    use std::path::Path;
    use std::sync::Arc;
    use std::time::Duration;

    /// Writes a certificate for names and its key.
    fn make(directory: &Path, file: &str, names: &[&str]) -> CertificateFiles {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let made = rcgen::generate_simple_self_signed(names).unwrap();
        let files = CertificateFiles {
            chain: directory.join(format!("{file}.crt")),
            key: directory.join(format!("{file}.key")),
        };
        put(&files.chain, &made.cert.pem());
        put(&files.key, &made.signing_key.serialize_pem());
        files
    }

    #[expect(clippy::disallowed_methods, reason = "a test need not be durable")]
    fn put(path: &Path, text: &str) {
        std::fs::write(path, text).unwrap();
    }

    fn load(files: &[CertificateFiles]) -> Result<Certificates, CertificateError> {
        Certificates::load(files, Arc::new(provider()))
    }

    /// Which certificate a name gets, told by its octets.
    fn chosen(certificates: &Certificates, name: Option<&str>) -> Vec<u8> {
        certificates.choose(name).unwrap().cert[0].to_vec()
    }

    #[test]
    fn the_server_name_chooses() {
        let directory = tempfile::tempdir().unwrap();
        let first = make(directory.path(), "first", &["a.example"]);
        let second = make(directory.path(), "second", &["b.example", "*.c.example"]);
        let certificates = load(&[first, second]).unwrap();
        let (first, second) = (
            chosen(&certificates, Some("a.example")),
            chosen(&certificates, Some("b.example")),
        );
        assert_ne!(first, second);
        for (name, expected) in [
            (Some("B.EXAMPLE"), &second),
            (Some("mail.c.example"), &second),
            (Some("x.mail.c.example"), &first),
            (Some("unknown.example"), &first),
            (Some("not a name"), &first),
            (None, &first),
        ] {
            assert_eq!(chosen(&certificates, name), *expected, "{name:?}");
        }
    }

    #[tokio::test]
    async fn one_that_has_ended_is_told_at_the_start() {
        let directory = tempfile::tempdir().unwrap();
        let files = make(directory.path(), "ended", &["a.example"]);
        let mut params = rcgen::CertificateParams::new(vec!["a.example".to_owned()]).unwrap();
        params.not_before = rcgen::date_time_ymd(2020, 1, 1);
        params.not_after = rcgen::date_time_ymd(2020, 1, 2);
        let key = rcgen::KeyPair::generate().unwrap();
        put(&files.chain, &params.self_signed(&key).unwrap().pem());
        put(&files.key, &key.serialize_pem());
        let settings = TlsSettings {
            check: Duration::from_secs(24 * 3600),
            ..TlsSettings::new(vec![files])
        };
        let tls = Arc::new(Tls::load(&settings).unwrap());
        let watching = tokio::spawn(watch(Arc::clone(&tls), Arc::default()));
        let is_told = async {
            while tls.certificates.seen.lock().unwrap()[0].warned == 0 {
                tokio::task::yield_now().await;
            }
        };
        let is_told = tokio::time::timeout(Duration::from_secs(60), is_told).await;
        watching.abort();
        assert!(is_told.is_ok());
    }

    #[test]
    fn renewed_files_are_taken_and_bad_ones_change_nothing() {
        let directory = tempfile::tempdir().unwrap();
        let files = make(directory.path(), "a", &["a.example"]);
        let certificates = load(std::slice::from_ref(&files)).unwrap();
        let old = chosen(&certificates, None);
        let state = || certificates.seen.lock().unwrap()[0].state;

        let other = make(directory.path(), "b", &["a.example"]);
        std::fs::rename(&other.chain, &files.chain).unwrap();
        certificates.refresh(0, false);
        assert_eq!(
            (chosen(&certificates, None), state()),
            (old.clone(), State::Suspect)
        );
        certificates.refresh(0, false);
        assert_eq!(
            (chosen(&certificates, None), state()),
            (old.clone(), State::Reported)
        );

        std::fs::rename(&other.key, &files.key).unwrap();
        certificates.refresh(0, false);
        let new = chosen(&certificates, None);
        assert_ne!(new, old);
        assert_eq!(state(), State::InUse);

        std::fs::remove_file(&files.key).unwrap();
        certificates.refresh(0, true);
        assert_eq!(
            (chosen(&certificates, None), state()),
            (new, State::Reported)
        );
    }

    #[test]
    fn a_link_is_followed() {
        let directory = tempfile::tempdir().unwrap();
        let first = make(directory.path(), "1", &["a.example"]);
        let second = make(directory.path(), "2", &["a.example"]);
        let live = CertificateFiles {
            chain: directory.path().join("live.crt"),
            key: directory.path().join("live.key"),
        };
        let link = |to: &CertificateFiles| {
            for (target, path) in [(&to.chain, &live.chain), (&to.key, &live.key)] {
                drop(std::fs::remove_file(path));
                std::os::unix::fs::symlink(target, path).unwrap();
            }
        };
        link(&first);
        let certificates = load(std::slice::from_ref(&live)).unwrap();
        let old = chosen(&certificates, None);
        link(&second);
        certificates.refresh(0, false);
        assert_ne!(chosen(&certificates, None), old);
    }

    #[test]
    fn what_cannot_be_used_is_named() {
        let directory = tempfile::tempdir().unwrap();
        let first = make(directory.path(), "a", &["a.example"]);
        let second = make(directory.path(), "b", &["b.example"]);
        let mixed = CertificateFiles {
            key: second.key,
            ..first.clone()
        };
        assert!(matches!(load(&[mixed]), Err(CertificateError::Pair { .. })));
        let swapped = CertificateFiles {
            chain: first.key.clone(),
            key: first.key.clone(),
        };
        assert!(matches!(
            load(&[swapped]),
            Err(CertificateError::NoCertificate { .. })
        ));
        let missing = CertificateFiles {
            chain: directory.path().join("none"),
            key: first.key,
        };
        assert!(matches!(
            load(&[missing]),
            Err(CertificateError::Read { .. })
        ));
        assert!(matches!(load(&[]), Err(CertificateError::None)));
    }

    #[test]
    fn a_fixed_certificate_outlives_the_looks() {
        let made = rcgen::generate_simple_self_signed(vec!["a.example".to_owned()]).unwrap();
        let (chain, key) = (made.cert.pem(), made.signing_key.serialize_pem());
        let certificates =
            Certificates::fixed(chain.as_bytes(), key.as_bytes(), Arc::new(provider())).unwrap();
        certificates.refresh(0, true);
        assert_eq!(chosen(&certificates, None), made.cert.der().to_vec());
    }

    #[test]
    fn the_end_is_complained_about_daily() {
        let directory = tempfile::tempdir().unwrap();
        let files = make(directory.path(), "a", &["a.example"]);
        let certificates = load(&[files]).unwrap();
        let warned = || certificates.seen.lock().unwrap()[0].warned;
        let end = certificates.seen.lock().unwrap()[0].not_after.unwrap();
        certificates.refresh(end - 15 * DAY, false);
        assert_eq!(warned(), 0);
        let first = end - 10 * DAY;
        certificates.refresh(first, false);
        certificates.refresh(first + DAY - 1, false);
        assert_eq!(warned(), first);
        certificates.refresh(first + DAY, false);
        assert_eq!(warned(), first + DAY);
    }
}
