//! A server that answers as it is told, query by query, and remembers what it was asked.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::watch;

use crate::net::Target;
use crate::pgwire::backend::TransactionStatus;
use crate::pgwire::serve::{self, ClientMessage};

/// From a cancel request that came to the end of its connection.
const CANCELLING: Duration = Duration::from_millis(50);

/// What the server does with a query.
#[derive(Clone, Debug)]
pub(super) enum Deed {
    /// Answers as a server would that has all tables and no rows.
    Answer,
    /// Answers with one row of this value.
    Return(&'static str),
    /// Does so once a query with the second text has come, on any connection.
    ReturnAfter(&'static str, &'static str),
    /// Answers with an error of this SQLSTATE.
    Error(&'static str),
    /// Answers once a query with this text has come, on any connection.
    AnswerAfter(&'static str),
    /// Answers with 57014 once a cancel request has come, and never without one.
    WaitForCancel,
    /// Never answers.
    Hang,
    /// Asks for COPY data, and takes none of it.
    AskForData,
    /// Says that it is shutting down and closes the connection.
    ShutDown,
    /// Answers, and then does so.
    AnswerAndShutDown,
}

type Script = Arc<dyn Fn(usize, &str) -> Deed + Send + Sync>;

/// The stand-in; it serves as long as it lives.
pub(super) struct StandIn {
    directory: tempfile::TempDir,
    /// Connection number (from 1) and what came: SQL of simple queries, `parse NAME: SQL`, `close NAME`,
    /// `execute NAME`; of cancel requests, as of connection 0, `cancel` and `cancelled`.
    heard: Arc<watch::Sender<Vec<(usize, String)>>>,
    serving: tokio::task::JoinHandle<()>,
}

impl StandIn {
    /// `script` says for each connection (from 1) and SQL what to do.
    pub fn new(script: impl Fn(usize, &str) -> Deed + Send + Sync + 'static) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let listener = UnixListener::bind(directory.path().join(".s.PGSQL.5432")).unwrap();
        let heard = Arc::new(watch::Sender::new(Vec::new()));
        let (script, told): (Script, _) = (Arc::new(script), Arc::clone(&heard));
        let serving = tokio::spawn(async move {
            let mut sessions = 0;
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let mut session = Session {
                    stream,
                    number: 0,
                    wire: BytesMut::new(),
                    status: TransactionStatus::Idle,
                    prepared: HashMap::new(),
                    script: Arc::clone(&script),
                    heard: Arc::clone(&told),
                };
                match session.read(false).await {
                    Some(ClientMessage::Startup { .. }) => {
                        sessions += 1;
                        session.number = sessions;
                        tokio::spawn(session.serve());
                    }
                    Some(ClientMessage::Request { .. }) => drop(tokio::spawn(async move {
                        session.note("cancel");
                        // What a server needs for it; then it closes the connection.
                        tokio::time::sleep(CANCELLING).await;
                        session.note("cancelled");
                    })),
                    _ => {}
                }
            }
        });
        Self { directory, heard, serving }
    }

    pub fn target(&self) -> Target {
        Target::unix(PathBuf::from(self.directory.path()), 5432)
    }

    /// The socket that it listens on.
    pub fn socket(&self) -> PathBuf {
        self.directory.path().join(".s.PGSQL.5432")
    }

    /// What one connection was asked, in order.
    pub fn heard(&self, connection: usize) -> Vec<String> {
        self.heard.borrow().iter().filter(|(number, _)| *number == connection).map(|(_, what)| what.clone()).collect()
    }

    /// What was asked on all connections, in order.
    pub fn heard_of_all(&self) -> Vec<String> {
        self.heard.borrow().iter().map(|(_, what)| what.clone()).collect()
    }

    /// Waits until something was heard.
    pub async fn until_heard(&self, what: &str) {
        self.heard.subscribe().wait_for(|heard| heard.iter().any(|(_, text)| text == what)).await.unwrap();
    }
}

impl Drop for StandIn {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

struct Session {
    stream: UnixStream,
    number: usize,
    wire: BytesMut,
    status: TransactionStatus,
    prepared: HashMap<String, String>,
    script: Script,
    heard: Arc<watch::Sender<Vec<(usize, String)>>>,
}

impl Session {
    async fn serve(mut self) {
        let mut out = BytesMut::new();
        serve::welcome(&mut out, "16.14");
        self.stream.write_all(&out).await.unwrap();
        let mut statement = String::new();
        while let Some(message) = self.read(true).await {
            let ClientMessage::Tagged { tag, body } = message else { return };
            let texts: Vec<String> =
                body.split(|byte| *byte == 0).map(|part| String::from_utf8_lossy(part).into()).collect();
            match tag {
                b'Q' => {
                    self.note(&texts[0]);
                    if !self.answer(&texts[0].clone(), &[]).await {
                        return;
                    }
                }
                b'P' => {
                    self.note(&format!("parse {}: {}", texts[0], texts[1]));
                    self.prepared.insert(texts[0].clone(), texts[1].clone());
                }
                b'C' => self.note(&format!("close {}", &texts[0][1..])),
                b'B' => statement.clone_from(&texts[1]),
                b'E' => self.note(&format!("execute {statement}")),
                b'S' => {
                    let sql = self.prepared.get(&statement).cloned().unwrap_or_default();
                    if !self.answer(&sql, b"12").await {
                        return;
                    }
                }
                _ => return,
            }
        }
    }

    /// False when the connection is over.
    async fn answer(&mut self, sql: &str, before: &[u8]) -> bool {
        let mut out = BytesMut::new();
        before.iter().for_each(|tag| serve::bare(&mut out, *tag));
        let mut heard = self.heard.subscribe();
        match (self.script)(self.number, sql) {
            Deed::Answer => self.succeed(sql, &mut out),
            Deed::Error(sqlstate) => self.fail(sqlstate, &mut out),
            Deed::AnswerAfter(text) => {
                heard.wait_for(|heard| heard.iter().any(|(_, what)| what == text)).await.unwrap();
                self.succeed(sql, &mut out);
            }
            Deed::Return(value) => {
                serve::data_row(&mut out, &[Some(value.as_bytes())]);
                self.succeed(sql, &mut out);
            }
            Deed::ReturnAfter(value, text) => {
                heard.wait_for(|heard| heard.iter().any(|(_, what)| what == text)).await.unwrap();
                serve::data_row(&mut out, &[Some(value.as_bytes())]);
                self.succeed(sql, &mut out);
            }
            Deed::WaitForCancel => {
                heard.wait_for(|heard| heard.iter().any(|(_, what)| what == "cancel")).await.unwrap();
                self.fail("57014", &mut out);
            }
            Deed::Hang => return self.read(true).await.is_some(),
            Deed::AskForData => {
                serve::copy_response(&mut out, b'G');
                self.stream.write_all(&out).await.unwrap();
                // The client's side of the socket stays full.
                return std::future::pending().await;
            }
            deed @ (Deed::ShutDown | Deed::AnswerAndShutDown) => {
                if matches!(deed, Deed::AnswerAndShutDown) {
                    self.succeed(sql, &mut out);
                }
                serve::error_response(
                    &mut out,
                    "FATAL",
                    "57P01",
                    "terminating connection due to administrator command",
                );
                let _ = self.stream.write_all(&out).await;
                return false;
            }
        }
        self.stream.write_all(&out).await.is_ok()
    }

    fn succeed(&mut self, sql: &str, out: &mut BytesMut) {
        let word = sql.split([' ', ';']).next().unwrap_or_default().to_uppercase();
        let was = self.status;
        let tag = match word.as_str() {
            "COMMIT" if was == TransactionStatus::Failed => "ROLLBACK",
            "SELECT" => "SELECT 0",
            "INSERT" => "INSERT 0 1",
            "UPDATE" => "UPDATE 1",
            "DELETE" => "DELETE 1",
            other => other,
        };
        self.status = match word.as_str() {
            "BEGIN" => TransactionStatus::InTransaction,
            "COMMIT" | "ROLLBACK" => TransactionStatus::Idle,
            _ => was,
        };
        serve::command_complete(out, tag);
        serve::ready_for_query(out, self.status);
    }

    fn fail(&mut self, sqlstate: &str, out: &mut BytesMut) {
        serve::error_response(out, "ERROR", sqlstate, "as the test wants it");
        if self.status == TransactionStatus::InTransaction {
            self.status = TransactionStatus::Failed;
        }
        serve::ready_for_query(out, self.status);
    }

    fn note(&self, what: &str) {
        self.heard.send_modify(|heard| heard.push((self.number, what.to_owned())));
    }

    async fn read(&mut self, started: bool) -> Option<ClientMessage> {
        loop {
            if let Some(message) = serve::read(&mut self.wire, started).unwrap() {
                return Some(message);
            }
            if self.stream.read_buf(&mut self.wire).await.ok()? == 0 {
                return None;
            }
        }
    }
}
