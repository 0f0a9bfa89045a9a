//! Goes through the ways to a server: with TLS, without it, or one after the other, as `sslmode` says.
//!
//! Takes a target, gives a stream by each way until a login does by one of them, and the rejection that tells most when
//! none does. Must not know how a login is done.

use std::time::Duration;

use super::connect::ConnectError;
use crate::net::{self, Stream, Target, Way};

/// "No entry in pg_hba.conf" and the like: the server did not come to look at a proof.
const NOT_LET_IN: &str = "28000";

/// Where the tries to connect stand.
pub(super) struct Ways<'a> {
    target: &'a Target,
    /// What has not been tried.
    rest: &'static [Way],
    first_error: Option<ConnectError>,
}

impl<'a> Ways<'a> {
    pub(super) fn new(target: &'a Target) -> Self {
        Self { target, rest: target.ways(), first_error: None }
    }

    /// A stream by the next way that leads to one, in `within` at most.
    pub(super) async fn dial(&mut self, within: Duration) -> Result<Stream, ConnectError> {
        while let Some((way, rest)) = self.rest.split_first() {
            self.rest = rest;
            match net::dial_by(self.target, *way, within).await {
                Ok(stream) => {
                    if *way == Way::Encrypted && !stream.is_tls() {
                        // The server has no TLS, so this is the other way already.
                        self.rest = &[];
                    }
                    return Ok(stream);
                }
                Err(error) if error.is_of_way() && !self.rest.is_empty() => self.first_error = Some(error.into()),
                Err(error) => return Err(self.first_error.take().unwrap_or_else(|| error.into())),
            }
        }
        Err(self.first_error.take().unwrap_or_else(|| ConnectError::protocol("no way to connect is left")))
    }

    /// A login failed. Gives the error to report unless another way is left that may fare better.
    ///
    /// Only who is not let in (class 28) tries the other way. libpq does so after any error, which cannot change what a
    /// server says that has too many clients or is starting, and would double the tries of an outage.
    pub(super) fn rejected(&mut self, error: ConnectError) -> Result<(), ConnectError> {
        let is_about_client = |error: &ConnectError| match error {
            ConnectError::Rejected(said) => said.sqlstate.as_str().starts_with("28"),
            _ => false,
        };
        if is_about_client(&error) && !self.rest.is_empty() {
            self.first_error = Some(error);
            return Ok(());
        }
        let tells_little = |error: &ConnectError| error.sqlstate().is_some_and(|state| state.as_str() == NOT_LET_IN);
        Err(match self.first_error.take() {
            Some(first) if !tells_little(&first) && tells_little(&error) => first,
            _ => error,
        })
    }
}
