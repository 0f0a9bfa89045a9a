//! What a session has told its server and a new connection must be told again.
//!
//! Takes the statements that changed the session and how transactions ended; gives the statements that make a fresh
//! session the same. Bounded. Must not know connections.

use std::collections::BTreeMap;
use std::rc::Rc;

use crate::pgwire::backend::TransactionStatus;
use crate::sql::{self, SessionEffect};

/// Settings, channels and SQL-level prepared statements that are remembered for one session.
const REMEMBERED_MAX: usize = 256;

/// What is restored, in the order in which it was set last. Cheap to clone, until one of the two changes.
#[derive(Clone, Debug, Default)]
pub(super) struct SessionMemory {
    remembered: Rc<Vec<(Key, Box<str>)>>,
    /// Effects of the open transaction: they are real once it commits.
    pending: Vec<(SessionEffect, Box<str>)>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Key {
    Setting(String),
    Channel(String),
    Prepared(String),
}

impl SessionMemory {
    /// A session that had these settings and prepared statements when it began.
    pub fn carried_in(settings: &BTreeMap<String, String>, prepared: &BTreeMap<String, String>) -> Self {
        let quoted = |text: &str| format!("'{}'", text.replace('\'', "''"));
        let set = |(name, value): (&String, &String)| {
            let statement = format!("SELECT pg_catalog.set_config({}, {}, false)", quoted(name), quoted(value));
            (Key::Setting(name.to_ascii_lowercase()), statement.into())
        };
        let prepare = |(name, text): (&String, &String)| {
            let statement = format!("PREPARE \"{}\" AS {text}", name.replace('"', "\"\""));
            (Key::Prepared(name.clone()), statement.into())
        };
        // What is prepared may depend on what is set, such as search_path.
        let remembered = settings.iter().map(set).chain(prepared.iter().map(prepare)).take(REMEMBERED_MAX).collect();
        Self { remembered: Rc::new(remembered), pending: Vec::new() }
    }

    /// The statements that make a fresh session what this one was.
    pub fn statements(&self) -> impl Iterator<Item = &str> {
        self.remembered.iter().map(|(_, statement)| &**statement)
    }

    /// A text was answered without an error; `status` is the session's after it. Says whether prepared statements may
    /// be gone.
    pub fn changed(&mut self, text: &str, status: TransactionStatus) -> bool {
        let mut deallocates = false;
        for statement in sql::split(text) {
            let Some(effect) = sql::session_effect(statement) else { continue };
            deallocates |= matches!(
                effect,
                SessionEffect::Deallocate { .. } | SessionEffect::DeallocateAll | SessionEffect::DiscardAll
            );
            match effect {
                SessionEffect::Set { local: true, .. } => {}
                // These do not wait for the transaction's end.
                SessionEffect::Prepare { .. } | SessionEffect::Deallocate { .. } | SessionEffect::DeallocateAll => {
                    self.apply(effect, statement);
                }
                _ if status == TransactionStatus::Idle => self.apply(effect, statement),
                _ if self.pending.len() < REMEMBERED_MAX => self.pending.push((effect, statement.into())),
                _ => {}
            }
        }
        deallocates
    }

    /// Whether the end of the open transaction matters.
    pub fn is_pending(&self) -> bool {
        !self.pending.is_empty()
    }

    /// The open transaction ended.
    pub fn transaction_ended(&mut self, committed: bool) {
        for (effect, statement) in std::mem::take(&mut self.pending) {
            if committed {
                self.apply(effect, &statement);
            }
        }
    }

