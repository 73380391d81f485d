//! The server's certificates: a folder with an authority, and a certificate that it has signed.
//!
//! ```text
//! ca.crt, ca.key     the authority, which clients trust: ten years
//! tls.crt, tls.key   the server: one year
//! ```
//!
//! Both are renewed before they end. The authority keeps its key, so that a further name or a
//! renewal does not make the clients' kubeconfigs void. Folder and files are their owner's only.

use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

use jiff::Timestamp;
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, PublicKeyData as _,
};
use rustls::client::verify_server_name;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::server::{ClientHello, ParsedCertificate, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use time::OffsetDateTime;
use tracing::warn;
use x509_parser::prelude::{FromDer as _, X509Certificate};

use super::keys::write_secret;
use super::tls_error::TlsError;

const AUTHORITY: &str = "ca.crt";
const AUTHORITY_KEY: &str = "ca.key";
const CERTIFICATE: &str = "tls.crt";
const KEY: &str = "tls.key";

const DAY: i64 = 24 * 60 * 60;
/// Seconds.
const AUTHORITY_LIFE: i64 = 3650 * DAY;
const LIFE: i64 = 365 * DAY;
/// Before their end they are renewed.
const AUTHORITY_RENEWAL: i64 = 365 * DAY;
const RENEWAL: i64 = 60 * DAY;
/// Clocks of clients may be behind.
const SKEW: i64 = 60 * 60;

/// The certificates of a folder, for some names and addresses.
pub(super) struct Certificates {
    folder: PathBuf,
    names: Vec<String>,
    current: RwLock<Current>,
}

struct Current {
    key: Arc<CertifiedKey>,
    /// Seconds since 1970.
    ends: i64,
}

impl std::fmt::Debug for Certificates {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { folder, names, .. } = self;
        write!(f, "the certificates in {} for {names:?}", folder.display())
    }
}

impl Certificates {
    /// Those in the folder. What is missing, ends soon or lacks a name is made.
    pub(super) fn open(folder: &Path, names: &[&str], now: Timestamp) -> Result<Self, TlsError> {
        fs::create_dir_all(folder)?;
        fs::set_permissions(folder, Permissions::from_mode(0o700))?;
        let names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
        let current = RwLock::new(Current::open(folder, &names, now.as_second())?);
        Ok(Self {
            folder: folder.to_owned(),
            names,
            current,
        })
    }

    /// The authority's certificate, as PEM.
    pub(super) fn authority(&self) -> io::Result<String> {
        fs::read_to_string(self.folder.join(AUTHORITY))
    }

    /// The certificate to show, which is renewed if it ends soon.
    fn current(&self, now: i64) -> Arc<CertifiedKey> {
        let known = {
            let current = self.current.read().unwrap_or_else(PoisonError::into_inner);
            (Arc::clone(&current.key), current.ends)
        };
        if known.1 - now > RENEWAL {
            return known.0;
        }
        match Current::open(&self.folder, &self.names, now) {
            Ok(renewed) => {
                let key = Arc::clone(&renewed.key);
                *self.current.write().unwrap_or_else(PoisonError::into_inner) = renewed;
                key
            }
            Err(error) => {
                warn!(%error, "the server's certificate ends soon and cannot be renewed");
                known.0
            }
        }
    }
}

impl ResolvesServerCert for Certificates {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.current(Timestamp::now().as_second()))
    }
}

impl Current {
    fn open(folder: &Path, names: &[String], now: i64) -> Result<Self, TlsError> {
        let good = |file: &str, least: i64| {
            let end = end(&folder.join(file));
            end.is_some_and(|end| end - now > least)
        };
        let kept = folder.join(KEY).exists()
            && good(CERTIFICATE, RENEWAL)
            && good(AUTHORITY, AUTHORITY_RENEWAL)
            && covers(folder, names);
        if !kept {
            make(folder, names, now)?;
        }
        let chain: Result<Vec<_>, _> =
            CertificateDer::pem_file_iter(folder.join(CERTIFICATE))?.collect();
        let key = PrivateKeyDer::from_pem_file(folder.join(KEY))?;
        let provider = rustls::crypto::ring::default_provider();
        let key = CertifiedKey::from_der(chain?, key, &provider)?;
        Ok(Self {
            key: Arc::new(key),
            ends: end(&folder.join(CERTIFICATE)).unwrap_or(now),
        })
    }
}

/// When the certificate in a file ends, in seconds since 1970; none if there is none.
fn end(file: &Path) -> Option<i64> {
    let certificate = CertificateDer::from_pem_file(file).ok()?;
    let (_, certificate) = X509Certificate::from_der(&certificate).ok()?;
    Some(certificate.validity().not_after.timestamp())
}

/// Whether the folder's certificate is for all of these names.
fn covers(folder: &Path, names: &[String]) -> bool {
    let Ok(certificate) = CertificateDer::from_pem_file(folder.join(CERTIFICATE)) else {
        return false;
    };
    let Ok(certificate) = ParsedCertificate::try_from(&certificate) else {
        return false;
    };
    let covered = |name: &String| {
        let name = ServerName::try_from(name.as_str());
        name.is_ok_and(|name| verify_server_name(&certificate, &name).is_ok())
    };
    names.iter().all(covered)
}

