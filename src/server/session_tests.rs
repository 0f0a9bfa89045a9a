//! Logins and sessions on real servers, and on stand-ins for what a real one does not do.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::BytesMut;
use rustix::io::Errno;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixListener;

use super::cluster::LocalCluster;
use super::connect::{ConnectError, cancel_request, connect};
use super::fixture::{DEADLINE, Run, pinned};
use super::login::Login;
use super::{control, external};
use crate::net::played::Listener;
use crate::net::{Secret, Target};
use crate::pgwire::backend::TransactionStatus;
use crate::pgwire::frontend::{self, Parameter};
use crate::pgwire::serve;
use crate::samples::sample::Outcome;
use crate::scenario::plan::StopMode;
use crate::words::ids::PgMajor;

const ROLES: &str = "
    CREATE ROLE by_md5 LOGIN; CREATE ROLE by_scram LOGIN PASSWORD 'right';
    SET password_encryption = md5; ALTER ROLE by_md5 PASSWORD 'right';
    CREATE ROLE by_text LOGIN PASSWORD 'right'; CREATE ROLE nobody LOGIN CONNECTION LIMIT 0;";

const ACCESS: &str = "local all by_md5 md5\nlocal all by_text password\nlocal all by_scram scram-sha-256\n\
    local all all trust\nhost all all 127.0.0.1/32 trust\n";

fn socket(cluster: &LocalCluster) -> Target {
    Target::unix(&cluster.spec().socket_dir, cluster.spec().port)
}

fn with_password(user: &str, password: &str) -> Login {
    Login::new(user, "postgres").with_password(Some(Secret::new(password)))
}

async fn every_way_to_log_in(major: u16) {
    let Some(installation) = pinned(major).await else { return };
    let run = Run::new(&format!("t-login-{major}"));
    let mut cluster = run.cluster("old", installation, &[]);
    cluster.init(DEADLINE).await.unwrap();
    cluster.start(DEADLINE).await.unwrap();
    let target = socket(&cluster);
    let admin = control::connect(&target, &Login::new("postgres", "postgres"), DEADLINE).await.unwrap();
    admin.batch_execute(ROLES).await.unwrap();
    std::fs::write(cluster.spec().data_dir.join("pg_hba.conf"), ACCESS).unwrap();
    admin.batch_execute("SELECT pg_reload_conf()").await.unwrap();
    admin.close().await;
    // A new connection may still be judged by the old file: a restart makes sure.
    cluster.restart(StopMode::Fast, DEADLINE).await.unwrap();

    for user in ["by_md5", "by_scram", "by_text"] {
        let connection = connect(&target, &with_password(user, "right"), DEADLINE).await.unwrap();
        assert_eq!(connection.server_version().unwrap().parse(), Ok(cluster.spec().installation.version));
        assert!(connection.cancel_key().is_some());
        connection.close().await;
        let error = connect(&target, &with_password(user, "wrong"), DEADLINE).await.unwrap_err();
        assert_eq!(error.sqlstate().unwrap().as_str(), "28P01", "{user}: {error}");
        assert!(!format!("{error} {error:?}").contains("wrong"));
        let error = connect(&target, &Login::new(user, "postgres"), DEADLINE).await.unwrap_err();
        assert!(matches!(error, ConnectError::Authentication { .. }), "{user}: {error}");
    }
    let over_tcp = Target::tcp("127.0.0.1", cluster.spec().port);
    connect(&over_tcp, &Login::new("postgres", "postgres"), DEADLINE).await.unwrap().close().await;
    for (login, sqlstate) in [
        (Login::new("nobody", "postgres"), "53300"),
        (Login::new("postgres", "missing"), "3D000"),
        (Login::new("missing", "postgres"), "28000"),
    ] {
        let error = connect(&target, &login, DEADLINE).await.unwrap_err();
        assert_eq!(error.sqlstate().unwrap().as_str(), sqlstate);
    }
    cluster.stop(StopMode::Fast, DEADLINE).await.unwrap();
    let error = connect(&target, &Login::new("postgres", "postgres"), DEADLINE).await.unwrap_err();
    assert!(matches!(error, ConnectError::Refused { .. }), "{error:?}");
}

#[tokio::test]
async fn every_way_to_log_in_to_16() {
    every_way_to_log_in(16).await;
}

#[tokio::test]
async fn every_way_to_log_in_to_18() {
    every_way_to_log_in(18).await;
}

