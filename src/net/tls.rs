//! TLS as libpq's `sslmode` and `sslrootcert` ask for it, by rustls.
//!
//! Takes a mode and perhaps a file of root certificates and gives what a handshake needs. Must not know about sockets.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};

/// Where systems keep the certificate authorities that they trust.
const SYSTEM_BUNDLES: [&str; 5] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
    "/opt/homebrew/etc/ca-certificates/cert.pem",
];

/// libpq's `sslmode`, less `allow`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SslMode {
    Disable,
    /// TLS if the server offers it, without looking at its certificate.
    #[default]
    Prefer,
    /// TLS or nothing; the certificate is looked at only if root certificates were named, as libpq does it.
    Require,
    /// The certificate must be signed by a root.
    VerifyCa,
    /// The certificate must be signed by a root and be the host's own.
    VerifyFull,
}

impl SslMode {
    const ALL: [Self; 5] = [Self::Disable, Self::Prefer, Self::Require, Self::VerifyCa, Self::VerifyFull];

    /// The name as in a DSN.
    pub fn name(self) -> &'static str {
        match self {
            Self::Disable => "disable",
            Self::Prefer => "prefer",
            Self::Require => "require",
            Self::VerifyCa => "verify-ca",
            Self::VerifyFull => "verify-full",
        }
    }
}

impl FromStr for SslMode {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Self::ALL
            .into_iter()
            .find(|mode| mode.name() == text)
            .ok_or_else(|| "sslmode is one of disable, prefer, require, verify-ca and verify-full".to_owned())
    }
}

/// Why TLS cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    #[error("could not read root certificates from \"{}\"", path.display())]
    Roots { path: PathBuf, source: io::Error },
    #[error("\"{}\" holds no usable root certificate", path.display())]
    NoRoots { path: PathBuf },
    #[error("found no root certificates of the system\nhint: name a file of them as sslrootcert")]
    NoSystemRoots,
    #[error("could not set up TLS")]
    Setup(#[source] rustls::Error),
}

/// What a handshake needs. Cheap to clone.
#[derive(Clone)]
pub struct Tls {
    mode: SslMode,
    config: Option<Arc<ClientConfig>>,
}

impl Tls {
    /// No TLS.
    pub const DISABLED: Self = Self { mode: SslMode::Disable, config: None };

    /// Reads the root certificates that `mode` needs: those of `roots`, else the system's.
    pub fn new(mode: SslMode, roots: Option<&Path>) -> Result<Self, TlsError> {
        if mode == SslMode::Disable {
            return Ok(Self::DISABLED);
        }
        let provider = Arc::new(ring::default_provider());
        let check = match (mode, roots) {
            (SslMode::VerifyFull, _) => Check::Name(webpki(find_roots(roots)?, &provider)?),
            (SslMode::VerifyCa, _) | (SslMode::Require, Some(_)) => Check::Signer(find_roots(roots)?),
            _ => Check::Nothing,
        };
        let builder = ClientConfig::builder_with_provider(provider.clone())
            .with_safe_default_protocol_versions()
            .map_err(TlsError::Setup)?;
        let verifier = Arc::new(Verifier { check, provider });
        let config = builder.dangerous().with_custom_certificate_verifier(verifier).with_no_client_auth();
        Ok(Self { mode, config: Some(Arc::new(config)) })
    }

    /// The mode it was made for.
    pub fn mode(&self) -> SslMode {
        self.mode
    }

    /// What rustls needs; none if TLS is disabled.
    pub fn config(&self) -> Option<&Arc<ClientConfig>> {
        self.config.as_ref()
    }
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.mode.name())
    }
}

fn find_roots(file: Option<&Path>) -> Result<RootCertStore, TlsError> {
    match file {
        Some(path) => read_roots(path),
        None => match SYSTEM_BUNDLES.iter().map(Path::new).find(|path| path.exists()) {
            Some(path) => read_roots(path),
            None => Err(TlsError::NoSystemRoots),
        },
    }
}

fn read_roots(path: &Path) -> Result<RootCertStore, TlsError> {
    let bytes = std::fs::read(path).map_err(|source| TlsError::Roots { path: path.to_owned(), source })?;
    let mut roots = RootCertStore::empty();
    // A bundle may hold certificates that rustls cannot use; one usable root is enough to go on.
    let (usable, _) = roots.add_parsable_certificates(CertificateDer::pem_slice_iter(&bytes).flatten());
    if usable == 0 {
        return Err(TlsError::NoRoots { path: path.to_owned() });
    }
    Ok(roots)
}

fn webpki(roots: RootCertStore, provider: &Arc<CryptoProvider>) -> Result<Arc<WebPkiServerVerifier>, TlsError> {
    WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider.clone())
        .build()
        .map_err(|error| TlsError::Setup(rustls::Error::General(error.to_string())))
}

/// What of the server's certificate is looked at.
#[derive(Debug)]
enum Check {
    Nothing,
    Signer(RootCertStore),
    Name(Arc<WebPkiServerVerifier>),
}

/// rustls knows only the equivalent of verify-full; this adds the weaker modes. The handshake's own signature is
/// verified in all of them.
#[derive(Debug)]
struct Verifier {
    check: Check,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        match &self.check {
            Check::Nothing => Ok(ServerCertVerified::assertion()),
            Check::Signer(roots) => {
                let certificate = ParsedCertificate::try_from(end_entity)?;
                let algorithms = self.provider.signature_verification_algorithms.all;
                rustls::client::verify_server_cert_signed_by_trust_anchor(
                    &certificate,
                    roots,
                    intermediates,
                    now,
                    algorithms,
                )?;
                Ok(ServerCertVerified::assertion())
            }
            Check::Name(inner) => inner.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now),
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signature, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signature, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn modes_have_their_names_from_libpq() {
        for mode in SslMode::ALL {
            assert_eq!(mode.name().parse(), Ok(mode));
        }
        assert!("allow".parse::<SslMode>().unwrap_err().contains("verify-full"));
    }

    #[test]
    fn roots_are_read_only_where_the_mode_looks_at_the_certificate() {
        let missing = Path::new("/nowhere/roots.pem");
        assert!(Tls::new(SslMode::Disable, Some(missing)).unwrap().config().is_none());
        assert!(Tls::new(SslMode::Prefer, Some(missing)).is_ok());
        assert!(matches!(Tls::new(SslMode::VerifyFull, Some(missing)), Err(TlsError::Roots { .. })));
        assert!(matches!(Tls::new(SslMode::Require, Some(missing)), Err(TlsError::Roots { .. })));
    }
}