/// A time in seconds since 1970, as certificates have it.
pub(super) fn time(seconds: i64) -> OffsetDateTime {
    OffsetDateTime::from_unix_timestamp(seconds).unwrap_or(OffsetDateTime::UNIX_EPOCH)
}

/// Makes a certificate, signed by the folder's authority.
fn make(folder: &Path, names: &[String], now: i64) -> Result<(), TlsError> {
    let issuer = authority(folder, now)?;
    let mut params = CertificateParams::new(names)?;
    let name = &mut params.distinguished_name;
    name.push(DnType::CommonName, "kube-apiserver");
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    params.use_authority_key_identifier_extension = true;
    params.not_before = time(now - SKEW);
    params.not_after = time(now + LIFE);
    let key = KeyPair::generate()?;
    let certificate = params.signed_by(&key, &issuer)?;
    // While the certificate is another's, the key is not there.
    if folder.join(KEY).exists() {
        fs::remove_file(folder.join(KEY))?;
    }
    write_secret(&folder.join(CERTIFICATE), certificate.pem().as_bytes())?;
    write_secret(&folder.join(KEY), key.serialize_pem().as_bytes())?;
    Ok(())
}

/// The folder's authority. One whose key is there is renewed with it; one whose key was not kept is
/// replaced.
fn authority(folder: &Path, now: i64) -> Result<Issuer<'static, KeyPair>, TlsError> {
    let (file, key_file) = (folder.join(AUTHORITY), folder.join(AUTHORITY_KEY));
    let key = match fs::read_to_string(&key_file) {
        Ok(text) => KeyPair::from_pem(&text).map_err(|_| TlsError::AuthorityKey {
            file: key_file.display().to_string(),
        })?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let key = KeyPair::generate()?;
            write_secret(&key_file, key.serialize_pem().as_bytes())?;
            key
        }
        Err(error) => return Err(error.into()),
    };
    let known = end(&file).is_some_and(|end| end - now > AUTHORITY_RENEWAL) && is_of(&file, &key);
    if !known {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let name = &mut params.distinguished_name;
        name.push(DnType::CommonName, "control-plane");
        params.not_before = time(now - SKEW);
        params.not_after = time(now + AUTHORITY_LIFE);
        let certificate = params.self_signed(&key)?;
        write_secret(&file, certificate.pem().as_bytes())?;
    }
    Ok(Issuer::from_ca_cert_pem(&fs::read_to_string(&file)?, key)?)
}

/// Whether the certificate in a file is of this key.
fn is_of(file: &Path, key: &KeyPair) -> bool {
    let Ok(certificate) = CertificateDer::from_pem_file(file) else {
        return false;
    };
    let parsed = X509Certificate::from_der(&certificate);
    parsed.is_ok_and(|(_, certificate)| {
        &*certificate.public_key().subject_public_key.data == key.der_bytes()
    })
}

#[cfg(test)]
mod tests {
    use jiff::SignedDuration;

    use super::*;

    fn folder(name: &str) -> PathBuf {
        let name = format!("control-plane-certificates-{name}-{}", std::process::id());
        let folder = std::env::temp_dir().join(name);
        fs::remove_dir_all(&folder).ok();
        folder
    }

    fn read(folder: &Path) -> (String, String) {
        let read = |file: &str| fs::read_to_string(folder.join(file)).unwrap();
        (read(AUTHORITY), read(CERTIFICATE))
    }

    #[test]
    fn certificates_are_renewed_before_they_end() {
        let folder = folder("renewal");
        let begun = Timestamp::from_second(1_800_000_000).unwrap();
        let later = |days: i64| begun + SignedDuration::from_secs(days * DAY);
        let open = |days: i64| Certificates::open(&folder, &["localhost"], later(days)).unwrap();
        let certificates = open(0);
        let first = read(&folder);
        open(300);
        assert_eq!(read(&folder), first);
        // One that runs renews it as well.
        let shown = certificates.current(later(310).as_second());
        let second = read(&folder);
        assert_eq!(second.0, first.0);
        assert_ne!(second.1, first.1);
        let now = CertificateDer::from_pem_file(folder.join(CERTIFICATE)).unwrap();
        assert_eq!(shown.cert[0], now);
        let key = fs::read_to_string(folder.join(AUTHORITY_KEY)).unwrap();
        open(3_500);
        let third = read(&folder);
        assert_ne!(third.0, second.0);
        assert_eq!(fs::read_to_string(folder.join(AUTHORITY_KEY)).unwrap(), key);
        fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn folder_and_files_are_their_owners() {
        let folder = folder("modes");
        fs::create_dir_all(&folder).unwrap();
        fs::set_permissions(&folder, Permissions::from_mode(0o777)).unwrap();
        Certificates::open(&folder, &["localhost"], Timestamp::now()).unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&folder), 0o700);
        for file in [AUTHORITY, AUTHORITY_KEY, CERTIFICATE, KEY] {
            assert_eq!(mode(&folder.join(file)), 0o600, "{file}");
        }
        fs::write(folder.join(AUTHORITY_KEY), "garbage").unwrap();
        let refused = Certificates::open(&folder, &["10.0.0.7"], Timestamp::now());
        let refused = refused.unwrap_err().to_string();
        assert!(refused.contains("restore it"), "{refused}");
        fs::remove_dir_all(&folder).unwrap();
    }
}
