//! Whose each statement of a session is.
//!
//! Takes a session's requests in order, each with an item of the caller's, and gives the items back in the same order,
//! each with its tenant. A statement without a mark of its own (BEGIN, COMMIT, SET) takes the tenant of its
//! transaction's first marked statement, else the session's last; so it may wait for statements that follow it. Must not
//! know what the items are.

use std::borrow::Cow;
use std::collections::{BTreeMap, VecDeque};

use super::execution::{Execution, Statement};
use super::prepared::PreparedBySql;
use super::rule::{Rules, Settings};
use super::setting::Setting;
use crate::sql::{TransactionControl, session_effect, split, transaction_control};

/// Items that wait at most for their transaction's first marked statement: beyond it, all that wait take the session's
/// last tenant. Real transactions are marked by their second or third statement.
const WAITING_MAX: usize = 256;

/// What is known of a session's settings when it begins.
#[derive(Clone, Copy, Debug, Default)]
pub struct SessionStart<'a> {
    pub search_path: Option<&'a str>,
    pub application_name: Option<&'a str>,
}

impl<'a> SessionStart<'a> {
    /// Of a session with these startup parameters; `options` may hold settings too.
    pub fn of_parameters(parameters: &'a BTreeMap<String, String>) -> Self {
        let parameter = |name| parameters.get(name).map(String::as_str);
        let option = parameter("options").and_then(|options| {
            let words =
                options.split_ascii_whitespace().map(|word| word.trim_start_matches("-c").trim_start_matches("--"));
            words.filter_map(|word| word.strip_prefix("search_path=")).next_back()
        });
        Self { search_path: parameter("search_path").or(option), application_name: parameter("application_name") }
    }
}

/// What a request was seen to be, until its item is handed over.
#[derive(Clone, Copy, Debug)]
pub struct Observed {
    /// It names a tenant: the one that is now the session's last.
    is_marked: bool,
    belongs_to_transaction: bool,
    ended_transaction: bool,
}

/// One session's state. `T` is what the caller wants back with a tenant.
#[derive(Debug)]
pub struct Attribution<T> {
    search_path: Setting,
    application_name: Setting,
    prepared: PreparedBySql,
    in_transaction: bool,
    /// A statement of the transaction failed: it can only be rolled back.
    is_aborted: bool,
    transaction_tenant: Option<Box<str>>,
    last_tenant: Option<Box<str>>,
    waiting: VecDeque<T>,
}

impl<T> Attribution<T> {
    /// A session that began like this.
    pub fn new(start: SessionStart<'_>) -> Self {
        Self {
            search_path: Setting::search_path(start.search_path),
            application_name: Setting::application_name(start.application_name),
            prepared: PreparedBySql::default(),
            in_transaction: false,
            is_aborted: false,
            transaction_tenant: None,
            last_tenant: None,
            waiting: VecDeque::new(),
        }
    }

    /// Looks at the session's next request; its item must follow, by [`Attribution::push`]. In two steps, so that the
    /// statement may borrow from the item.
    pub fn observe(&mut self, rules: &Rules, statement: &Statement<'_>) -> Observed {
        let mut belongs_to_transaction = false;
        let mut ended_transaction = false;
        if rules.read_text() {
            belongs_to_transaction = self.in_transaction;
            let executed = statement.executions.iter().filter(|execution| !execution.is_prepared_only);
            for part in executed.flat_map(parts) {
                let began = self.follow(rules, part, statement.has_failed);
                belongs_to_transaction |= began;
                ended_transaction |= belongs_to_transaction && !self.in_transaction;
            }
            if let Some(is_in_transaction) = statement.is_in_transaction {
                self.in_transaction = is_in_transaction;
                ended_transaction |= belongs_to_transaction && !is_in_transaction;
            }
            self.is_aborted = self.in_transaction && (self.is_aborted || statement.has_failed);
        }
        let settings = Settings { schema: self.search_path.tenant(), application_name: self.application_name.tenant() };
        let executed = self.prepared.executed(statement.executions);
        let mark = match executed.is_empty() {
            true => rules.mark(statement, settings),
            false => {
                let executions = [statement.executions.to_vec(), executed].concat();
                let statement = Statement { executions: &executions, ..*statement };
                rules.mark(&statement, settings).map(|tenant| Cow::Owned(tenant.into_owned()))
            }
        };
        let is_marked = mark.is_some();
        if let Some(tenant) = mark.filter(|tenant| self.last_tenant.as_deref() != Some(tenant.as_ref())) {
            self.last_tenant = Some(tenant.into());
        }
        Observed { is_marked, belongs_to_transaction, ended_transaction }
    }

