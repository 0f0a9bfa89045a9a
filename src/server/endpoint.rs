//! What clients connect to: a name, such as `primary`, behind which the plan may put another server.
//!
//! Takes the switches of the upgrade and gives everybody who connects the server of the moment, with the login that a
//! captured user and database stand for. Must not know who connects, or why it is switched.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::watch;

use super::login::Login;
use crate::net::{Address, Dsn, Secret, Target, TlsSettings};
use crate::words::time::now;

/// The server behind an endpoint at some moment.
#[derive(Clone, Debug)]
pub struct Place {
    pub target: Target,
    /// `old` or `new`, as in the timeline.
    pub server: Box<str>,
}

/// Which login a captured user and database stand for. By default everybody is who they were, without a password.
#[derive(Clone, Debug, Default)]
pub struct Logins {
    /// Captured user to the server's user.
    pub users: BTreeMap<String, String>,
    /// Captured database to the server's database.
    pub databases: BTreeMap<String, String>,
    /// The server's user of captured users that are not in `users`; none means the same name.
    pub default_user: Option<String>,
    /// Passwords by the server's user.
    pub passwords: BTreeMap<String, Secret>,
}

impl Logins {
    /// The login for a captured user and database.
    pub fn login_for(&self, user: &str, database: &str, parameters: &[(String, String)]) -> Login {
        let user = self.users.get(user).or(self.default_user.as_ref()).map_or(user, String::as_str);
        let mut login = Login::new(user, self.database_for(database)).with_password(self.passwords.get(user).cloned());
        login.parameters = parameters.to_vec();
        login
    }

    /// The server's database for a captured one.
    pub fn database_for<'a>(&'a self, database: &'a str) -> &'a str {
        self.databases.get(database).map_or(database, String::as_str)
    }
}

/// An endpoint. Clones are the same endpoint.
#[derive(Clone, Debug)]
pub struct Endpoint {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    name: String,
    place: watch::Sender<Arc<Place>>,
    /// Where it led before, each until a moment; as many as the plan has switches.
    left: Mutex<Vec<(Instant, Arc<Place>)>>,
    logins: Logins,
    control: Login,
}

impl Endpoint {
    /// An endpoint that leads to `target` (label `server`). `control` is the login for set-up, steps and reading back.
    pub fn new(name: impl Into<String>, target: Target, server: &str, logins: Logins, control: Login) -> Self {
        let (place, _) = watch::channel(Arc::new(Place { target, server: server.into() }));
        Self { shared: Arc::new(Shared { name: name.into(), place, left: Mutex::default(), logins, control }) }
    }

    /// Its name, as in scenarios and samples.
    pub fn name(&self) -> &str {
        &self.shared.name
    }

    /// Where it leads now.
    pub fn current(&self) -> Arc<Place> {
        self.shared.place.borrow().clone()
    }

    /// Where it leads for somebody who learns of a switch this much later, as behind a name server.
    pub fn as_seen_after(&self, lag: Duration) -> Arc<Place> {
        // A push cannot leave the list half changed.
        let left = self.shared.left.lock().unwrap_or_else(PoisonError::into_inner);
        let unseen = left.iter().find(|(left_at, _)| now().saturating_duration_since(*left_at) < lag);
        unseen.map_or_else(|| self.current(), |(_, place)| Arc::clone(place))
    }

    /// Tells of every switch from now on.
    pub fn watch(&self) -> watch::Receiver<Arc<Place>> {
        self.shared.place.subscribe()
    }

    /// Leads to another server from now on; sessions that are open stay where they are.
    pub fn switch(&self, target: Target, server: &str) {
        let mut left = self.shared.left.lock().unwrap_or_else(PoisonError::into_inner);
        let before = self.shared.place.send_replace(Arc::new(Place { target, server: server.into() }));
        left.push((now(), before));
    }

    /// The login for a captured user and database.
    pub fn login_for(&self, user: &str, database: &str, parameters: &[(String, String)]) -> Login {
        self.shared.logins.login_for(user, database, parameters)
    }

    /// The mapping behind [`Self::login_for`].
    pub fn logins(&self) -> &Logins {
        &self.shared.logins
    }

    /// The login for set-up, steps and reading back, in one of the server's databases.
    pub fn control_login(&self, database: &str) -> Login {
        let mut login = self.shared.control.clone();
        login.database = database.to_owned();
        login
    }

    /// The database that the control login names itself.
    pub fn control_database(&self) -> &str {
        &self.shared.control.database
    }

    /// Where it leads now as a connection string of the control login, without a password: `PGREHEARSE_ENDPOINT`.
    pub fn dsn(&self) -> String {
        let place = self.current();
        let (host, port) = place.target.host_and_port();
        let hostaddr = match &place.target.address {
            Address::Tcp { address, .. } => *address,
            Address::Unix { .. } => None,
        };
        let Login { user, database, .. } = self.shared.control.clone();
        let settings = place.target.tls.settings();
        Dsn {
            host: Some(host),
            hostaddr,
            port: Some(port),
            user: Some(user),
            database: Some(database),
            tls: match place.target.address {
                Address::Tcp { .. } => settings.clone(),
                Address::Unix { .. } => {
                    TlsSettings { channel_binding: settings.channel_binding, ..TlsSettings::default() }
                }
            },
            ..Dsn::default()
        }
        .without_password()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn endpoint(logins: Logins) -> Endpoint {
        let control = Login::new("admin", "postgres").with_password(Some(Secret::new("hush")));
        Endpoint::new("primary", Target::unix("/run/pg", 6000), "old", logins, control)
    }

    #[test]
    fn a_switch_shows_to_who_connects_next_and_to_who_watches() {
        let endpoint = endpoint(Logins::default());
        let watching = endpoint.watch();
        assert_eq!(&*endpoint.current().server, "old");
        endpoint.switch(Target::tcp("127.0.0.1", 6001), "new");
        assert_eq!(&*endpoint.clone().current().server, "new");
        assert!(watching.has_changed().unwrap());
    }

    #[test]
    fn who_learns_of_a_switch_later_is_led_to_the_server_before() {
        let (endpoint, hour) = (endpoint(Logins::default()), Duration::from_secs(3_600));
        assert_eq!(&*endpoint.as_seen_after(hour).server, "old");
        for server in ["new", "newer"] {
            endpoint.switch(Target::tcp("127.0.0.1", 6001), server);
        }
        assert_eq!(&*endpoint.as_seen_after(Duration::ZERO).server, "newer");
        assert_eq!(&*endpoint.as_seen_after(hour).server, "old");
    }

    #[test]
    fn captured_users_and_databases_become_those_of_the_server() {
        let text = |from: &str, to: &str| (from.to_owned(), to.to_owned());
        let endpoint = endpoint(Logins {
            users: [text("app", "staging_app")].into(),
            databases: [text("shop", "shop_copy")].into(),
            default_user: Some("everyone".to_owned()),
            passwords: [("staging_app".to_owned(), Secret::new("hush"))].into(),
        });
        let login = endpoint.login_for("app", "shop", &[text("application_name", "web")]);
        assert_eq!((login.user.as_str(), login.database.as_str()), ("staging_app", "shop_copy"));
        assert!(login.password.is_some() && login.parameters.len() == 1);
        assert_eq!(endpoint.login_for("bob", "crm", &[]).user, "everyone");
        assert_eq!(endpoint.control_login("shop_copy").database, "shop_copy");
    }

    #[test]
    fn the_connection_string_for_steps_holds_no_password() {
        assert_eq!(endpoint(Logins::default()).dsn(), "host=/run/pg port=6000 user=admin dbname=postgres");
    }
}
