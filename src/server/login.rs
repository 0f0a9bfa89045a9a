//! Who logs in: user, database, password and the startup parameters of a session.
//!
//! Gives the plain value. Must not know how the login is done or where it leads.

use crate::net::{Dsn, Secret};

/// What a session logs in with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Login {
    pub user: String,
    pub database: String,
    pub password: Option<Secret>,
    /// Further startup parameters, such as `application_name`; `user` and `database` are left out if they stand here.
    pub parameters: Vec<(String, String)>,
}

impl Login {
    /// A login without a password and without parameters.
    pub fn new(user: impl Into<String>, database: impl Into<String>) -> Self {
        Self { user: user.into(), database: database.into(), password: None, parameters: Vec::new() }
    }

    /// The same with another password.
    pub fn with_password(self, password: Option<Secret>) -> Self {
        Self { password, ..self }
    }

    /// The same with one more startup parameter.
    pub fn with_parameter(mut self, name: &str, value: &str) -> Self {
        self.parameters.push((name.to_owned(), value.to_owned()));
        self
    }

    /// What a DSN says, with `user` where it names none; the database is the user's name by default, as with libpq.
    pub fn from_dsn(dsn: &Dsn, user: &str) -> Self {
        let user = dsn.user.as_deref().unwrap_or(user);
        let mut login = Self::new(user, dsn.database.as_deref().unwrap_or(user)).with_password(dsn.password.clone());
        for (name, value) in [("application_name", &dsn.application_name), ("options", &dsn.options)] {
            if let Some(value) = value {
                login = login.with_parameter(name, value);
            }
        }
        login
    }

    /// The parameters of the startup message.
    pub(super) fn startup_parameters(&self) -> impl Iterator<Item = (&str, &str)> {
        let own = [("user", self.user.as_str()), ("database", self.database.as_str())];
        let others = self.parameters.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        own.into_iter().chain(others.filter(|(name, _)| !matches!(*name, "user" | "database")))
    }
}
