//! A session's connection: opened or taken over, lost, opened again, and made what the session was.
//!
//! Tries to connect with a back-off until it works, each try a sample; the endpoint is asked anew for each, since the
//! plan may switch it. Must not know the session's requests but the one being written.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use super::chance::{Chance, chance};
use super::exchange::DRAIN;
use super::lending::Lease;
use super::memory::SessionMemory;
use super::prepared::PreparedStatements;
use super::worker::Context;
use crate::net::Target;
use crate::pgwire::backend::TransactionStatus;
use crate::pgwire::frontend;
use crate::samples::sample::{Outcome, ResultCheck, Sample, SampleKind};
use crate::server::{ConnectError, Connection, Login, ReplySummary, connect};
use crate::words::class::SampleClass;
use crate::words::ids::Fingerprint;
use crate::words::sqlstate::SqlState;
use crate::words::time::doubled;

/// A connection that lasted shorter than this is opened again only after a wait, which grows as after tries that failed, so
/// that a server which ends every session at once is not asked without pause.
const SHORT_LIFE_US: u64 = 1_000_000;

/// Who the samples of a session are about.
#[derive(Clone, Copy, Debug)]
pub(super) struct About {
    pub session: u32,
    pub copy: u16,
    pub database: u16,
}

/// What a session says and hears while its connection comes up.
#[derive(Debug, Default)]
pub(super) struct Waiting {
    /// The tenant that waits for it.
    pub tenant: Cell<Option<u32>>,
    /// Since when it has been waiting for a slot of its pool, if it is.
    pub queued_us: Cell<Option<u64>>,
}

/// The connection of one session, up or down.
#[derive(Debug)]
pub(super) struct Link {
    context: Rc<Context>,
    about: About,
    login: Login,
    connection: Option<Connection>,
    /// What the session has of its pool.
    lease: Lease,
    /// The server that it leads to.
    target: Option<Target>,
    prepared: PreparedStatements,
    memory: SessionMemory,
    /// When the connection was last usable for the first time.
    usable_us: u64,
    /// Tries in all, and those since the last success.
    tries: u64,
    failed_tries: u32,
    /// Connections that were of no use soon after they were opened, since the last that was.
    short_lives: u32,
}

impl Link {
    pub fn new(context: Rc<Context>, about: About, login: Login, memory: SessionMemory) -> Self {
        let lease = Lease::new(context.pools.as_ref(), &login);
        Self {
            context,
            about,
            login,
            connection: None,
            lease,
            target: None,
            prepared: PreparedStatements::default(),
            memory,
            usable_us: 0,
            tries: 0,
            failed_tries: 0,
            short_lives: 0,
        }
    }

    pub fn is_up(&self) -> bool {
        self.connection.is_some()
    }

    /// When the connection became usable.
    pub fn usable_us(&self) -> u64 {
        self.usable_us
    }

    /// Whether the server holds a transaction open for the session, be it that of a pipeline without its Sync.
    pub fn in_transaction(&self) -> bool {
        let is_open =
            |connection: &Connection| connection.is_unsynced() || connection.status() != TransactionStatus::Idle;
        self.connection.as_ref().is_some_and(is_open)
    }

    /// The connection, what it has prepared, and the server that it leads to, while it is up.
    pub fn parts(&mut self) -> Option<(&mut Connection, &mut PreparedStatements, &Target)> {
        Some((self.connection.as_mut()?, &mut self.prepared, self.target.as_ref()?))
    }

    /// Tries until the connection is usable.
    pub async fn bring_up(&mut self, waiting: &Waiting) {
        while self.connection.is_none() {
            self.lease.wait_for_slot(&waiting.queued_us, &self.context).await;
            let connection = match self.lease.take_over(&self.login, &self.context).await {
                Some((connection, target)) => {
                    self.target = Some(target);
                    Some(connection)
                }
                None => {
                    match self.wait_before_try() {
                        Duration::ZERO => {}
                        wait => tokio::time::sleep(wait).await,
                    }
                    self.try_to_connect(waiting.tenant.get()).await
                }
            };
            if let Some(connection) = connection {
                self.restore(connection).await;
            }
        }
    }

