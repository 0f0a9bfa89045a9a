//! One connection of a played server, from its login on: a request after the other, each answered as the script says.
//!
//! It keeps the transaction and the prepared statements that a session has, and notes what no client may do: to ask before the
//! answer has come, or to use a statement that is not prepared.

use std::collections::HashMap;
use std::rc::Rc;

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio::sync::Notify;

use super::log::{Asked, mark_of};
use super::script::Deed;
use super::server::Stage;
use crate::pgwire::backend::TransactionStatus;
use crate::pgwire::serve::{self, ClientMessage};

/// A connection whose client is logged in, or about to be.
pub(super) struct Conversation {
    stage: Stage,
    pub dial: usize,
    pub stream: DuplexStream,
    wire: BytesMut,
    status: TransactionStatus,
    /// By name.
    prepared: HashMap<String, String>,
    /// The extended messages of the request that is coming.
    coming: Vec<(u8, Bytes)>,
    cancelled: Rc<Notify>,
}

/// What is asked, and the number of its request in the workload.
#[derive(Default)]
struct Marked {
    text: String,
    event: Option<u64>,
}

/// The first two texts of a message.
fn texts(body: &[u8]) -> [String; 2] {
    let mut parts = body.split(|byte| *byte == 0).map(|part| String::from_utf8_lossy(part).into_owned());
    [parts.next().unwrap_or_default(), parts.next().unwrap_or_default()]
}

/// The first parameter of a Bind, which is the request's number.
fn first_parameter(bind: &[u8]) -> Option<u64> {
    let behind_names = bind.splitn(3, |byte| *byte == 0).nth(2)?;
    let (formats, rest) = behind_names.split_first_chunk()?;
    // Behind the formats: the number of parameters, and the length of the first.
    let rest = rest.get(2 * usize::from(u16::from_be_bytes(*formats)) + 2..)?;
    let (length, rest) = rest.split_first_chunk()?;
    std::str::from_utf8(rest.get(..i32::from_be_bytes(*length) as usize)?).ok()?.parse().ok()
}

/// A request that is being answered.
struct Working {
    text: String,
    /// What is said before the answer proper.
    before: Vec<u8>,
    deed: Deed,
    /// None where it hangs.
    at_us: Option<u64>,
}

impl Conversation {
    pub fn new(stage: Stage, dial: usize, stream: DuplexStream) -> Self {
        let cancelled = Rc::clone(&stage.cancels.borrow()[dial]);
        let (wire, status) = (BytesMut::new(), TransactionStatus::Idle);
        Self { stage, dial, stream, wire, status, prepared: HashMap::new(), coming: Vec::new(), cancelled }
    }

    /// The next message; none when the client is gone. Cancel-safe.
    pub async fn read(&mut self, started: bool) -> Option<ClientMessage> {
        loop {
            if let Some(message) = serve::read(&mut self.wire, started).unwrap() {
                return Some(message);
            }
            if self.stream.read_buf(&mut self.wire).await.ok()? == 0 {
                return None;
            }
        }
    }

