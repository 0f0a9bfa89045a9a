//! Whose each statement of a session is.
//!
//! Takes a session's statements in order, each with an item of the caller's, and gives the items back in the same order,
//! each with its tenant. A statement without a mark of its own (BEGIN, COMMIT, SET) takes the tenant of its
//! transaction's first marked statement, else the session's last; so it may wait for statements that follow it. Must not
//! know what the items are.

use std::borrow::Cow;
use std::collections::VecDeque;

use super::rule::Rules;
use super::search_path::SearchPath;
use crate::sql::{TransactionControl, session_effect, split, transaction_control};

/// Items that wait at most for their transaction's first marked statement: beyond it, all that wait take the session's
/// last tenant. Real transactions are marked by their second or third statement.
const WAITING_MAX: usize = 256;

/// What a rule may look at.
#[derive(Clone, Copy, Debug)]
pub struct Statement<'a> {
    pub database: &'a str,
    pub user: &'a str,
    pub application_name: &'a str,
    /// The text as sent; it may hold several statements.
    pub sql: &'a str,
}

/// One session's state. `T` is what the caller wants back with a tenant.
#[derive(Debug)]
pub struct Attribution<T> {
    search_path: SearchPath,
    in_transaction: bool,
    transaction_tenant: Option<Box<str>>,
    last_tenant: Option<Box<str>>,
    waiting: VecDeque<T>,
}

impl<T> Attribution<T> {
    /// A session that began with this `search_path`, if it is known.
    pub fn new(search_path: Option<&str>) -> Self {
        Self {
            search_path: SearchPath::new(search_path),
            in_transaction: false,
            transaction_tenant: None,
            last_tenant: None,
            waiting: VecDeque::new(),
        }
    }

    /// Takes the session's next statement and hands out every item whose tenant is now known, oldest first.
    pub fn push(&mut self, rules: &Rules, statement: &Statement<'_>, item: T, mut give: impl FnMut(T, Option<&str>)) {
        let mut belongs_to_transaction = false;
        let mut ended_transaction = false;
        if rules.read_text() {
            belongs_to_transaction = self.in_transaction;
            for part in statements(statement.sql) {
                let began = self.follow(rules, part);
                belongs_to_transaction |= began;
                ended_transaction |= belongs_to_transaction && !self.in_transaction;
            }
        }
        let mark = rules.mark(statement, self.search_path.schema());
        match mark.as_deref() {
            Some(tenant) => {
                release(&mut self.waiting, Some(tenant), &mut give);
                give(item, Some(tenant));
                if belongs_to_transaction && self.transaction_tenant.is_none() {
                    self.transaction_tenant = Some(tenant.into());
                }
            }
            None if belongs_to_transaction && self.transaction_tenant.is_some() => {
                give(item, self.transaction_tenant.as_deref());
            }
            None => {
                self.waiting.push_back(item);
                if !belongs_to_transaction || self.waiting.len() >= WAITING_MAX {
                    release(&mut self.waiting, self.last_tenant.as_deref(), &mut give);
                }
            }
        }
        if let Some(tenant) = mark.filter(|tenant| self.last_tenant.as_deref() != Some(tenant.as_ref())) {
            self.last_tenant = Some(Cow::into_owned(tenant).into());
        }
        if ended_transaction {
            self.finish(&mut give);
            self.transaction_tenant = None;
        }
    }

    /// Hands out what still waits: the session ends here, or its log does.
    pub fn finish(&mut self, mut give: impl FnMut(T, Option<&str>)) {
        release(&mut self.waiting, self.last_tenant.as_deref(), &mut give);
    }

    /// Follows one statement's effect on the session; says whether it began a transaction.
    fn follow(&mut self, rules: &Rules, statement: &str) -> bool {
        if rules.follow_search_path()
            && let Some(effect) = session_effect(statement)
        {
            self.search_path.apply(&effect);
        }
        let Some(control) = transaction_control(statement) else { return false };
        self.search_path.follow(&control);
        match control {
            TransactionControl::Begin => self.in_transaction = true,
            TransactionControl::Commit { chain } | TransactionControl::Rollback { chain } => {
                self.in_transaction = chain && self.in_transaction;
            }
            TransactionControl::PrepareTransaction => self.in_transaction = false,
            _ => {}
        }
        matches!(control, TransactionControl::Begin)
    }
}

fn release<T>(waiting: &mut VecDeque<T>, tenant: Option<&str>, give: &mut impl FnMut(T, Option<&str>)) {
    while let Some(item) = waiting.pop_front() {
        give(item, tenant);
    }
}

/// The statements of a text. Most texts hold one, which needs no look at its end.
fn statements(text: &str) -> Vec<&str> {
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
        let mut attribution = Attribution::new(None);
        let mut given = Vec::new();
        for (index, sql) in statements.iter().copied().enumerate() {
            let statement = Statement { database: "shop", user: "app", application_name: "", sql };
            attribution.push(&rules, &statement, index, |item, tenant| given.push((item, tenant.map(str::to_owned))));
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
                "set search_path = c", "begin; select 1", "commit; begin", "savepoint s", "rollback to s",
            ]), 0..40)
        ) {
            prop_assert_eq!(tenants(&["schema"], &session).len(), session.len());
        }
    }
}
