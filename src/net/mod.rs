//! Floor 2: streams to servers: addresses, DSNs, passwords, and how a connection is dialled; and from clients.
//!
//! [`Dsn`] reads what a person wrote, [`Target`] is where a server listens, [`dial`] opens a [`Stream`] to it, with TLS
//! where asked; an [`Identity`] is what a client with TLS is shown. Nothing here speaks PostgreSQL beyond the one byte that answers an SSLRequest.

mod client_certificate;
mod dial;
mod dsn;
mod end_point;
mod identity;
pub mod password;
#[cfg(test)]
pub mod played;
mod secret;
mod stream;
mod tls;
mod tls_settings;

pub use client_certificate::ClientCertificateError;
pub use dial::{Address, DialError, Target, dial, dial_by};
pub use dsn::{Dsn, DsnError};
pub use identity::{Identity, IdentityError};
pub use secret::Secret;
pub use stream::Stream;
pub use tls::{Tls, TlsError, Way};
pub use tls_settings::{ChannelBinding, SslMode, TlsSettings};

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tls_tests;
