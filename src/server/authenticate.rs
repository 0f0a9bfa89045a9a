//! Logs a session in: trust, cleartext, MD5, SCRAM-SHA-256 and SCRAM-SHA-256-PLUS.
//!
//! Takes a connection whose startup message is written and a login; goes on until the first ReadyForQuery. Must not
//! know about time limits, which its caller keeps.

use std::io;

use postgres_protocol::authentication::md5_hash;
use postgres_protocol::authentication::sasl::{self, SCRAM_SHA_256, SCRAM_SHA_256_PLUS, ScramSha256};

use super::connect::ConnectError;
use super::connection::{Connection, Greeting};
use super::login::Login;
use crate::net::ChannelBinding;
use crate::pgwire::backend::Authentication;
use crate::pgwire::frontend::{self, EncodeError};

/// Answers what the server asks until it is ready for queries.
pub(super) async fn log_in(
    connection: &mut Connection,
    login: &Login,
    binding: ChannelBinding,
) -> Result<(), ConnectError> {
    let is_tls = connection.stream().is_tls();
    if binding == ChannelBinding::Require && !is_tls {
        return Err(refused("channel binding is required, but the connection has no TLS"));
    }
    let end_point = match binding {
        ChannelBinding::Disable => None,
        ChannelBinding::Prefer | ChannelBinding::Require => connection.stream().tls_server_end_point(),
    };
    let mut exchange = Exchange { login, binding, is_tls, end_point, is_bound: false, scram: None, proven: false };
    loop {
        match connection.greeting(|request, out| exchange.answer(request, out)).await? {
            Greeting::Ready => return Ok(()),
            Greeting::GoOn => {}
        }
    }
}

/// Where an exchange stands.
struct Exchange<'a> {
    login: &'a Login,
    binding: ChannelBinding,
    is_tls: bool,
    /// What a proof can be bound to.
    end_point: Option<Vec<u8>>,
    /// The proof under way is bound to the connection.
    is_bound: bool,
    scram: Option<ScramSha256>,
    /// The server has shown that it knows the password, too.
    proven: bool,
}

impl Exchange<'_> {
    fn answer(&mut self, request: Authentication<'_>, out: &mut bytes::BytesMut) -> Result<(), ConnectError> {
        match request {
            // A server that skips the end of SCRAM has not proven itself.
            Authentication::Ok if self.scram.is_some() && !self.proven => {
                Err(refused("the server left out its part of SCRAM"))
            }
            Authentication::Ok => self.check_bound(),
            Authentication::CleartextPassword => {
                self.check_bound()?;
                frontend::password(out, self.password()?.as_bytes()).map_err(unwritable)
            }
            Authentication::Md5Password { salt } => {
                self.check_bound()?;
                let hash = md5_hash(self.login.user.as_bytes(), self.password()?.as_bytes(), salt);
                frontend::password(out, hash.as_bytes()).map_err(unwritable)
            }
            Authentication::Sasl { mechanisms } => {
                let (mechanism, binding) = self.choose(&mechanisms)?;
                let scram = ScramSha256::new(self.password()?.as_bytes(), binding);
                frontend::sasl_initial_response(out, mechanism, scram.message()).map_err(unwritable)?;
                self.scram = Some(scram);
                Ok(())
            }
            Authentication::SaslContinue(data) => {
                let scram = self.scram.as_mut().ok_or_else(|| ConnectError::protocol("SASL goes on unasked"))?;
                scram.update(data).map_err(unproven)?;
                frontend::sasl_response(out, scram.message()).map_err(unwritable)
            }
            Authentication::SaslFinal(data) => {
                let scram = self.scram.as_mut().ok_or_else(|| ConnectError::protocol("SASL ends unasked"))?;
                scram.finish(data).map_err(unproven)?;
                self.proven = true;
                Ok(())
            }
            Authentication::Other(code) => {
                Err(refused(&format!("the server asks for authentication method {code}, which is not supported")))
            }
        }
    }

    /// The strongest mechanism that both sides have.
    fn choose(&mut self, offered: &[&str]) -> Result<(&'static str, sasl::ChannelBinding), ConnectError> {
        let offers_binding = offered.contains(&SCRAM_SHA_256_PLUS);
        if offers_binding && !self.is_tls {
            return Err(refused("the server offers SCRAM-SHA-256-PLUS without TLS: something stands between"));
        }
        let (mechanism, binding) = match self.end_point.take() {
            Some(end_point) if offers_binding => {
                self.is_bound = true;
                (SCRAM_SHA_256_PLUS, sasl::ChannelBinding::tls_server_end_point(end_point))
            }
            // Says that the client could have bound it, so that a server whose offer was taken away on its way notices.
            Some(_) => (SCRAM_SHA_256, sasl::ChannelBinding::unrequested()),
            None => (SCRAM_SHA_256, sasl::ChannelBinding::unsupported()),
        };
        self.check_bound()?;
        if !offered.contains(&mechanism) {
            return Err(refused("the server offers no SASL mechanism that is known here (SCRAM-SHA-256 is)"));
        }
        Ok((mechanism, binding))
    }

    /// Where binding is required, nothing of the password is shown without it.
    fn check_bound(&self) -> Result<(), ConnectError> {
        match self.binding {
            ChannelBinding::Require if !self.is_bound => {
                Err(refused("channel binding is required, and the login goes on without it"))
            }
            _ => Ok(()),
        }
    }

    fn password(&self) -> Result<&str, ConnectError> {
        let password = self.login.password.as_ref().map(|password| password.expose());
        password.ok_or_else(|| refused("the server asks for a password and none was given"))
    }
}

