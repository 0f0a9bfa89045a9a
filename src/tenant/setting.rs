//! A setting of a session that may name a tenant: `search_path` or `application_name`.
//!
//! Takes the session's statements as they come and follows `SET`, `SET LOCAL`, `RESET` and `DISCARD ALL`, through
//! transactions that are rolled back too. Must not know rules.

use crate::sql::{SessionEffect, TransactionControl, search_path_schemas};

/// Whether a schema can be a tenant's: the system's own and the shared ones cannot.
pub fn is_tenant_schema(schema: &str) -> bool {
    !(schema == "public" || schema == "$user" || schema == "information_schema" || schema.starts_with("pg_"))
}

/// What is known of a session's setting.
#[derive(Clone, Debug)]
pub struct Setting {
    setting: &'static str,
    /// Which part of a value can be a tenant.
    tenant: fn(&str) -> Option<String>,
    at_start: Option<String>,
    session: Option<String>,
    /// `SET LOCAL`, until the transaction ends.
    local: Option<Option<String>>,
    /// What `session` was when the transaction began, for a rollback.
    before_transaction: Option<Option<String>>,
}

impl Setting {
    /// The `search_path` of a session that began with this one, if it is known: its first schema that can be a tenant's
    /// counts.
    pub fn search_path(at_start: Option<&str>) -> Self {
        Self::new("search_path", tenant_schema, at_start)
    }

    /// The `application_name` of a session that began with this one, if it is known.
    pub fn application_name(at_start: Option<&str>) -> Self {
        Self::new("application_name", |value| (!value.is_empty()).then(|| value.to_owned()), at_start)
    }

    fn new(setting: &'static str, tenant: fn(&str) -> Option<String>, at_start: Option<&str>) -> Self {
        let at_start = at_start.and_then(tenant);
        let session = at_start.clone();
        Self { setting, tenant, at_start, session, local: None, before_transaction: None }
    }

    /// The tenant that it names.
    pub fn tenant(&self) -> Option<&str> {
        self.local.as_ref().unwrap_or(&self.session).as_deref()
    }

    /// Follows what a statement leaves behind.
    pub fn apply(&mut self, effect: &SessionEffect) {
        match effect {
            SessionEffect::Set { name, value, local } if name == self.setting => {
                let tenant = (self.tenant)(value);
                if *local {
                    // Outside a transaction it lasts for its own statement alone.
                    if self.before_transaction.is_some() {
                        self.local = Some(tenant);
                    }
                } else {
                    (self.session, self.local) = (tenant, None);
                }
            }
            SessionEffect::Reset { name } if name == self.setting => self.reset(),
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
mod tests {
    use super::*;
    use crate::sql::{session_effect, transaction_control};

    fn followed(mut setting: Setting, statements: &[&str]) -> Option<String> {
        for statement in statements {
            if let Some(effect) = session_effect(statement) {
                setting.apply(&effect);
            }
            if let Some(control) = transaction_control(statement) {
                setting.follow(&control);
            }
        }
        setting.tenant().map(str::to_owned)
    }

    fn after(statements: &[&str]) -> Option<String> {
        followed(Setting::search_path(Some("\"$user\", public, home")), statements)
    }

    #[test]
    fn settings_are_followed() {
        assert_eq!(after(&[]).as_deref(), Some("home"));
        assert_eq!(after(&["SET search_path TO public, acme"]).as_deref(), Some("acme"));
        assert_eq!(after(&["SET search_path = acme", "RESET search_path"]).as_deref(), Some("home"));
        assert_eq!(after(&["SET search_path = public"]), None);
        let named = |statements: &[&str]| followed(Setting::application_name(Some("web")), statements);
        assert_eq!(named(&["SET application_name = 'Acme, Inc'"]).as_deref(), Some("Acme, Inc"));
        assert_eq!(named(&["SET search_path = acme"]).as_deref(), Some("web"));
        assert_eq!(named(&["SET application_name = ''"]), None);
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
