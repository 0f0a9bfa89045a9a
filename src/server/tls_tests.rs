//! TLS, channel binding and client certificates against a real server with OpenSSL: Debian's PostgreSQL 15.
//!
//! Where that server or the openssl program is missing, a test says so on stderr and passes.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::account::Account;
use super::binaries::{Installation, Part, Wanted, find};
use super::cache::Cache;
use super::cluster::LocalCluster;
use super::connect::{ConnectError, connect};
use super::control;
use super::fixture::{DEADLINE, Run};
use super::login::Login;
use crate::net::{Dsn, Secret, Target};
use crate::scenario::plan::StopMode;
use crate::scenario::resolved::ServerSource;
use crate::words::ids::PgMajor;

const BIN_DIR: &str = "/usr/lib/postgresql/15/bin";

const ROLES: &str = "CREATE ROLE only_tls LOGIN PASSWORD 'right'; CREATE ROLE only_plain LOGIN PASSWORD 'right'; \
    CREATE ROLE by_cert LOGIN; CREATE ROLE anyhow LOGIN PASSWORD 'right'";

const ACCESS: &str = "local all all trust\nhostssl all only_tls 127.0.0.1/32 scram-sha-256\n\
    hostnossl all only_plain 127.0.0.1/32 scram-sha-256\nhost all anyhow 127.0.0.1/32 scram-sha-256\n\
    hostssl all by_cert 127.0.0.1/32 cert\n";

/// A server with TLS, and the directory of its certificates.
struct Secured {
    cluster: LocalCluster,
    keys: tempfile::TempDir,
    /// Ends the cluster when dropped.
    _run: Run,
}

fn debian() -> Option<Installation> {
    let wanted =
        Wanted { major: PgMajor(15), bin_dir: Some(BIN_DIR.into()), source: ServerSource::Pinned, part: Part::Target };
    let found = find(&wanted, &Cache::locate().unwrap(), &Account::for_servers().unwrap());
    let openssl = Command::new("openssl").arg("version").output();
    match (found, openssl) {
        (Ok(installation), Ok(_)) => Some(installation),
        (Err(error), _) => {
            eprintln!("SKIPPED, no PostgreSQL 15 with TLS: {error}");
            None
        }
        (_, Err(error)) => {
            eprintln!("SKIPPED, no openssl to make certificates: {error}");
            None
        }
    }
}

fn openssl(directory: &Path, arguments: &str) {
    let made = Command::new("openssl").args(arguments.split(' ')).current_dir(directory).output().unwrap();
    assert!(made.status.success(), "{arguments}: {}", String::from_utf8_lossy(&made.stderr));
}

impl Secured {
    async fn start(name: &str) -> Option<Self> {
        let installation = debian()?;
        let run = Run::new(name);
        let mut cluster = run.cluster("old", installation, &[("ssl", "on"), ("ssl_ca_file", "ca.pem")]);
        cluster.init(DEADLINE).await.unwrap();
        let keys = tempfile::tempdir().unwrap();
        openssl(
            keys.path(),
            "req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=authority -keyout ca.key -out ca.pem",
        );
        openssl(keys.path(), "req -newkey rsa:2048 -nodes -subj /CN=by_cert -keyout client.key -out client.csr");
        openssl(
            keys.path(),
            "x509 -req -in client.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -out client.pem",
        );
        openssl(keys.path(), "pkey -in client.key -aes256 -passout pass:hush -out encrypted.key");
        fs::copy(keys.path().join("ca.pem"), cluster.spec().data_dir.join("ca.pem")).unwrap();
        let secured = Self { cluster, keys, _run: run };
        secured.give("ca.pem");
        secured.show("rsa:2048 -sha256");
        fs::write(secured.cluster.spec().data_dir.join("pg_hba.conf"), ACCESS).unwrap();
        Some(secured)
    }

    fn give(&self, name: &str) {
        let path = self.cluster.spec().data_dir.join(name);
        fs::set_permissions(&path, PermissionsExt::from_mode(0o600)).unwrap();
        Account::for_servers().unwrap().give(&path).unwrap();
    }

    /// Makes the server's certificate anew, with a key of this kind.
    fn show(&self, key: &str) {
        let made =
            format!("req -x509 -nodes -days 2 -subj /CN=localhost -keyout server.key -out server.crt -newkey {key}");
        openssl(self.keys.path(), &made);
        for name in ["server.key", "server.crt"] {
            fs::copy(self.keys.path().join(name), self.cluster.spec().data_dir.join(name)).unwrap();
            self.give(name);
        }
    }

    async fn make_roles(&mut self) {
        self.cluster.start(DEADLINE).await.unwrap();
        let spec = self.cluster.spec();
        let socket = Target::unix(&spec.socket_dir, spec.port);
        let admin = control::connect(&socket, &Login::new("postgres", "postgres"), DEADLINE).await.unwrap();
        admin.batch_execute(ROLES).await.unwrap();
        admin.close().await;
    }

    fn key(&self, name: &str) -> PathBuf {
        self.keys.path().join(name)
    }

    fn dsn(&self, pairs: &str) -> String {
        format!("host=127.0.0.1 port={} {pairs}", self.cluster.spec().port)
    }

