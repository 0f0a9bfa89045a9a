//! One stream of probes, reads or writes of a fate group: a probe at every interval, whatever became of the others.
//!
//! A probe takes the connection that has been free for longest. Where none is free another is opened, and the probe
//! goes out on it at once; where none may be opened it waits for one to come free until the next probe is due, and
//! expires then. A probe that stays unanswered beyond its deadline keeps its connection until it is given up, so that a
//! late answer is seen, while fresh connections look for the recovery. Must not know about other streams.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;
use std::time::Duration;

use tokio::task::{JoinError, JoinSet};
use tokio::time::{Instant, timeout_at};

use super::attempt::Ending;
use super::lanes::Lanes;
use super::run::{Group, Ticker, told_to_stop};
use crate::facts::LedgerEntry;
use crate::pgwire::frontend;
use crate::samples::sample::{Outcome, Sample};
use crate::server::{ConnectError, Connection, ReplySummary};
use crate::words::class::SampleClass;

/// Reads a real row of a real table, once there is one, and not much.
const READ: &str = "SELECT id FROM pgrehearse.ledger LIMIT 1";

/// Ids of a database start at its number times this, so that they are unique over the run and follow one another in
/// each database.
const IDS_PER_DATABASE: u64 = 1 << 40;

/// The state of one stream. It lives on the probes' one thread; no borrow is held across an await.
#[derive(Debug)]
pub(super) struct Stream {
    group: Rc<Group>,
    number: usize,
    class: SampleClass,
    lanes: RefCell<Lanes>,
    idle: RefCell<VecDeque<Warm>>,
    /// The due time of the probe that waits for a connection to come free.
    waiting_us: Cell<Option<u64>>,
    next_session: Cell<u32>,
    next_event: Cell<u64>,
    tasks: RefCell<JoinSet<()>>,
}

/// A connection between two probes.
#[derive(Debug)]
struct Warm {
    connection: Connection,
    session: u32,
}

impl Stream {
    pub(super) fn new(group: Rc<Group>, number: usize, class: SampleClass) -> Rc<Self> {
        let first_event = match class {
            SampleClass::Write => group.number as u64 * IDS_PER_DATABASE + 1,
            _ => 1,
        };
        let connect_timeout_us = group.settings.connect_timeout.as_micros() as u64;
        Rc::new(Self {
            lanes: RefCell::new(Lanes::new(group.settings.warm(), connect_timeout_us)),
            group,
            number,
            class,
            idle: RefCell::default(),
            waiting_us: Cell::new(None),
            next_session: Cell::new(0),
            next_event: Cell::new(first_event),
            tasks: RefCell::default(),
        })
    }

    /// Probes until the run is told to stop; then waits until every probe has its outcome.
    pub(super) async fn run(self: Rc<Self>, offset: Duration) {
        for _ in 0..self.group.settings.warm() {
            // A server that is not there is tried again as soon as a probe is due.
            if !self.try_connect(self.group.now_us(), false).await {
                break;
            }
        }
        let mut ticker = Ticker::new(self.group.clone(), offset, self.group.settings.interval);
        while let Some(due_us) = ticker.next().await {
            while let Some(ended) = self.tasks.borrow_mut().try_join_next() {
                pass_on_panic(ended);
            }
            self.probe_due(due_us);
        }
        self.expire_waiting();
        // Tasks may start others until all connections are done with, hence not `join_all`.
        loop {
            let mut tasks = self.tasks.take();
            if tasks.is_empty() {
                return;
            }
            while let Some(ended) = tasks.join_next().await {
                pass_on_panic(ended);
            }
        }
    }

    fn probe_due(self: &Rc<Self>, due_us: u64) {
        self.expire_waiting();
        let now_us = self.group.now_us();
        let free = self.idle.borrow_mut().pop_front();
        match free {
            Some(warm) => {
                self.spawn(self.clone().probe(warm, due_us, due_us));
                if self.lanes.borrow().may_refill(now_us) {
                    self.spawn_try(due_us, false);
                }
            }
            None if self.lanes.borrow().may_try(now_us) => self.spawn_try(due_us, true),
            None => self.waiting_us.set(Some(due_us)),
        }
    }

    /// The probe that waited has missed its turn.
    fn expire_waiting(&self) {
        if let Some(due_us) = self.waiting_us.take() {
            self.group.emit(self.group.sample(self.class, 0, due_us, Outcome::Expired));
        }
    }

    fn spawn(&self, task: impl Future<Output = ()> + 'static) {
        self.tasks.borrow_mut().spawn_local(task);
    }

    fn spawn_try(self: &Rc<Self>, due_us: u64, probing: bool) {
        let stream = self.clone();
        self.spawn(async move {
            stream.try_connect(due_us, probing).await;
        });
    }

    /// Opens a connection and says whether it could; with `probing` the probe that was due then goes out on it.
    async fn try_connect(self: &Rc<Self>, due_us: u64, probing: bool) -> bool {
        self.lanes.borrow_mut().try_began(self.group.now_us());
        let session = self.next_session.replace(self.next_session.get() + 1);
        let connected = self.group.connect(session, due_us).await;
        let is_open = connected.is_ok();
        self.lanes.borrow_mut().try_ended(is_open);
        if let Ok(connection) = connected {
            self.freed(Warm { connection, session }, probing.then_some(due_us));
        }
        is_open
    }