    /// The connection is of no use any more.
    pub fn take_down(&mut self) {
        let lived_us = self.context.schedule.now_us().saturating_sub(self.usable_us);
        self.short_lives = if lived_us < SHORT_LIFE_US { self.short_lives.saturating_add(1) } else { 0 };
        self.failed_tries = self.short_lives;
        self.connection = None;
        self.lease.let_go();
        self.prepared.clear();
        self.memory.transaction_ended(false);
    }

    /// Waits until the idle connection is lost, then takes it down, and gives the code that the server gave; for ever while
    /// there is no connection. Cancel-safe.
    pub async fn wait_lost(&mut self) -> Option<SqlState> {
        let error = match &mut self.connection {
            Some(connection) => connection.wait_lost().await,
            None => std::future::pending().await,
        };
        self.take_down();
        error.sqlstate()
    }

    /// What a new connection will be told.
    pub fn memory(&self) -> &SessionMemory {
        &self.memory
    }

    /// Has a new connection be told this instead.
    pub fn remember(&mut self, memory: SessionMemory) {
        self.memory = memory;
    }

    /// Takes note of what an answered request changed in the session; `text` is its SQL where it may have.
    pub fn note(&mut self, reply: &ReplySummary, text: Option<&[u8]>) {
        self.prepared.answered(reply.error.is_some());
        if let Some(text) = text.filter(|_| reply.error.is_none()) {
            let deallocates = self.memory.changed(&String::from_utf8_lossy(text), reply.status);
            if deallocates {
                self.prepared.forget_texts();
            }
        }
        if self.memory.is_pending() && reply.status == TransactionStatus::Idle {
            self.memory.transaction_ended(reply.error.is_none() && reply.tag.command() == "COMMIT");
        }
    }

    /// Begins a block, as a request would have that is not sent; takes the connection down if that does not work.
    pub async fn begin(&mut self) {
        if let Some(connection) = &mut self.connection
            && !matches!(ask(connection, "BEGIN", &self.context).await, Ok(reply) if reply.error.is_none())
        {
            self.take_down();
        }
    }

    /// Rolls back what is open, as a client does after an error that it did not expect; takes the connection down if
    /// that does not work.
    pub async fn roll_back(&mut self) {
        self.prepared.forget_unnamed();
        if let Some(connection) = &mut self.connection
            && !matches!(ask(connection, "ROLLBACK", &self.context).await, Ok(reply) if reply.error.is_none())
        {
            self.take_down();
        }
        self.memory.transaction_ended(false);
    }

    /// Makes the session what it was at its beginning, which `memory` says, on the same connection; takes the connection down
    /// if that does not work.
    pub async fn start_over(&mut self, memory: SessionMemory) {
        self.memory = memory;
        self.prepared.clear();
        if self.discard().await
            && let Some(connection) = self.connection.take()
        {
            self.restore(connection).await;
            if self.connection.is_none() {
                self.lease.let_go();
            }
        }
    }

    /// Says goodbye, or leaves the connection to the next session.
    pub async fn close(mut self) {
        if self.lease.hands_on(&self.context) {
            self.discard().await;
        }
        let Self { context, login, connection: Some(connection), target, lease, .. } = self else { return };
        match target.filter(|_| lease.hands_on(&context)) {
            Some(target) => lease.hand_on(login, (connection, target), &context),
            None => lease.close(connection, &context).await,
        }
    }

    /// Makes the connection as good as new; false where there is none, or none any more because that does not work.
    async fn discard(&mut self) -> bool {
        let ends_block = self.in_transaction().then_some("ROLLBACK");
        for statement in ends_block.into_iter().chain(["DISCARD ALL"]) {
            let Some(connection) = &mut self.connection else { return false };
            let answer = ask(connection, statement, &self.context).await;
            if !answer.is_ok_and(|reply| reply.error.is_none()) {
                self.take_down();
                return false;
            }
        }
        self.connection.is_some()
    }

