//! Logs a session in: trust, cleartext, MD5 and SCRAM-SHA-256.
//!
//! Takes a connection whose startup message is written and a login; goes on until the first ReadyForQuery. Must not
//! know about time limits, which its caller keeps.

use std::io;

use postgres_protocol::authentication::md5_hash;
use postgres_protocol::authentication::sasl::{ChannelBinding, SCRAM_SHA_256, ScramSha256};

use super::connect::ConnectError;
use super::connection::{Connection, Greeting};
use super::login::Login;
use crate::pgwire::backend::Authentication;
use crate::pgwire::frontend::{self, EncodeError};

/// Answers what the server asks until it is ready for queries.
pub(super) async fn log_in(connection: &mut Connection, login: &Login) -> Result<(), ConnectError> {
    let mut exchange = Exchange { login, scram: None, proven: false };
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
            Authentication::Ok => Ok(()),
            Authentication::CleartextPassword => {
                frontend::password(out, self.password()?.as_bytes()).map_err(unwritable)
            }
            Authentication::Md5Password { salt } => {
                let hash = md5_hash(self.login.user.as_bytes(), self.password()?.as_bytes(), salt);
                frontend::password(out, hash.as_bytes()).map_err(unwritable)
            }
            Authentication::Sasl { mechanisms } => {
                if !mechanisms.contains(&SCRAM_SHA_256) {
                    return Err(refused("the server offers no SASL mechanism that is known here (SCRAM-SHA-256 is)"));
                }
                let scram = ScramSha256::new(self.password()?.as_bytes(), ChannelBinding::unsupported());
                frontend::sasl_initial_response(out, SCRAM_SHA_256, scram.message()).map_err(unwritable)?;
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