    /// A connection has come free: the newest probe without one takes it.
    fn freed(self: &Rc<Self>, warm: Warm, own_due_us: Option<u64>) {
        let now_us = self.group.now_us();
        let deadline_us = self.group.settings.deadline.as_micros() as u64;
        if *self.group.stop.borrow() {
            return;
        }
        match self.waiting_us.take().or(own_due_us.filter(|due_us| now_us < due_us + deadline_us)) {
            Some(due_us) => self.spawn(self.clone().probe(warm, due_us, now_us)),
            None => self.idle.borrow_mut().push_back(warm),
        }
    }

    /// Sends one probe and stays with it until its outcome is known.
    async fn probe(self: Rc<Self>, mut warm: Warm, due_us: u64, ready_us: u64) {
        let event = self.next_event.replace(self.next_event.get() + 1);
        let mut sample = self.group.sample(self.class, warm.session, due_us, Outcome::Ok);
        (sample.event, sample.ready_us) = (event, Some(ready_us));
        match self.send(&mut warm.connection, event).await {
            Ok(sent) => {
                sample.sent_us = Some(self.group.to_us(sent.into_std()));
                let ending = self.wait(&mut warm.connection, sent).await;
                let usable = matches!(ending, Ending::Answered { .. });
                self.finish(sample, &ending);
                if usable {
                    self.freed(warm, None);
                } else {
                    self.lanes.borrow_mut().lost();
                }
            }
            Err(error) => {
                // An attempt it was, and it failed at this moment.
                sample.sent_us = Some(self.group.now_us());
                self.finish(sample, &Ending::NotSent(error));
                self.lanes.borrow_mut().lost();
                self.drop_lost().await;
            }
        }
    }

    async fn send(&self, connection: &mut Connection, event: u64) -> Result<Instant, ConnectError> {
        // A write on a connection that is known to be gone has surely not been applied.
        if let Some(error) = connection.lost_already().await {
            return Err(error);
        }
        let sql = match self.class {
            SampleClass::Write => format!("INSERT INTO pgrehearse.ledger (id) VALUES ({event})"),
            _ => READ.to_owned(),
        };
        frontend::query(connection.out(), sql.as_bytes())
            .map_err(|error| ConnectError::Protocol { reason: error.to_string().into() })?;
        connection.send().await.map(Instant::from_std)
    }

    /// Waits for the answer: until the deadline, then, while not too many wait like that, until it is given up.
    async fn wait(&self, connection: &mut Connection, sent: Instant) -> Ending {
        let settings = &self.group.settings;
        let deadline = sent + settings.deadline;
        if let Ok(read) = timeout_at(deadline, connection.read_reply()).await {
            return ending(read, deadline);
        }
        if !self.lanes.borrow_mut().became_stuck() {
            return Ending::GivenUp { after: sent.elapsed() };
        }
        let mut stop = self.group.stop.clone();
        let ended = tokio::select! {
            read = timeout_at(sent + settings.abandon, connection.read_reply()) => match read {
                Ok(read) => ending(read, deadline),
                Err(_) => Ending::GivenUp { after: sent.elapsed() },
            },
            () = told_to_stop(&mut stop) => Ending::GivenUp { after: sent.elapsed() },
        };
        self.lanes.borrow_mut().no_longer_stuck();
        ended
    }

    fn finish(&self, mut sample: Sample, ending: &Ending) {
        let group = &self.group;
        sample.outcome = ending.outcome(self.class);
        sample.done_us = group.now_us();
        if let Ending::Answered { reply, .. } = ending {
            sample.first_us = Some(group.to_us(reply.first_at));
            sample.done_us = group.to_us(reply.done_at);
            (sample.rows, sample.bytes) = (reply.rows, reply.bytes);
        }
        sample.sqlstate = ending.server_error().map(|error| error.sqlstate);
        sample.message = ending.message();
        if let (Outcome::Ok, Some(sent_us)) = (sample.outcome, sample.sent_us) {
            group.answers.note(group.number, self.number, sent_us);
        }
        if self.class == SampleClass::Write {
            let (database, outcome) = (group.database.name.clone(), ending.write_outcome());
            group.enter(LedgerEntry::Written { database, id: sample.event, outcome });
        }
        group.emit(sample);
    }

    /// After one loss: the other free connections that are gone, too, are no use to the next probes.
    async fn drop_lost(&self) {
        let free = self.idle.borrow().len();
        for _ in 0..free {
            let Some(mut warm) = self.idle.borrow_mut().pop_front() else { return };
            match warm.connection.lost_already().await {
                None => self.idle.borrow_mut().push_back(warm),
                Some(_) => self.lanes.borrow_mut().lost(),
            }
        }
    }
}

fn ending(read: Result<ReplySummary, ConnectError>, deadline: Instant) -> Ending {
    match read {
        Ok(reply) => Ending::Answered { late: reply.done_at > deadline.into_std(), reply },
        Err(error) => Ending::Lost(error),
    }
}

/// Tasks are never cancelled, so all that can have gone wrong with one is a panic.
fn pass_on_panic(ended: Result<(), JoinError>) {
    if let Err(error) = ended {
        std::panic::resume_unwind(error.into_panic());
    }
}