    /// No wait before the first try; then doubled from the first to the last, less a part left to chance so that sessions which
    /// lost their connections together do not come back together.
    fn wait_before_try(&mut self) -> Duration {
        let Some(doublings) = self.failed_tries.checked_sub(1) else { return Duration::ZERO };
        let clients = &self.context.clients;
        let longest = doubled(clients.reconnect_first, doublings, clients.reconnect_last);
        longest.mul_f64(1.0 - clients.reconnect_jitter * chance(self.about, Chance::Reconnect, self.tries))
    }

    async fn try_to_connect(&mut self, tenant: Option<u32>) -> Option<Connection> {
        let context = Rc::clone(&self.context);
        let began_us = context.schedule.now_us();
        let lag = context.clients.endpoint_lag.mul_f64(chance(self.about, Chance::EndpointLag, 0));
        let place = context.endpoint.as_seen_after(lag);
        let tried = connect(&place.target, &self.login, context.clients.connect_timeout).await;
        self.target = Some(place.target.clone());
        self.tries += 1;
        self.failed_tries = if tried.is_ok() { 0 } else { self.failed_tries.saturating_add(1) };
        let error = tried.as_ref().err();
        context.book.sample(Sample {
            kind: SampleKind::Connect,
            class: SampleClass::Connect,
            outcome: error.map_or(Outcome::Ok, ConnectError::outcome),
            result: ResultCheck::Unknown,
            event: self.tries,
            session: self.about.session,
            copy: self.about.copy,
            tenant,
            database: self.about.database,
            endpoint: 0,
            fingerprint: Fingerprint::default(),
            due_us: began_us,
            ready_us: Some(began_us),
            sent_us: Some(began_us),
            first_us: None,
            done_us: context.schedule.now_us(),
            deadline_us: context.clients.connect_timeout.as_micros() as u64,
            order_wait_us: 0,
            other_tenant_wait_us: 0,
            sqlstate: error.and_then(ConnectError::sqlstate),
            message: error.map(ConnectError::message),
            rows: 0,
            bytes: 0,
            attempt: u16::try_from(self.failed_tries).unwrap_or(u16::MAX).max(1),
        });
        tried.ok()
    }

    /// Tells a new connection what the session had set. What it does not take is counted: the requests that need it
    /// will show it.
    async fn restore(&mut self, mut connection: Connection) {
        for statement in self.memory.statements() {
            match ask(&mut connection, statement, &self.context).await {
                Ok(reply) if reply.error.is_none() => {}
                Ok(_) => self.context.book.restore_failed(),
                Err(_) => {
                    self.short_lives = self.short_lives.saturating_add(1);
                    self.failed_tries = self.short_lives;
                    return;
                }
            }
        }
        self.usable_us = self.context.schedule.now_us();
        self.connection = Some(connection);
    }
}

/// A statement of the client itself, which is no request of the workload. The end of the run leaves it as
/// long as a request that was in flight then.
async fn ask(connection: &mut Connection, sql: &str, context: &Context) -> Result<ReplySummary, ConnectError> {
    let asking = async {
        if connection.is_unsynced() {
            frontend::sync(connection.out());
            connection.send().await?;
            connection.read_reply().await?;
        }
        frontend::query(connection.out(), sql.as_bytes())
            .map_err(|error| ConnectError::Protocol { reason: error.to_string().into() })?;
        connection.send().await?;
        connection.read_reply().await
    };
    let within = context.clients.deadline;
    let mut stop = context.end.waiter();
    let drained = async {
        stop.requested().await;
        let drained_us = context.end.came_us().map(|came_us| came_us.saturating_add(DRAIN.as_micros() as u64));
        context.timer.until(drained_us).await;
    };
    tokio::select! {
        biased;
        answer = tokio::time::timeout(within, asking) => answer.unwrap_or(Err(ConnectError::TimedOut { within })),
        () = drained => Err(ConnectError::TimedOut { within: DRAIN }),
    }
}