    fn apply(&mut self, effect: SessionEffect, statement: &str) {
        match effect {
            SessionEffect::Set { name, .. } => self.remember(Key::Setting(name), statement),
            SessionEffect::Listen { channel } => self.remember(Key::Channel(channel), statement),
            SessionEffect::Prepare { name } => self.remember(Key::Prepared(name), statement),
            SessionEffect::Reset { name } => self.forget(|key| *key == Key::Setting(name.clone())),
            SessionEffect::Unlisten { channel } => self.forget(|key| *key == Key::Channel(channel.clone())),
            SessionEffect::Deallocate { name } => self.forget(|key| *key == Key::Prepared(name.clone())),
            SessionEffect::ResetAll => self.forget(|key| matches!(key, Key::Setting(_))),
            SessionEffect::UnlistenAll => self.forget(|key| matches!(key, Key::Channel(_))),
            SessionEffect::DeallocateAll => self.forget(|key| matches!(key, Key::Prepared(_))),
            SessionEffect::DiscardAll => self.remembered = Rc::default(),
        }
    }

    fn remember(&mut self, key: Key, statement: &str) {
        self.forget(|known| *known == key);
        if self.remembered.len() < REMEMBERED_MAX {
            Rc::make_mut(&mut self.remembered).push((key, statement.into()));
        }
    }

    fn forget(&mut self, gone: impl Fn(&Key) -> bool) {
        if self.remembered.iter().any(|(key, _)| gone(key)) {
            Rc::make_mut(&mut self.remembered).retain(|(key, _)| !gone(key));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use TransactionStatus::{Idle, InTransaction};

    fn remembered(memory: &SessionMemory) -> Vec<&str> {
        memory.statements().collect()
    }

    #[test]
    fn the_last_value_of_a_setting_is_restored() {
        let mut memory = SessionMemory::default();
        memory.changed("SET search_path = a", Idle);
        memory.changed("SET work_mem = '1MB'; LISTEN news", Idle);
        memory.changed("SET search_path = b", Idle);
        assert_eq!(remembered(&memory), ["SET work_mem = '1MB'", "LISTEN news", "SET search_path = b"]);
        memory.changed("RESET ALL", Idle);
        assert_eq!(remembered(&memory), ["LISTEN news"]);
        memory.changed("DISCARD ALL", Idle);
        assert!(remembered(&memory).is_empty());
    }

    #[test]
    fn a_setting_inside_a_transaction_lives_and_dies_with_it() {
        let mut memory = SessionMemory::default();
        memory.changed("SET search_path = a", InTransaction);
        memory.transaction_ended(false);
        assert!(remembered(&memory).is_empty());
        memory.changed("SET search_path = a", InTransaction);
        memory.changed("SET LOCAL search_path = b", InTransaction);
        memory.transaction_ended(true);
        assert_eq!(remembered(&memory), ["SET search_path = a"]);
    }

    #[test]
    fn prepare_outlives_a_rollback() {
        let mut memory = SessionMemory::default();
        memory.changed("PREPARE q AS SELECT 1", InTransaction);
        memory.transaction_ended(false);
        assert_eq!(remembered(&memory), ["PREPARE q AS SELECT 1"]);
        memory.changed("DEALLOCATE q", Idle);
        assert!(remembered(&memory).is_empty());
    }

    #[test]
    fn what_was_there_before_the_capture_is_restored_with_its_quotes() {
        let settings = [("Work_Mem".to_owned(), "it's".to_owned())].into();
        let prepared = [("a\"b".to_owned(), "SELECT 1".to_owned())].into();
        let mut memory = SessionMemory::carried_in(&settings, &prepared);
        let restored = ["SELECT pg_catalog.set_config('Work_Mem', 'it''s', false)", "PREPARE \"a\"\"b\" AS SELECT 1"];
        assert_eq!(remembered(&memory), restored);
        memory.changed("DEALLOCATE ALL", Idle);
        assert_eq!(remembered(&memory), restored[..1]);
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let mut memory = SessionMemory::default();
        for number in 0..1_000 {
            memory.changed(&format!("LISTEN c{number}"), Idle);
        }
        assert_eq!(remembered(&memory).len(), REMEMBERED_MAX);
    }
}
