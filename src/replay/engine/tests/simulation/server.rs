//! A server as a simulation plays it: listens, logs sessions in, answers what they ask as its script says, and writes down all
//! of it.
//!
//! Takes a script; each connection is a task of its own. Must not know what the engine is to do.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use bytes::BytesMut;
use tokio::io::AsyncWriteExt;
use tokio::sync::Notify;
use tokio::task::JoinSet;

use super::conversation::Conversation;
use super::log::{Cancel, Dial, Shared};
use super::script::{Greeting, Login, Script};
use crate::net::Target;
use crate::net::played::Listener;
use crate::pgwire::backend::TransactionStatus;
use crate::pgwire::serve::{self, ClientMessage};
use crate::words::time::RunClock;

/// What all connections of a server share.
#[derive(Clone)]
pub(super) struct Stage {
    pub script: Rc<Script>,
    pub log: Shared,
    pub clock: RunClock,
    /// 0 is the old server, 1 the new one.
    pub server: usize,
    /// Tells connections, by their dials, that they are cancelled.
    pub cancels: Rc<RefCell<Vec<Rc<Notify>>>>,
}

/// Where a server listens.
pub(super) fn target(server: usize) -> Target {
    Target::unix(format!("/played/{server}"), 5432)
}

impl Stage {
    /// Takes connections, for ever.
    pub async fn listen(self) {
        let mut listener = Listener::new(&target(self.server).address);
        let mut connections = JoinSet::new();
        while let Some(dialled) = listener.next().await {
            let now_us = self.clock.now_us();
            let dial = self.log.borrow().dials.len();
            self.log.borrow_mut().dials.push(Dial::new(now_us, self.server));
            self.cancels.borrow_mut().push(Rc::default());
            match self.script.greeting(self.server, dial, now_us) {
                Greeting::Refuse => dialled.refuse(),
                Greeting::Hang => drop(dialled),
                Greeting::Take(after_us) => {
                    let stage = self.clone();
                    connections.spawn_local(async move {
                        stage.pause_us(after_us).await;
                        stage.serve(Conversation::new(stage.clone(), dial, dialled.accept())).await;
                    });
                }
            }
        }
    }

    async fn pause_us(&self, us: u64) {
        if us > 0 {
            tokio::time::sleep(Duration::from_micros(us)).await;
        }
    }

    /// One connection from its first message to its end.
    async fn serve(&self, mut conversation: Conversation) {
        let dial = conversation.dial;
        match conversation.read(false).await {
            Some(ClientMessage::Startup { parameters, .. }) => {
                let user = parameters.iter().find(|(name, _)| name == "user").map(|(_, user)| user.as_str());
                let session = user.and_then(|user| user.strip_prefix('u')).and_then(|number| number.parse().ok());
                self.log.borrow_mut().dials[dial].session = session;
                if self.log_in(&mut conversation).await {
                    self.log.borrow_mut().dials[dial].ready_us = Some(self.clock.now_us());
                    conversation.go_on().await;
                }
            }
            Some(ClientMessage::Request { body, .. }) => self.cancel(dial, &body),
            Some(ClientMessage::Tagged { .. }) => drop(self.wrong("a message before the startup")),
            None => {}
        }
        self.log.borrow_mut().dials[dial].ended_us = Some(self.clock.now_us());
    }

    /// True when the client was welcome.
    async fn log_in(&self, conversation: &mut Conversation) -> bool {
        let dial = conversation.dial;
        let (login, takes_us) = self.script.login(self.server, dial, self.clock.now_us());
        let mut out = BytesMut::new();
        match login {
            Login::Mute => return conversation.read(true).await.is_some_and(|_| self.wrong("it asks before it may")),
            Login::Reject => {
                serve::error_response(&mut out, "FATAL", "57P03", "the database system is starting up");
            }
            Login::Welcome => {
                serve::authentication_ok(&mut out);
                serve::parameter_status(&mut out, "server_version", "16.14");
                serve::backend_key_data(&mut out, dial as i32, &[1, 2, 3, 4]);
                serve::ready_for_query(&mut out, TransactionStatus::Idle);
            }
        }
        tokio::select! {
            biased;
            gone = conversation.read(true) => gone.is_some_and(|_| self.wrong("it asks before it may")),
            () = self.pause_us(takes_us) => {
                conversation.stream.write_all(&out).await.is_ok() && login == Login::Welcome
            }
        }
    }

    /// A cancel request came: it stops what the connection is busy with.
    fn cancel(&self, own_dial: usize, body: &[u8]) {
        let Some((number, _)) = body.split_first_chunk() else { return };
        let dial = i32::from_be_bytes(*number) as usize;
        let mut log = self.log.borrow_mut();
        let busy_with = log.dials[dial].asked.len().checked_sub(1);
        let busy_with = busy_with
            .filter(|last| log.dials[dial].ended_us.is_none() && log.dials[dial].asked[*last].answered.is_none());
        let dialled_us = log.dials[own_dial].at_us;
        log.cancels.push(Cancel { dialled_us, came_us: self.clock.now_us(), dial, busy_with });
        if busy_with.is_some() && self.script.heeds_cancel(own_dial) {
            self.cancels.borrow()[dial].notify_one();
        }
    }

    /// A client did what none may do; false.
    pub fn wrong(&self, what: &str) -> bool {
        let at_us = self.clock.now_us();
        self.log.borrow_mut().wrongs.push(format!("at {at_us}: {what}"));
        false
    }
}