    /// The tenant of the request that was observed last, where it is known and nothing waits before it: its item need not
    /// be pushed then.
    pub fn settled(&self, observed: Observed) -> Option<Option<&str>> {
        let is_settled = self.waiting.is_empty() && !observed.belongs_to_transaction;
        is_settled.then_some(self.last_tenant.as_deref())
    }

    /// Takes the item of the request that was observed last, and hands out every item whose tenant is now known, oldest
    /// first.
    pub fn push(&mut self, observed: Observed, item: T, mut give: impl FnMut(T, Option<&str>)) {
        let Observed { is_marked, belongs_to_transaction, ended_transaction } = observed;
        if is_marked {
            let tenant = self.last_tenant.as_deref();
            release(&mut self.waiting, tenant, &mut give);
            give(item, tenant);
            if belongs_to_transaction && self.transaction_tenant.is_none() {
                self.transaction_tenant = self.last_tenant.clone();
            }
        } else if belongs_to_transaction && self.transaction_tenant.is_some() {
            give(item, self.transaction_tenant.as_deref());
        } else {
            self.waiting.push_back(item);
            if !belongs_to_transaction || self.waiting.len() >= WAITING_MAX {
                release(&mut self.waiting, self.last_tenant.as_deref(), &mut give);
            }
        }
        if ended_transaction {
            self.finish(&mut give);
            self.transaction_tenant = None;
        }
    }

    /// Items that wait for their transaction's first marked statement.
    pub fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// Hands out what still waits: the session ends here, or its source does.
    pub fn finish(&mut self, mut give: impl FnMut(T, Option<&str>)) {
        release(&mut self.waiting, self.last_tenant.as_deref(), &mut give);
    }

    /// Follows one statement's effect on the session; says whether it began a transaction.
    fn follow(&mut self, rules: &Rules, statement: &str, has_failed: bool) -> bool {
        if !has_failed
            && !self.is_aborted
            && rules.follow_settings()
            && let Some(effect) = session_effect(statement)
        {
            self.search_path.apply(&effect);
            self.application_name.apply(&effect);
        }
        if !has_failed {
            self.prepared.follow(statement);
        }
        let Some(mut control) = transaction_control(statement) else { return false };
        match control {
            TransactionControl::Begin => self.in_transaction = true,
            TransactionControl::Commit { chain } | TransactionControl::Rollback { chain } => {
                self.in_transaction = chain && self.in_transaction;
                if self.is_aborted {
                    control = TransactionControl::Rollback { chain };
                }
                self.is_aborted = false;
            }
            TransactionControl::PrepareTransaction => self.in_transaction = false,
            TransactionControl::RollbackTo { .. } => self.is_aborted = false,
            _ => {}
        }
        self.search_path.follow(&control);
        self.application_name.follow(&control);
        matches!(control, TransactionControl::Begin)
    }
}

fn release<T>(waiting: &mut VecDeque<T>, tenant: Option<&str>, give: &mut impl FnMut(T, Option<&str>)) {
    while let Some(item) = waiting.pop_front() {
        give(item, tenant);
    }
}

