//! External staging: a server that is already there, and that says that it may be thrown away.
//!
//! Takes the scenario's DSN, mappings and the environment's passwords; gives the endpoint, after the one look that must
//! find the disposable mark. Must not know what is done to the server afterwards.

use std::collections::BTreeMap;
use std::time::Duration;

use super::{Clients, StagingError};
use crate::net::{self, Secret, Target, password};
use crate::scenario::resolved::{Dsn, ExternalStaging};
use crate::server::endpoint::{Endpoint, Logins};
use crate::server::external;
use crate::server::login::Login;
use crate::words::ids::PgVersion;

const LOOK_DEADLINE: Duration = Duration::from_secs(15);

/// The endpoint and the server's version, once the mark was seen.
///
/// # Errors
/// A DSN that cannot be read, a password that is not there, a server that cannot be reached or is not marked.
pub async fn look(staging: &ExternalStaging, clients: &Clients) -> Result<(Endpoint, Option<PgVersion>), StagingError> {
    let dsn = parse(&staging.dsn)?;
    let target = target(&staging.dsn)?;
    let fallback_user = std::env::var("USER").unwrap_or_else(|_| "postgres".to_owned());
    let mut control = Login::from_dsn(&dsn, &fallback_user);
    let passwords = passwords(staging, &dsn, &control, clients)?;
    if control.password.is_none() {
        control.password = passwords.get(&control.user).cloned();
    }
    let seen = external::look(&target, &control, LOOK_DEADLINE).await;
    let seen = seen.map_err(|source| StagingError::Unreachable { dsn: dsn.display_redacted(), source })?;
    if !seen.disposable {
        let database = format!("\"{}\"", control.database.replace('"', "\"\""));
        return Err(StagingError::Unmarked { dsn: dsn.display_redacted(), database });
    }
    let logins = Logins {
        users: staging.users.iter().map(|(captured, user)| (captured.clone(), user.user.clone())).collect(),
        databases: staging.databases.clone(),
        default_user: None,
        passwords,
    };
    Ok((Endpoint::new("primary", target, "old", logins, control), seen.version))
}

/// The server that a connection string of the scenario names.
pub fn target(dsn: &Dsn) -> Result<Target, StagingError> {
    parse(dsn)?.target().map_err(|error| StagingError::Dsn(error.to_string()))
}

fn parse(dsn: &Dsn) -> Result<net::Dsn, StagingError> {
    net::Dsn::parse(dsn.expose()).map_err(|error| StagingError::Dsn(error.to_string()))
}

/// Passwords by the server's user: the DSN's own, those that variables hold, and those of the pgpass file.
fn passwords(
    staging: &ExternalStaging,
    dsn: &net::Dsn,
    control: &Login,
    clients: &Clients,
) -> Result<BTreeMap<String, Secret>, StagingError> {
    let mut passwords = BTreeMap::new();
    let own = (control.user.as_str(), staging.password_env.as_deref(), dsn.password.clone());
    let mapped = staging.users.values().map(|user| (user.user.as_str(), user.password_env.as_deref(), None));
    let unmapped = clients.users.iter().filter(|user| !staging.users.contains_key(*user));
    let unmapped = unmapped.map(|user| (user.as_str(), None, None));
    let databases: Vec<&str> =
        std::iter::once(control.database.as_str()).chain(clients.databases.iter().map(String::as_str)).collect();
    for (user, variable, known) in unmapped.chain(mapped).chain([own]) {
        let password = match (known, variable) {
            (Some(password), _) => Some(password),
            (None, Some(variable)) => {
                let value = std::env::var(variable)
                    .map_err(|_| StagingError::NoPassword { user: user.to_owned(), variable: variable.to_owned() })?;
                Some(Secret::new(value))
            }
            (None, None) => from_passfile(staging, dsn, user, &databases)?,
        };
        passwords.extend(password.map(|password| (user.to_owned(), password)));
    }
    Ok(passwords)
}

/// A user has one password in all of a server's databases, so a line for any of them will do.
fn from_passfile(
    staging: &ExternalStaging,
    dsn: &net::Dsn,
    user: &str,
    databases: &[&str],
) -> Result<Option<Secret>, StagingError> {
    let host = dsn.host();
    let environment = |name: &str| match (name, &staging.passfile) {
        ("PGPASSFILE", Some(path)) => Some(path.display().to_string()),
        // With a file of the scenario's own, PGPASSWORD would be somebody else's.
        ("PGPASSWORD", Some(_)) => None,
        _ => std::env::var(name).ok(),
    };
    for database in databases {
        let lookup = password::Lookup { host: &host, port: dsn.port(), database, user };
        if let Some(found) = password::find(lookup, environment).map_err(StagingError::Password)? {
            return Ok(Some(found));
        }
    }
    Ok(None)
}
