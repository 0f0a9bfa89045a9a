//! A thread that accepts connections and relays them, with a runtime of its own.
//!
//! All workers accept on the same sockets; a connection stays with the worker that took it, one task each, which the
//! worker owns and awaits. Must not know the journal.

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::BytesMut;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::super::wire::Side;
use super::endpoint::Acceptor;
use super::greeting::{Encryption, Greeted, greet, read_offer};
use super::progress::{Counters, Stage};
use super::relay::Relay;
use super::tap::{ConnectionTap, Tap};
use crate::net::{DialError, Stream, Target, dial};
use crate::pgwire::serve;

/// Until the upstream has taken a connection, TLS included.
const DIAL_DEADLINE: Duration = Duration::from_secs(10);

/// Until a client has said who it is, and until the server has answered that: its authentication_timeout by default.
const GREETING_DEADLINE: Duration = Duration::from_secs(60);

/// Until a client that is turned away has said its first and heard why.
const REFUSAL_DEADLINE: Duration = Duration::from_secs(2);

/// Open sessions get so long to come to rest when the proxy stops.
const DRAIN_DEADLINE: Duration = Duration::from_secs(5);

/// After an accept that failed for want of descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// What all workers share.
#[derive(Debug)]
pub(super) struct Workplace {
    pub upstream: Target,
    pub encryption: Encryption,
    pub connections_max: u64,
    pub tap: Arc<Tap>,
    pub counters: Counters,
}

/// Relays until the stage changes and all connections are over.
pub(super) async fn work(place: Arc<Workplace>, acceptor: Acceptor, mut stage: watch::Receiver<Stage>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            changed = stage.changed() => {
                if changed.is_err() || *stage.borrow_and_update() != Stage::Running {
                    break;
                }
            }
            accepted = accept(&acceptor) => {
                connections.spawn(connection(Arc::clone(&place), accepted, stage.clone()));
            }
            Some(_) = connections.join_next() => {}
        }
    }
    drop(acceptor);
    let drained = async { while connections.join_next().await.is_some() {} };
    let stopping = async {
        let _ = stage.wait_for(|stage| *stage == Stage::Stopping).await;
    };
    tokio::select! {
        _ = tokio::time::timeout(DRAIN_DEADLINE, drained) => {}
        () = stopping => {}
    }
    connections.shutdown().await;
}

/// The next connection, whatever happens to those that fail before they are one.
async fn accept(acceptor: &Acceptor) -> Stream {
    loop {
        match acceptor.accept().await {
            Ok(stream) => return stream,
            // Out of descriptors, or the client is gone already: a pause keeps the first from becoming a busy loop.
            Err(_) => tokio::time::sleep(ACCEPT_PAUSE).await,
        }
    }
}

/// Counts a connection while it is there.
struct Open<'a>(&'a Counters);

impl<'a> Open<'a> {
    fn new(counters: &'a Counters) -> (Self, u64) {
        counters.opened.fetch_add(1, Ordering::Relaxed);
        let open = counters.open.fetch_add(1, Ordering::Relaxed) + 1;
        (Self(counters), open)
    }
}

impl Drop for Open<'_> {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Ordering::Relaxed);
    }
}

async fn connection(place: Arc<Workplace>, client: Stream, mut stage: watch::Receiver<Stage>) {
    let counters = &place.counters;
    let (open, count) = Open::new(counters);
    if count > place.connections_max {
        drop(open);
        counters.turned_away.fetch_add(1, Ordering::Relaxed);
        let text = format!("the proxy of pgrehearse takes no more than {} connections", place.connections_max);
        return refuse(client, true, "53300", &text).await;
    }
    let tap = place.tap.connection();
    let Encryption::Answered(identity) = &place.encryption else {
        return match dial(&place.upstream, DIAL_DEADLINE).await {
            Ok(server) => Relay::new(client, server, tap, counters).run(&mut stage).await,
            Err(error) => not_reached(client, true, &error, counters).await,
        };
    };
    let Ok(Ok(greeted)) = tokio::time::timeout(GREETING_DEADLINE, greet(client, identity.as_ref())).await else {
        counters.ungreeted.fetch_add(1, Ordering::Relaxed);
        return;
    };
    match dial(&place.upstream, DIAL_DEADLINE).await {
        Ok(server) => relay_greeted(greeted, server, tap, counters, &mut stage).await,
        Err(error) => not_reached(greeted.client, false, &error, counters).await,
    }
}

/// Passes on a client's first message, and what the server offers then, and relays the rest.
async fn relay_greeted(
    greeted: Greeted,
    mut server: Stream,
    mut tap: ConnectionTap,
    counters: &Counters,
    stage: &mut watch::Receiver<Stage>,
) {
    let Greeted { mut client, first, is_cancel } = greeted;
    let beginning = async {
        tap.said(Side::Client, &first);
        server.write_all(&first).await?;
        server.flush().await?;
        if server.is_tls() && !client.is_tls() && !is_cancel {
            let offer = read_offer(&mut server).await?;
            tap.said(Side::Server, &offer);
            client.write_all(&offer).await?;
            client.flush().await?;
        }
        io::Result::Ok(())
    };
    if let Ok(Ok(())) = tokio::time::timeout(GREETING_DEADLINE, beginning).await {
        Relay::new(client, server, tap, counters).run(stage).await;
    }
}

async fn not_reached(client: Stream, is_unheard: bool, error: &DialError, counters: &Counters) {
    counters.unreached.fetch_add(1, Ordering::Relaxed);
    let reason = std::error::Error::source(error).map(|source| format!(": {source}")).unwrap_or_default();
    let text = format!("the proxy of pgrehearse could not reach the server: {error}{reason}");
    refuse(client, is_unheard, "08001", &text).await;
}

/// Tells a client why it is turned away, as a server would; `is_unheard` if it may have said something that was not read.
async fn refuse(mut client: Stream, is_unheard: bool, sqlstate: &str, text: &str) {
    let mut answer = BytesMut::new();
    serve::error_response(&mut answer, "FATAL", sqlstate, text);
    let telling = async {
        // With its first message unread, closing would reset the connection and take the answer with it.
        let mut first = [0; 1024];
        if is_unheard {
            let _ = client.read(&mut first).await?;
        }
        client.write_all(&answer).await?;
        client.shutdown().await?;
        while client.read(&mut first).await? > 0 {}
        io::Result::Ok(())
    };
    // A client that does not listen has nothing to be told.
    let _ = tokio::time::timeout(REFUSAL_DEADLINE, telling).await;
}