    /// Answers requests until either side ends it.
    pub async fn go_on(&mut self) {
        let Stage { clock, server, .. } = self.stage;
        let ends_us = self.stage.script.ends_us(server, self.dial, clock.now_us());
        let cancelled = Rc::clone(&self.cancelled);
        let mut working: Option<Working> = None;
        loop {
            let done_us = working.as_ref().and_then(|working| working.at_us);
            let wake_us = done_us.into_iter().chain(ends_us).min();
            let wakes = async {
                match wake_us {
                    Some(at_us) => tokio::time::sleep_until(clock.to_instant(at_us).into()).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                biased;
                message = self.read(true) => {
                    let Some(message) = message else { return };
                    let asked = self.take(message, working.is_some());
                    working = working.or(asked);
                }
                () = cancelled.notified() => if let Some(working) = &mut working {
                    (working.deed, working.at_us) = (Deed::Error("57014"), Some(clock.now_us()));
                },
                () = wakes => {
                    let is_at_end = ends_us.is_some_and(|ends_us| ends_us <= clock.now_us());
                    let goes_on = match working.take() {
                        _ if is_at_end => self.say_goodbye().await,
                        Some(idle) if self.thaws_us().is_some() => {
                            working = Some(Working { at_us: self.thaws_us(), ..idle });
                            true
                        }
                        Some(done) => self.answer(done).await,
                        None => true,
                    };
                    if !goes_on {
                        return;
                    }
                }
            }
        }
    }

    fn thaws_us(&self) -> Option<u64> {
        self.stage.script.thaws_us(self.stage.server, self.stage.clock.now_us())
    }

    /// Takes a message, and begins to work on the request that it is or ends.
    fn take(&mut self, message: ClientMessage, is_busy: bool) -> Option<Working> {
        let ClientMessage::Tagged { tag, body } = message else { return None };
        if is_busy && tag != b'X' {
            self.stage.wrong("it asks before the answer has come");
            return None;
        }
        match tag {
            b'Q' => {
                let [text, _] = texts(&body);
                Some(self.begin(Marked { event: mark_of(&text), text }, Vec::new(), None))
            }
            b'S' => {
                let coming = std::mem::take(&mut self.coming);
                Some(self.begin_extended(&coming))
            }
            b'X' => None,
            _ => {
                self.coming.push((tag, body));
                None
            }
        }
    }

    /// The messages of an execution are there: says what comes before its result.
    fn begin_extended(&mut self, coming: &[(u8, Bytes)]) -> Working {
        let (mut asked, mut before, mut fails) = (Marked::default(), Vec::new(), None);
        let is_dead = self.status == TransactionStatus::Failed;
        let is_error = matches!(self.planned().0, Deed::Error(_));
        let parse_fails = is_dead || (is_error && self.stage.script.parse_fails(self.dial, self.asked()));
        let mut parsed = None;
        for (tag, body) in coming {
            match tag {
                b'P' => {
                    let [name, sql] = texts(body);
                    if !name.is_empty() && self.prepared.contains_key(&name) {
                        fails = Some("42P05");
                    } else if !parse_fails {
                        self.prepared.insert(name.clone(), sql.clone());
                    }
                    parsed = Some((name, sql));
                    before.push(b'1');
                }
                b'C' => {
                    let [name, _] = texts(&body[1..]);
                    self.prepared.remove(&name);
                    before.push(b'3');
                }
                b'B' => {
                    let [_, name] = texts(body);
                    let own = parsed.as_ref().filter(|(parsed, _)| *parsed == name).map(|(_, sql)| sql);
                    let Some(sql) = own.or(self.prepared.get(&name)) else {
                        fails = Some("26000");
                        continue;
                    };
                    asked = Marked { text: sql.clone(), event: first_parameter(body) };
                    before.push(b'2');
                }
                _ => {}
            }
        }
        if let Some(sqlstate) = fails {
            self.stage.wrong(&format!("{sqlstate}: {}", asked.text));
        }
        self.begin(asked, before, fails)
    }

    /// How many requests the connection has asked.
    fn asked(&self) -> usize {
        self.stage.log.borrow().dials[self.dial].asked.len()
    }

    fn planned(&self) -> (Deed, u64) {
        let Stage { script, clock, server, .. } = &self.stage;
        script.deed(*server, self.dial, self.asked(), clock.now_us())
    }

    fn begin(&mut self, asked: Marked, before: Vec<u8>, fails: Option<&'static str>) -> Working {
        let now_us = self.stage.clock.now_us();
        let (deed, takes_us) = self.planned();
        let deed = fails.map_or(deed, Deed::Error);
        let Marked { text, event } = asked;
        let asked = Asked { at_us: now_us, event, text: text.clone(), status: self.status, deed, answered: None };
        self.stage.log.borrow_mut().dials[self.dial].asked.push(asked);
        Working { text, before, deed, at_us: (deed != Deed::Hang).then_some(now_us + takes_us) }
    }

    /// False when the connection is over.
    async fn answer(&mut self, done: Working) -> bool {
        let mut out = BytesMut::new();
        let error = match done.deed {
            Deed::Error(sqlstate) => Some(sqlstate),
            Deed::End => return self.say_goodbye().await,
            Deed::Answer | Deed::Cut | Deed::Hang => self.execute(&done, &mut out),
        };
        if let Some(sqlstate) = error {
            serve::error_response(&mut out, "ERROR", sqlstate, "as the seed wants it");
            if self.status == TransactionStatus::InTransaction {
                self.status = TransactionStatus::Failed;
            }
        }
        serve::ready_for_query(&mut out, self.status);
        if done.deed == Deed::Cut {
            let _ = self.stream.write_all(&out[..out.len() / 2]).await;
            return false;
        }
        if self.stream.write_all(&out).await.is_err() {
            return false;
        }
        let mut log = self.stage.log.borrow_mut();
        let last = log.dials[self.dial].asked.last_mut().unwrap();
        last.answered = Some((self.stage.clock.now_us(), error));
        true
    }

    /// Does what the text says, as far as a server without tables can; gives the error.
    fn execute(&mut self, done: &Working, out: &mut BytesMut) -> Option<&'static str> {
        let word = done.text.split([' ', ';']).next().unwrap_or_default();
        let ends = matches!(word, "COMMIT" | "ROLLBACK");
        if self.status == TransactionStatus::Failed && !ends {
            return Some("25P02");
        }
        done.before.iter().for_each(|tag| serve::bare(out, *tag));
        let tag = match word {
            "COMMIT" if self.status == TransactionStatus::Failed => "ROLLBACK",
            "SELECT" => {
                serve::data_row(out, &[Some(b"1")]);
                "SELECT 1"
            }
            "INSERT" => "INSERT 0 1",
            "UPDATE" => "UPDATE 1",
            other => other,
        };
        self.status = match word {
            "BEGIN" => TransactionStatus::InTransaction,
            _ if ends => TransactionStatus::Idle,
            _ => self.status,
        };
        if word == "DISCARD" {
            self.prepared.clear();
        }
        serve::command_complete(out, tag);
        None
    }

    /// Says that the session is over; false.
    async fn say_goodbye(&mut self) -> bool {
        let mut out = BytesMut::new();
        let words = "terminating connection due to administrator command";
        serve::error_response(&mut out, "FATAL", "57P01", words);
        let _ = self.stream.write_all(&out).await;
        false
    }
}
