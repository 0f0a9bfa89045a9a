//! The schema that a session's `search_path` names first.
//!
//! Takes the session's statements as they come and follows `SET`, `SET LOCAL`, `RESET` and `DISCARD ALL`, through
//! transactions that are rolled back too. Must not know rules.

use crate::sql::{SessionEffect, TransactionControl, search_path_schemas};

/// Whether a schema can be a tenant's: the system's own and the shared ones cannot.
pub fn is_tenant_schema(schema: &str) -> bool {
    !(schema == "public" || schema == "$user" || schema == "information_schema" || schema.starts_with("pg_"))
}

/// What is known of a session's `search_path`: its first schema that can be a tenant's.
#[derive(Clone, Debug, Default)]
pub struct SearchPath {
    at_start: Option<String>,
    session: Option<String>,
    /// `SET LOCAL`, until the transaction ends.
    local: Option<Option<String>>,
    /// What `session` was when the transaction began, for a rollback.
    before_transaction: Option<Option<String>>,
}

impl SearchPath {
    /// Of a session that began with this `search_path`, if it is known.
    pub fn new(value: Option<&str>) -> Self {
        let at_start = value.and_then(tenant_schema);
        Self { session: at_start.clone(), at_start, ..Self::default() }
    }

    /// The schema.
    pub fn schema(&self) -> Option<&str> {
        self.local.as_ref().unwrap_or(&self.session).as_deref()
    }

    /// Follows what a statement leaves behind.
    pub fn apply(&mut self, effect: &SessionEffect) {
        match effect {
            SessionEffect::Set { name, value, local } if name == "search_path" => {
                let schema = tenant_schema(value);
                if *local {
                    // Outside a transaction it lasts for its own statement alone.
                    if self.before_transaction.is_some() {
                        self.local = Some(schema);
                    }
                } else {
                    (self.session, self.local) = (schema, None);
                }
            }
            SessionEffect::Reset { name } if name == "search_path" => self.reset(),
            SessionEffect::ResetAll | SessionEffect::DiscardAll => self.reset(),
            _ => {}
        }
    }

    /// Follows the beginning and the end of a transaction.
    pub fn follow(&mut self, control: &TransactionControl) {
        match control {
            TransactionControl::Begin if self.before_transaction.is_none() => {
                self.before_transaction = Some(self.session.clone());
            }
            TransactionControl::Commit { chain } => self.end(*chain),
            TransactionControl::PrepareTransaction => self.end(false),
            TransactionControl::Rollback { chain } => {
                if let Some(before) = self.before_transaction.take() {
                    self.session = before;
                }
                self.end(*chain);
            }
            _ => {}
        }
    }

    fn end(&mut self, chain: bool) {
        self.local = None;
        self.before_transaction = chain.then(|| self.session.clone());
    }

    fn reset(&mut self) {
        (self.session, self.local) = (self.at_start.clone(), None);
    }
}

fn tenant_schema(value: &str) -> Option<String> {
    search_path_schemas(value).into_iter().find(|schema| is_tenant_schema(schema))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::sql::{session_effect, transaction_control};

    fn after(statements: &[&str]) -> Option<String> {
        let mut path = SearchPath::new(Some("\"$user\", public, home"));
        for statement in statements {
            if let Some(effect) = session_effect(statement) {
                path.apply(&effect);
            }
            if let Some(control) = transaction_control(statement) {
                path.follow(&control);
            }
        }
        path.schema().map(str::to_owned)
    }

    #[test]
    fn settings_are_followed() {
        assert_eq!(after(&[]).as_deref(), Some("home"));
        assert_eq!(after(&["SET search_path TO public, acme"]).as_deref(), Some("acme"));
        assert_eq!(after(&["SET search_path = acme", "RESET search_path"]).as_deref(), Some("home"));
        assert_eq!(after(&["SET search_path = public"]), None);
    }

    #[test]
    fn a_rollback_and_an_end_give_back_what_was() {
        assert_eq!(after(&["BEGIN", "SET search_path = acme", "ROLLBACK"]).as_deref(), Some("home"));
        assert_eq!(after(&["BEGIN", "SET search_path = acme", "COMMIT"]).as_deref(), Some("acme"));
        assert_eq!(after(&["BEGIN", "SET LOCAL search_path = acme"]).as_deref(), Some("acme"));
        assert_eq!(after(&["BEGIN", "SET LOCAL search_path = acme", "COMMIT"]).as_deref(), Some("home"));
        assert_eq!(after(&["SET LOCAL search_path = acme"]).as_deref(), Some("home"));
    }
}