    /// Whether the session that logs in has TLS; both kinds of sessions must come to the same end.
    async fn try_as(&self, user: &str, password: &str, pairs: &str) -> Result<bool, ConnectError> {
        let target = Dsn::parse(&self.dsn(pairs)).unwrap().target().unwrap();
        let login = Login::new(user, "postgres").with_password(Some(Secret::new(password)));
        let replayed = connect(&target, &login, DEADLINE).await;
        let controlling = control::connect(&target, &login, DEADLINE).await;
        assert_eq!(
            replayed.is_ok(),
            controlling.is_ok(),
            "{user} {pairs}: {:?} {:?}",
            replayed.err(),
            controlling.err()
        );
        if let Ok(control) = controlling {
            control.close().await;
        }
        let session = replayed?;
        let is_tls = session.stream().is_tls();
        session.close().await;
        Ok(is_tls)
    }
}

#[tokio::test]
async fn every_sslmode_meets_hostssl_and_hostnossl() {
    let Some(mut server) = Secured::start("t-sslmode").await else { return };
    server.make_roles().await;
    // Whether only_tls, only_plain and anyhow get in, and whether they have TLS then.
    let (plain, tls) = (Some(false), Some(true));
    for (mode, expected) in [
        ("disable", [None, plain, plain]),
        ("allow", [tls, plain, plain]),
        ("prefer", [tls, plain, tls]),
        ("require", [tls, None, tls]),
    ] {
        for (user, expected) in ["only_tls", "only_plain", "anyhow"].into_iter().zip(expected) {
            let got = server.try_as(user, "right", &format!("sslmode={mode}")).await;
            assert_eq!(got.as_ref().ok().copied(), expected, "{mode} {user}: {got:?}");
        }
    }
    // The better of two rejections is told.
    for (mode, user) in [("allow", "only_tls"), ("prefer", "only_plain"), ("prefer", "only_tls")] {
        let error = server.try_as(user, "wrong", &format!("sslmode={mode}")).await.unwrap_err();
        assert_eq!(error.sqlstate().unwrap().as_str(), "28P01", "{mode} {user}: {error}");
    }
    // Roots that do not fit: prefer goes on without TLS, require does not go on.
    let roots = server.key("ca.pem");
    let with_roots = |mode: &str| format!("sslmode={mode} sslrootcert={}", roots.display());
    assert_eq!(server.try_as("anyhow", "right", &with_roots("prefer")).await.ok(), Some(false));
    for mode in ["require", "verify-ca", "verify-full"] {
        let error = server.try_as("anyhow", "right", &with_roots(mode)).await.unwrap_err();
        assert!(matches!(error, ConnectError::Tls { .. }), "{mode}: {error}");
    }
    server.cluster.stop(StopMode::Fast, DEADLINE).await.unwrap();
}

#[tokio::test]
async fn passwords_are_bound_to_certificates_of_every_kind() {
    let Some(mut server) = Secured::start("t-binding").await else { return };
    server.make_roles().await;
    for key in [
        "rsa:2048 -sha256",
        "rsa:2048 -sha384",
        "rsa:2048 -sha512",
        "rsa:2048 -sha256 -sigopt rsa_padding_mode:pss",
        "ec -pkeyopt ec_paramgen_curve:prime256v1 -sha384",
    ] {
        server.show(key);
        server.cluster.restart(StopMode::Fast, DEADLINE).await.unwrap();
        for binding in ["require", "prefer", "disable"] {
            let pairs = format!("sslmode=require channel_binding={binding}");
            let got = server.try_as("only_tls", "right", &pairs).await;
            assert_eq!(got.as_ref().ok(), Some(&true), "{key} {binding}: {got:?}");
        }
        assert!(server.try_as("only_tls", "wrong", "sslmode=require channel_binding=require").await.is_err());
    }
    let error = server.try_as("only_plain", "right", "sslmode=disable channel_binding=require").await.unwrap_err();
    assert!(matches!(error, ConnectError::Authentication { .. }), "{error}");
    server.cluster.stop(StopMode::Fast, DEADLINE).await.unwrap();
}

#[tokio::test]
async fn a_client_certificate_is_shown_where_it_may_be() {
    let Some(mut server) = Secured::start("t-cert").await else { return };
    server.make_roles().await;
    let pair = format!("sslcert={} sslkey={}", server.key("client.pem").display(), server.key("client.key").display());
    for mode in ["allow", "require"] {
        let pairs = format!("sslmode=require {pair} sslcertmode={mode}");
        let got = server.try_as("by_cert", "", &pairs).await;
        assert_eq!(got.as_ref().ok(), Some(&true), "{mode}: {got:?}");
    }
    assert!(server.try_as("by_cert", "", &format!("sslmode=require {pair} sslcertmode=disable")).await.is_err());
    // The certificate is another user's.
    assert!(server.try_as("only_tls", "wrong", &format!("sslmode=require {pair}")).await.is_err());
    let encrypted = format!(
        "sslmode=require sslcert={} sslkey={}",
        server.key("client.pem").display(),
        server.key("encrypted.key").display()
    );
    let said = Dsn::parse(&server.dsn(&encrypted)).unwrap().target().unwrap_err().to_string();
    assert!(said.contains("is encrypted"), "{said}");
    // Without ssl_ca_file the server asks nobody.
    server.cluster.set([("ssl".to_owned(), "on".to_owned())].into()).unwrap();
    server.cluster.restart(StopMode::Fast, DEADLINE).await.unwrap();
    let error = server.try_as("only_tls", "right", &format!("sslmode=require {pair} sslcertmode=require")).await;
    assert!(error.as_ref().is_err_and(|error| error.to_string().contains("did not ask")), "{error:?}");
    server.cluster.stop(StopMode::Fast, DEADLINE).await.unwrap();
}