#[tokio::test]
async fn a_session_serves_both_protocols_and_ends_with_its_server() {
    let Some(installation) = pinned(16).await else { return };
    let run = Run::new("t-session");
    let mut cluster = run.cluster("old", installation, &[]);
    cluster.init(DEADLINE).await.unwrap();
    cluster.start(DEADLINE).await.unwrap();
    let target = socket(&cluster);
    let login = Login::new("postgres", "postgres").with_parameter("application_name", "t");
    let mut session = connect(&target, &login, DEADLINE).await.unwrap();
    let mut ask = async |requests: &dyn Fn(&mut BytesMut)| {
        requests(session.out());
        let sent = session.send().await.unwrap();
        let reply = session.read_reply().await.unwrap();
        assert!(sent <= reply.first_at);
        reply
    };

    let reply = ask(&|out| frontend::query(out, b"BEGIN; SELECT generate_series(1, 10000)").unwrap()).await;
    assert_eq!((reply.rows, reply.statements, reply.tag.as_str()), (10_000, 2, "SELECT 10000"));
    assert_eq!(reply.status, TransactionStatus::InTransaction);
    let reply = ask(&|out| frontend::query(out, b"SELECT 1/0").unwrap()).await;
    assert_eq!(reply.error.unwrap().sqlstate.as_str(), "22012");
    let reply = ask(&|out| frontend::query(out, b"COMMIT").unwrap()).await;
    assert_eq!((reply.tag.as_str(), reply.status), ("ROLLBACK", TransactionStatus::Idle));

    let reply = ask(&|out| {
        frontend::parse(out, b"s", b"SELECT length($1), $2::text", &[17]).unwrap();
        frontend::bind(out, b"", b"s", [Parameter::Binary(b"\0\xff"), Parameter::Null], &[]).unwrap();
        frontend::execute(out, b"", 0).unwrap();
        frontend::sync(out);
    })
    .await;
    assert_eq!((reply.rows, reply.error), (1, None));
    let reply = ask(&|out| frontend::query(out, b"CREATE TEMP TABLE c()").unwrap()).await;
    assert_eq!(reply.error, None);
    let reply = ask(&|out| frontend::query(out, b"COPY c FROM STDIN").unwrap()).await;
    assert_eq!(reply.error.unwrap().sqlstate.as_str(), "57014");
    let reply = ask(&|out| {
        frontend::parse(out, b"", b"COPY c FROM STDIN", &[]).unwrap();
        frontend::bind(out, b"", b"", [], &[]).unwrap();
        frontend::execute(out, b"", 0).unwrap();
        frontend::sync(out);
    })
    .await;
    assert_eq!(reply.error.unwrap().sqlstate.as_str(), "57014");
    let reply = ask(&|out| frontend::query(out, b"COPY (SELECT 1) TO STDOUT").unwrap()).await;
    assert_eq!((reply.tag.as_str(), reply.rows), ("COPY 1", 0));

    let key = session.cancel_key().cloned().unwrap();
    frontend::query(session.out(), b"SELECT pg_sleep(600)").unwrap();
    session.send().await.unwrap();
    let reply = loop {
        // The request to cancel does nothing when it overtakes the statement.
        cancel_request(&target, &key, DEADLINE).await.unwrap();
        if let Ok(reply) = tokio::time::timeout(Duration::from_millis(200), session.read_reply()).await {
            break reply.unwrap();
        }
    };
    assert_eq!(reply.error.unwrap().sqlstate.as_str(), "57014");

    let (error, stopped) = tokio::join!(session.wait_lost(), cluster.stop(StopMode::Fast, DEADLINE));
    stopped.unwrap();
    assert_eq!(error.sqlstate().unwrap().as_str(), "57P01");
}

