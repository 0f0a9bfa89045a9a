//! What a server shows its clients: a certificate and its key, and the server's half of a TLS handshake.
//!
//! Takes PEM files and connected sockets, gives streams. Must not know what is said over them, nor when a client asks for
//! TLS.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;

use super::stream::Stream;

/// The name that PostgreSQL's clients give their protocol in the handshake (since 17).
pub(super) const PROTOCOL_NAME: &[u8] = b"postgresql";

/// Why a certificate or its key is of no use.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    #[error("could not read \"{}\": {reason}\nhint: give a PEM file, as PostgreSQL's ssl_cert_file and ssl_key_file", path.display())]
    Read { path: PathBuf, reason: pem::Error },
    #[error("\"{}\" holds no certificate\nhint: give a PEM file with the certificate first and its issuers behind it", path.display())]
    NoCertificate { path: PathBuf },
    #[error("the certificate and the key do not do")]
    Unusable(#[source] rustls::Error),
}

/// A certificate with its key. Cheap to clone.
#[derive(Clone)]
pub struct Identity {
    acceptor: TlsAcceptor,
}

impl Identity {
    /// Reads a certificate, its issuers behind it, and its key.
    ///
    /// # Errors
    /// A file cannot be read or holds something else, or the key is not the certificate's.
    pub fn read(certificate: &Path, key: &Path) -> Result<Self, IdentityError> {
        let failed = |path: &Path| {
            let path = path.to_owned();
            move |reason| IdentityError::Read { path, reason }
        };
        let chain: Vec<_> = CertificateDer::pem_file_iter(certificate)
            .map_err(failed(certificate))?
            .collect::<Result<_, _>>()
            .map_err(failed(certificate))?;
        if chain.is_empty() {
            return Err(IdentityError::NoCertificate { path: certificate.to_owned() });
        }
        let key = PrivateKeyDer::from_pem_file(key).map_err(failed(key))?;
        let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(IdentityError::Unusable)?
            .with_no_client_auth()
            .with_single_cert(chain, key)
            .map_err(IdentityError::Unusable)?;
        config.alpn_protocols = vec![PROTOCOL_NAME.to_vec()];
        Ok(Self { acceptor: TlsAcceptor::from(Arc::new(config)) })
    }

    /// Shakes hands with a client that begins to.
    ///
    /// # Errors
    /// The client does not agree, or goes away.
    pub async fn accept(&self, client: TcpStream) -> io::Result<Stream> {
        Ok(Stream::Tls(Box::new(self.acceptor.accept(client).await?.into())))
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Identity")
    }
}
