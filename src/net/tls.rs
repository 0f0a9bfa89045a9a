//! TLS as libpq's settings ask for it, by rustls.
//!
//! Takes the settings, reads the certificates that they name, and gives what a handshake needs. Must not know about sockets.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{Resumption, WebPkiServerVerifier};
use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::sign::CertifiedKey;
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};

use super::client_certificate::{self, ClientCertificateError, Shown};
use super::identity::PROTOCOL_NAME;
use super::tls_settings::{ChannelBinding, SslCertMode, SslMode, TlsSettings};

/// Where systems keep the certificate authorities that they trust.
const SYSTEM_BUNDLES: [&str; 5] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
    "/opt/homebrew/etc/ca-certificates/cert.pem",
];

/// Why TLS cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    #[error("could not read root certificates from \"{}\"", path.display())]
    Roots { path: PathBuf, source: io::Error },
    #[error("\"{}\" holds no usable root certificate", path.display())]
    NoRoots { path: PathBuf },
    #[error("found no root certificates of the system\nhint: name a file of them as sslrootcert")]
    NoSystemRoots,
    #[error(transparent)]
    ClientCertificate(#[from] ClientCertificateError),
    #[error("could not set up TLS")]
    Setup(#[source] rustls::Error),
}

/// One way to begin a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    Plain,
    Encrypted,
}

/// What a handshake needs.
#[derive(Clone)]
pub struct Tls {
    settings: TlsSettings,
    config: Option<Arc<ClientConfig>>,
    /// What the client shows a server that must ask for it.
    required: Option<Arc<CertifiedKey>>,
}

impl Tls {
    /// No TLS.
    pub const DISABLED: Self = Self { settings: TlsSettings::of_mode(SslMode::Disable), config: None, required: None };

    /// No TLS, where passwords may nevertheless be asked to be bound to it.
    pub fn without(channel_binding: ChannelBinding) -> Self {
        let mut tls = Self::DISABLED;
        tls.settings.channel_binding = Some(channel_binding).filter(|binding| *binding != ChannelBinding::default());
        tls
    }

    /// Reads the certificates that the settings name or need.
    pub fn new(settings: &TlsSettings) -> Result<Self, TlsError> {
        let mode = settings.mode();
        if mode == SslMode::Disable {
            return Ok(Self { settings: settings.clone(), ..Self::DISABLED });
        }
        let provider = Arc::new(ring::default_provider());
        let roots = settings.sslrootcert.as_deref().filter(|_| !settings.wants_system_roots());
        let check = match (mode, roots) {
            (SslMode::VerifyFull, _) => Check::Name(webpki(find_roots(roots)?, &provider)?),
            (SslMode::VerifyCa, _) | (SslMode::Require, Some(_)) => Check::Signer(find_roots(roots)?),
            // The weakest modes do without roots that are not there, as with libpq.
            (_, Some(path)) if path.exists() => Check::Signer(read_roots(path)?),
            _ => Check::Nothing,
        };
        let cert_mode = settings.sslcertmode.unwrap_or_default();
        let shown = match (&settings.sslcert, &settings.sslkey) {
            (Some(certificate), Some(key)) if cert_mode != SslCertMode::Disable => {
                Some(client_certificate::read(certificate, key, &provider)?)
            }
            _ => None,
        };
        let builder = ClientConfig::builder_with_provider(provider.clone())
            .with_safe_default_protocol_versions()
            .map_err(TlsError::Setup)?;
        let verifier = Arc::new(Verifier { check, provider });
        let builder = builder.dangerous().with_custom_certificate_verifier(verifier);
        let mut config = match &shown {
            Some(certificate) => builder.with_client_cert_resolver(Arc::new(Shown::new(Arc::clone(certificate)))),
            None => builder.with_no_client_auth(),
        };
        config.alpn_protocols = vec![PROTOCOL_NAME.to_vec()];
        config.enable_sni = settings.sslsni.unwrap_or(true);
        // Every session shakes hands in full, as those of libpq do: that is what a server pays at a reconnect.
        config.resumption = Resumption::disabled();
        let required = shown.filter(|_| cert_mode == SslCertMode::Require);
        Ok(Self { settings: settings.clone(), config: Some(Arc::new(config)), required })
    }

    /// The settings it was made of.
    pub fn settings(&self) -> &TlsSettings {
        &self.settings
    }

    /// The ways to begin a connection, in the order in which they are tried.
    pub fn ways(&self) -> &'static [Way] {
        match self.settings.mode() {
            SslMode::Disable => &[Way::Plain],
            SslMode::Allow => &[Way::Plain, Way::Encrypted],
            SslMode::Prefer => &[Way::Encrypted, Way::Plain],
            SslMode::Require | SslMode::VerifyCa | SslMode::VerifyFull => &[Way::Encrypted],
        }
    }

    /// What rustls needs for one connection; none if TLS is disabled. Where the server must ask for the certificate, also
    /// what tells whether it did.
    pub(super) fn config(&self) -> Option<(Arc<ClientConfig>, Option<Arc<Shown>>)> {
        let config = self.config.as_ref()?;
        let Some(certificate) = &self.required else { return Some((Arc::clone(config), None)) };
        let shown = Arc::new(Shown::new(Arc::clone(certificate)));
        let mut own = ClientConfig::clone(config);
        own.client_auth_cert_resolver = Arc::clone(&shown) as _;
        Some((Arc::new(own), Some(shown)))
    }
}

impl PartialEq for Tls {
    fn eq(&self, other: &Self) -> bool {
        self.settings == other.settings
    }
}

impl Eq for Tls {}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.settings.mode().name())
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
    fn roots_are_read_only_where_the_mode_looks_at_the_certificate() {
        let made = |mode| {
            Tls::new(&TlsSettings { sslrootcert: Some("/nowhere/roots.pem".into()), ..TlsSettings::of_mode(mode) })
        };
        assert!(made(SslMode::Disable).unwrap().config().is_none());
        assert!(made(SslMode::Prefer).is_ok() && made(SslMode::Allow).is_ok());
        assert!(matches!(made(SslMode::VerifyFull), Err(TlsError::Roots { .. })));
        assert!(matches!(made(SslMode::Require), Err(TlsError::Roots { .. })));
    }
}