fn refused(reason: &str) -> ConnectError {
    ConnectError::Authentication { reason: reason.into() }
}

fn unproven(error: io::Error) -> ConnectError {
    refused(&format!("SCRAM failed: {error}"))
}

fn unwritable(error: EncodeError) -> ConnectError {
    refused(&error.to_string())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use bytes::BytesMut;

    use super::*;
    use crate::net::Secret;

    /// What the client answers over TLS to this offer; none if it refuses.
    fn answered(binding: ChannelBinding, end_point: Option<Vec<u8>>, offered: &[&'static str]) -> Option<String> {
        let login = Login::new("ann", "shop").with_password(Some(Secret::new("hush")));
        let mut exchange =
            Exchange { login: &login, binding, is_tls: true, end_point, is_bound: false, scram: None, proven: false };
        let mut out = BytesMut::new();
        exchange.answer(Authentication::Sasl { mechanisms: offered.to_vec() }, &mut out).ok()?;
        Some(String::from_utf8_lossy(&out[5..]).into_owned())
    }

    #[test]
    fn a_client_that_could_bind_says_so_when_the_offer_is_gone() {
        let (both, plain) = ([SCRAM_SHA_256_PLUS, SCRAM_SHA_256], [SCRAM_SHA_256]);
        let hash = || Some(vec![7; 32]);
        let bound = answered(ChannelBinding::Prefer, hash(), &both).unwrap();
        assert!(bound.starts_with("SCRAM-SHA-256-PLUS\0") && bound.contains("p=tls-server-end-point,,"), "{bound}");
        assert!(answered(ChannelBinding::Prefer, hash(), &plain).unwrap().contains("y,,n="));
        assert!(answered(ChannelBinding::Disable, None, &both).unwrap().contains("n,,n="));
        assert_eq!(answered(ChannelBinding::Require, hash(), &plain), None);
        assert_eq!(answered(ChannelBinding::Require, None, &both), None);
    }

    #[test]
    fn where_binding_is_required_nothing_else_will_do() {
        let login = Login::new("ann", "shop").with_password(Some(Secret::new("hush")));
        let (binding, end_point) = (ChannelBinding::Require, Some(vec![7; 32]));
        let mut exchange =
            Exchange { login: &login, binding, is_tls: true, end_point, is_bound: false, scram: None, proven: false };
        for request in
            [Authentication::Ok, Authentication::CleartextPassword, Authentication::Md5Password { salt: [1, 2, 3, 4] }]
        {
            let mut out = BytesMut::new();
            assert!(exchange.answer(request, &mut out).is_err());
            assert!(out.is_empty());
        }
    }
}
