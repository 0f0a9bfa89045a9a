//! The certificate that a client shows a server: `sslcert` and `sslkey`.
//!
//! Takes PEM files and gives what rustls needs; a key that others can read, or that is encrypted, is refused. Must not
//! know which server asks for it.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::{fs, io};

use rustls::client::ResolvesClientCert;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use rustls::{InconsistentKeys, SignatureScheme};

/// Why a client has no certificate to show.
#[derive(Debug, thiserror::Error)]
pub enum ClientCertificateError {
    #[error("could not read \"{}\"", path.display())]
    Read { path: PathBuf, source: io::Error },
    #[error("\"{}\" is no PEM file of a certificate or key: {reason}", path.display())]
    Pem { path: PathBuf, reason: pem::Error },
    #[error("\"{}\" holds no certificate", path.display())]
    NoCertificate { path: PathBuf },
    #[error("private key file \"{}\" is not a regular file", path.display())]
    NoFile { path: PathBuf },
    #[error(
        "private key file \"{}\" can be used by others\n\
         hint: its permissions must be u=rw (0600) or less, or u=rw,g=r (0640) or less if root owns it",
        path.display()
    )]
    Permissions { path: PathBuf },
    #[error(
        "private key file \"{}\" is encrypted, and nobody is there to ask for its passphrase\n\
         hint: decrypt it into a file that only you can read: openssl pkey -in KEY -out DECRYPTED",
        path.display()
    )]
    Encrypted { path: PathBuf },
    #[error("certificate \"{}\" and its key do not do", path.display())]
    Unusable { path: PathBuf, source: rustls::Error },
}

/// Reads a certificate, its issuers behind it, and its key.
pub(super) fn read(
    certificate: &Path,
    key: &Path,
    provider: &CryptoProvider,
) -> Result<Arc<CertifiedKey>, ClientCertificateError> {
    let chain: Vec<_> = CertificateDer::pem_slice_iter(&bytes(certificate)?)
        .collect::<Result<_, _>>()
        .map_err(|reason| ClientCertificateError::Pem { path: certificate.to_owned(), reason })?;
    if chain.is_empty() {
        return Err(ClientCertificateError::NoCertificate { path: certificate.to_owned() });
    }
    let unusable = |source| ClientCertificateError::Unusable { path: certificate.to_owned(), source };
    let signing = provider.key_provider.load_private_key(read_key(key)?).map_err(unusable)?;
    let signing = CertifiedKey::new(chain, signing);
    // Other errors pass: a certificate of version 1, such as openssl makes without extensions, cannot be looked into here.
    // Servers take it.
    if let Err(error @ rustls::Error::InconsistentKeys(InconsistentKeys::KeyMismatch)) = signing.keys_match() {
        return Err(unusable(error));
    }
    Ok(Arc::new(signing))
}

/// Whoever can read the key can be the client, so libpq's rules for its file hold here.
fn read_key(path: &Path) -> Result<PrivateKeyDer<'static>, ClientCertificateError> {
    let metadata =
        fs::metadata(path).map_err(|source| ClientCertificateError::Read { path: path.to_owned(), source })?;
    if !metadata.is_file() {
        return Err(ClientCertificateError::NoFile { path: path.to_owned() });
    }
    // Root may lend a key to a group.
    let forbidden = if metadata.uid() == 0 { 0o037 } else { 0o077 };
    if metadata.mode() & forbidden != 0 {
        return Err(ClientCertificateError::Permissions { path: path.to_owned() });
    }
    let bytes = bytes(path)?;
    let is_marked = |mark: &[u8]| bytes.windows(mark.len()).any(|window| window == mark);
    if is_marked(b"BEGIN ENCRYPTED PRIVATE KEY") || is_marked(b"Proc-Type: 4,ENCRYPTED") {
        return Err(ClientCertificateError::Encrypted { path: path.to_owned() });
    }
    PrivateKeyDer::from_pem_slice(&bytes)
        .map_err(|reason| ClientCertificateError::Pem { path: path.to_owned(), reason })
}

fn bytes(path: &Path) -> Result<Vec<u8>, ClientCertificateError> {
    fs::read(path).map_err(|source| ClientCertificateError::Read { path: path.to_owned(), source })
}

/// Shows one certificate to whoever asks, and remembers that somebody did.
#[derive(Debug)]
pub(super) struct Shown {
    certificate: Arc<CertifiedKey>,
    asked: AtomicBool,
}

impl Shown {
    pub(super) fn new(certificate: Arc<CertifiedKey>) -> Self {
        Self { certificate, asked: AtomicBool::new(false) }
    }

    /// Whether the server has asked for a certificate.
    pub(super) fn was_asked_for(&self) -> bool {
        self.asked.load(Ordering::Relaxed)
    }
}

impl ResolvesClientCert for Shown {
    /// Whether the server knows the issuer is the server's to judge, as with libpq.
    fn resolve(&self, _issuers: &[&[u8]], _schemes: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        self.asked.store(true, Ordering::Relaxed);
        Some(Arc::clone(&self.certificate))
    }

    fn has_certs(&self) -> bool {
        true
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::fs::Permissions;
    use std::os::unix::fs::PermissionsExt;

    use rustls::crypto::ring::default_provider;

    use super::*;

    fn stored(name: &str) -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("src/net/test_certificates").join(name)
    }

    #[test]
    fn a_key_is_read_only_if_it_is_private_and_plain() {
        let directory = tempfile::tempdir().unwrap();
        let key = directory.path().join("client.key");
        fs::copy(stored("server.key"), &key).unwrap();
        let certificate = stored("server.pem");
        let read = || super::read(&certificate, &key, &default_provider());
        fs::set_permissions(&key, Permissions::from_mode(0o644)).unwrap();
        assert!(matches!(read(), Err(ClientCertificateError::Permissions { .. })));
        fs::set_permissions(&key, Permissions::from_mode(0o600)).unwrap();
        assert!(read().is_ok());
        // Only root may lend its keys to a group.
        fs::set_permissions(&key, Permissions::from_mode(0o640)).unwrap();
        assert_eq!(read().is_ok(), rustix::process::geteuid().is_root());
        fs::set_permissions(&key, Permissions::from_mode(0o600)).unwrap();
        for mark in ["-----BEGIN ENCRYPTED PRIVATE KEY-----", "Proc-Type: 4,ENCRYPTED"] {
            fs::write(&key, mark).unwrap();
            let said = read().unwrap_err().to_string();
            assert!(said.contains("is encrypted") && said.contains("openssl pkey"), "{said}");
        }
        fs::remove_file(&key).unwrap();
        assert!(matches!(read(), Err(ClientCertificateError::Read { .. })));
        fs::create_dir(&key).unwrap();
        assert!(matches!(read(), Err(ClientCertificateError::NoFile { .. })));
    }
}