#[tokio::test]
async fn only_a_marked_server_is_disposable() {
    let Some(installation) = pinned(18).await else { return };
    let run = Run::new("t-mark");
    let mut cluster = run.cluster("old", installation, &[]);
    cluster.init(DEADLINE).await.unwrap();
    cluster.start(DEADLINE).await.unwrap();
    let target = socket(&cluster);
    let admin = control::connect(&target, &Login::new("postgres", "postgres"), DEADLINE).await.unwrap();
    admin.batch_execute("CREATE ROLE plain LOGIN").await.unwrap();
    let look = async || external::look(&target, &Login::new("plain", "postgres"), DEADLINE).await.unwrap();
    let found = look().await;
    assert!(!found.disposable);
    assert_eq!(found.version.map(|version| version.major), Some(PgMajor(18)));
    for (mark, unmark) in [
        ("CREATE TABLE pgrehearse_disposable()", "DROP TABLE pgrehearse_disposable"),
        ("ALTER ROLE plain SET pgrehearse.disposable = on", "ALTER ROLE plain RESET pgrehearse.disposable"),
        ("ALTER DATABASE postgres SET pgrehearse.disposable = 'on'", "ALTER DATABASE postgres RESET ALL"),
    ] {
        admin.batch_execute(mark).await.unwrap();
        assert!(look().await.disposable, "{mark}");
        admin.batch_execute(unmark).await.unwrap();
        assert!(!look().await.disposable, "{unmark}");
    }
    admin.batch_execute("ALTER ROLE plain SET pgrehearse.disposable = off").await.unwrap();
    assert!(!look().await.disposable);
    admin.close().await;
    cluster.set(BTreeMap::from([("pgrehearse.disposable".to_owned(), "on".to_owned())])).unwrap();
    cluster.restart(StopMode::Fast, DEADLINE).await.unwrap();
    cluster.stop(StopMode::Fast, DEADLINE).await.unwrap();
}

/// A server on a Unix socket that answers the startup message with `answer` and then stays silent.
async fn stand_in(answer: BytesMut) -> (tempfile::TempDir, Target) {
    let directory = tempfile::tempdir().unwrap();
    let listener = UnixListener::bind(directory.path().join(".s.PGSQL.5432")).unwrap();
    tokio::spawn(async move {
        let (mut client, _) = listener.accept().await.unwrap();
        let mut wire = BytesMut::new();
        while serve::read(&mut wire, false).unwrap().is_none() {
            client.read_buf(&mut wire).await.unwrap();
        }
        client.write_all(&answer).await.unwrap();
        while client.read_buf(&mut wire).await.is_ok_and(|number| number > 0) {}
    });
    let target = Target::unix(directory.path(), 5432);
    (directory, target)
}

#[tokio::test]
async fn a_server_that_never_answers_is_given_up() {
    let (_directory, target) = stand_in(BytesMut::new()).await;
    let within = Duration::from_millis(30);
    let error = connect(&target, &Login::new("ann", "shop"), within).await.unwrap_err();
    assert!(matches!(error, ConnectError::TimedOut { .. }), "{error:?}");
}

#[tokio::test]
async fn an_older_protocol_and_a_notice_do_not_disturb_a_login() {
    let mut answer = BytesMut::new();
    serve::negotiate_protocol_version(&mut answer, crate::pgwire::PROTOCOL_3_0);
    serve::welcome(&mut answer, "16.14");
    let (_directory, target) = stand_in(answer).await;
    let connection = connect(&target, &Login::new("ann", "shop"), DEADLINE).await.unwrap();
    assert_eq!(connection.cancel_key().unwrap().process_id, 4242);
}

#[tokio::test]
async fn a_server_that_cannot_prove_itself_is_not_believed() {
    let mut answer = BytesMut::new();
    serve::authentication(&mut answer, 10, b"SCRAM-SHA-256\0\0");
    serve::welcome(&mut answer, "16.14");
    let (_directory, target) = stand_in(answer).await;
    let error = connect(&target, &with_password("ann", "right"), DEADLINE).await.unwrap_err();
    assert!(matches!(error, ConnectError::Authentication { .. }), "{error:?}");
}

#[tokio::test(flavor = "current_thread")]
async fn what_this_machine_lacks_is_not_the_server_s_fault() {
    let target = Target::unix("/played", 1);
    let mut listener = Listener::new(&target.address);
    for (error, outcome) in [
        (Errno::MFILE, Outcome::Skipped),
        (Errno::ADDRNOTAVAIL, Outcome::Skipped),
        (Errno::CONNREFUSED, Outcome::Failed),
        (Errno::NETUNREACH, Outcome::Failed),
    ] {
        let login = Login::new("u", "app");
        let failing = async { listener.next().await.unwrap().fail(error.into()) };
        let (connected, ()) = tokio::join!(connect(&target, &login, DEADLINE), failing);
        assert_eq!(connected.unwrap_err().outcome(), outcome, "{error}");
    }
}