/// The statements of an execution. Most texts hold one, which needs no look at its end.
fn parts<'a>(execution: &'a Execution<'_>) -> Vec<&'a str> {
    let text: &str = &execution.sql;
    match text.trim_end().trim_end_matches(';').contains(';') {
        true => split(text),
        false => vec![text],
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The tenants that these statements of one session get.
    fn tenants(rules: &[&str], statements: &[&str]) -> Vec<Option<String>> {
        let rules = Rules::parse(rules.iter().copied()).unwrap();
        let mut attribution = Attribution::new(SessionStart::default());
        let mut given = Vec::new();
        for (index, sql) in statements.iter().copied().enumerate() {
            // What stands behind an exclamation mark failed.
            let (sql, has_failed) = sql.strip_prefix('!').map_or((sql, false), |sql| (sql, true));
            let executions = [Execution { sql: sql.into(), ..Execution::default() }];
            let statement = Statement {
                database: "shop",
                user: "app",
                executions: &executions,
                has_failed,
                ..Statement::default()
            };
            let observed = attribution.observe(&rules, &statement);
            attribution.push(observed, index, |item, tenant| given.push((item, tenant.map(str::to_owned))));
        }
        attribution.finish(|item, tenant| given.push((item, tenant.map(str::to_owned))));
        assert!(given.iter().map(|(item, _)| *item).eq(0..statements.len()), "items come back in order, none is lost");
        given.into_iter().map(|(_, tenant)| tenant).collect()
    }

    fn some(names: &[&str]) -> Vec<Option<String>> {
        names.iter().map(|name| Some((*name).to_owned())).collect()
    }

    #[test]
    fn a_transaction_takes_its_first_marked_tenant() {
        let session = ["begin", "set search_path = acme", "select 1", "commit", "select 2"];
        assert_eq!(tenants(&["schema"], &session), some(&["acme"; 5]));
        let qualified = ["begin", "select 1", "update bolt.t set a = 1", "select 2 from acme.t", "commit"];
        assert_eq!(tenants(&["schema"], &qualified), some(&["bolt", "bolt", "bolt", "acme", "bolt"]));
    }

    #[test]
    fn a_statement_outside_takes_the_sessions_last_tenant() {
        let session = ["select 1", "select 1 from acme.t", "select 1", "begin", "commit", "select 1 from bolt.t", "x"];
        let mut expected = some(&["acme", "acme", "acme", "acme", "bolt", "bolt"]);
        expected.insert(0, None);
        assert_eq!(tenants(&["schema"], &session), expected);
    }

    #[test]
    fn rules_that_always_answer_need_no_transaction() {
        assert_eq!(tenants(&["database"], &["begin", "select 1", "commit"]), some(&["shop"; 3]));
    }

    #[test]
    fn a_transaction_in_one_text_ends_in_it() {
        let session = ["begin; insert into acme.t values (1); commit", "begin", "insert into bolt.t values (1)", "end"];
        assert_eq!(tenants(&["schema"], &session), some(&["acme", "bolt", "bolt", "bolt"]));
    }

    #[test]
    fn settings_of_what_failed_do_not_stay() {
        let session = ["set search_path = acme", "!set search_path = bolt", "x"];
        assert_eq!(tenants(&["schema"], &session), some(&["acme"; 3]));
        let session = ["set application_name = 'acme'", "begin", "set application_name = 'bolt'", "!x", "commit", "y"];
        let expected = some(&["acme", "acme", "bolt", "bolt", "acme", "acme"]);
        assert_eq!(tenants(&["application_name"], &session), expected);
    }

    #[test]
    fn the_server_knows_best_whether_a_transaction_is_open() {
        let rules = Rules::parse(["schema"]).unwrap();
        let mut attribution = Attribution::new(SessionStart::default());
        for (sql, is_in_transaction) in [("begin", false), ("select 1", false)] {
            let executions = [Execution { sql: sql.into(), ..Execution::default() }];
            let statement = Statement {
                executions: &executions,
                is_in_transaction: Some(is_in_transaction),
                ..Statement::default()
            };
            let observed = attribution.observe(&rules, &statement);
            attribution.push(observed, sql, |_, _| {});
            assert_eq!(attribution.waiting(), 0, "{sql}");
        }
    }

    #[test]
    fn an_execute_is_of_the_tenant_that_its_prepared_statement_names() {
        let statements = [
            "PREPARE q (int) AS SELECT * FROM acme.orders WHERE tenant_id = $2 AND a = $1",
            "EXECUTE q(1, 'bolt')",
            "/* x */ execute Q(1, 'cato'::text); ",
            "EXECUTE unknown(1, 'dune')",
            "DEALLOCATE q",
            "EXECUTE q(1, 'eden')",
        ];
        assert_eq!(
            tenants(&["param:orders.tenant_id", "database"], &statements),
            some(&["shop", "bolt", "cato", "shop", "shop", "shop"])
        );
        assert_eq!(tenants(&["schema"], &statements[..2]), some(&["acme", "acme"]));
    }

    #[test]
    fn what_is_only_prepared_begins_nothing() {
        let rules = Rules::parse(["schema"]).unwrap();
        let mut attribution = Attribution::new(SessionStart::default());
        let executions = [Execution { sql: "begin".into(), is_prepared_only: true, ..Execution::default() }];
        let observed = attribution.observe(&rules, &Statement { executions: &executions, ..Statement::default() });
        attribution.push(observed, (), |(), _| {});
        assert_eq!(attribution.waiting(), 0);
    }

    #[test]
    fn waiting_is_bounded() {
        let mut session = vec!["begin"];
        session.extend(["select 1"; WAITING_MAX * 2]);
        session.push("select 1 from acme.t");
        let tenants = tenants(&["schema"], &session);
        assert_eq!(tenants[0], None);
        assert_eq!(tenants.last(), Some(&Some("acme".to_owned())));
    }

    proptest! {
        #[test]
        fn every_item_comes_back_once_and_in_order(
            session in proptest::collection::vec(proptest::sample::select(vec![
                "begin", "commit", "rollback", "select 1", "select 1 from a.t", "select 1 from b.t", "commit and chain",
                "set search_path = c", "!x", "begin; select 1", "commit; begin", "savepoint s", "rollback to s",
            ]), 0..40)
        ) {
            prop_assert_eq!(tenants(&["schema"], &session).len(), session.len());
        }
    }
}
