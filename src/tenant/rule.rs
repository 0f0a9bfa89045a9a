//! Rules that name a statement's tenant.
//!
//! Takes a rule's text (`database`, `user`, `application_name`, `schema`, `tag:KEY`, `sql:REGEX`, `param:TABLE.COLUMN`)
//! and, for a statement, gives the tenant that the first fitting rule names. Must not know what came before the statement
//! in its session.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use super::execution::{Execution, Statement};
use super::pattern::{Pattern, PatternError};
use super::setting::is_tenant_schema;
use crate::sql::{ColumnName, column_value, comment_tags, relation_names};

/// Where a tenant's name is found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Rule {
    /// The session's database.
    Database,
    /// The session's user.
    User,
    /// `application_name`, as it was when the statement ran.
    ApplicationName,
    /// The schema of the first relation that the statement qualifies, else the first of `search_path`; `public`,
    /// `information_schema`, `"$user"` and `pg_*` are nobody's.
    Schema,
    /// A tag in a comment of the statement: `/* KEY=name */`, `/*KEY='name'*/` or `/*KEY:name*/`.
    Tag { key: String },
    /// What the pattern's first group matches in the statement's text.
    Sql { pattern: Pattern },
    /// The literal or the parameter that the statement compares with the column, inserts into it or sets it to. Where the
    /// statement names the table, a column without a qualifier is that table's.
    Param { column: ColumnName },
}

/// Why a rule cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RuleError {
    #[error(
        "unknown tenant rule \"{text}\"\n\
         hint: the rules are database, user, application_name, schema, tag:KEY, sql:REGEX and param:TABLE.COLUMN"
    )]
    Unknown { text: String },
    #[error("tenant rule \"{text}\" names no tag\nhint: write the tag's key behind the colon, as in tag:tenant")]
    TagWithoutKey { text: String },
    #[error("tenant rule \"{text}\" cannot be used: {source}")]
    Pattern { text: String, source: PatternError },
    #[error(
        "tenant rule \"{text}\" names no column\n\
         hint: write table and column, as in param:accounts.tenant_id or param:billing.accounts.tenant_id"
    )]
    NoColumn { text: String },
}

impl FromStr for Rule {
    type Err = RuleError;

    fn from_str(text: &str) -> Result<Self, RuleError> {
        match text.trim() {
            "database" => Ok(Self::Database),
            "user" => Ok(Self::User),
            "application_name" => Ok(Self::ApplicationName),
            "schema" => Ok(Self::Schema),
            other => with_argument(other),
        }
    }
}

fn with_argument(rule: &str) -> Result<Rule, RuleError> {
    let text = rule.to_owned();
    match rule.split_once(':') {
        Some(("tag", key)) if key.trim().is_empty() => Err(RuleError::TagWithoutKey { text }),
        Some(("tag", key)) => Ok(Rule::Tag { key: key.trim().to_owned() }),
        Some(("sql", pattern)) => match Pattern::new(pattern) {
            Ok(pattern) => Ok(Rule::Sql { pattern }),
            Err(source) => Err(RuleError::Pattern { text, source }),
        },
        Some(("param", column)) => match column.parse() {
            Ok(column) => Ok(Rule::Param { column }),
            Err(_) => Err(RuleError::NoColumn { text }),
        },
        _ => Err(RuleError::Unknown { text }),
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Database => f.write_str("database"),
            Self::User => f.write_str("user"),
            Self::ApplicationName => f.write_str("application_name"),
            Self::Schema => f.write_str("schema"),
            Self::Tag { key } => write!(f, "tag:{key}"),
            Self::Sql { pattern } => write!(f, "sql:{}", pattern.as_str()),
            Self::Param { column } => write!(f, "param:{column}"),
        }
    }
}

/// Rules in order: the first that names a tenant wins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rules {
    rules: Vec<Rule>,
}

impl Default for Rules {
    /// Every database is a tenant.
    fn default() -> Self {
        Self { rules: vec![Rule::Database] }
    }
}

impl Rules {
    /// These rules in this order; without any, every database is a tenant.
    pub fn new(rules: Vec<Rule>) -> Self {
        if rules.is_empty() { Self::default() } else { Self { rules } }
    }

    /// Reads rules in order.
    ///
    /// # Errors
    /// The first text that is no rule.
    pub fn parse<'a>(texts: impl IntoIterator<Item = &'a str>) -> Result<Self, RuleError> {
        texts.into_iter().map(str::parse).collect::<Result<_, _>>().map(Self::new)
    }

    /// Whether statements' texts are looked at: not where the first rule answers for every statement.
    pub fn read_text(&self) -> bool {
        !matches!(self.rules.first(), Some(Rule::Database | Rule::User))
    }

    /// Whether statements' parameters are looked at.
    pub fn read_parameters(&self) -> bool {
        self.read_text() && self.rules.iter().any(|rule| matches!(rule, Rule::Param { .. }))
    }

    /// Whether what the session is set to matters.
    pub(super) fn follow_settings(&self) -> bool {
        self.rules.iter().any(|rule| matches!(rule, Rule::Schema | Rule::ApplicationName))
    }

    /// The tenant that the statement itself names, in a session that is set to these.
    pub(super) fn mark<'a>(&self, statement: &Statement<'a>, settings: Settings<'a>) -> Option<Cow<'a, str>> {
        let executions = statement.executions;
        self.rules.iter().find_map(|rule| match rule {
            Rule::Database => named(statement.database),
            Rule::User => named(statement.user),
            Rule::ApplicationName => match statement.application_name {
                Some(name) => named(name),
                None => settings.application_name.map(Cow::Borrowed),
            },
            Rule::Schema => executions.iter().find_map(schema).or(settings.schema.map(Cow::Borrowed)),
            Rule::Tag { key } => executions.iter().find_map(|execution| tag(execution, key)),
            Rule::Sql { pattern } => {
                executions.iter().find_map(|execution| pattern.find(&execution.sql)).map(Cow::Borrowed)
            }
            Rule::Param { column } => executions.iter().find_map(|execution| {
                let operand = column_value(&execution.sql, column)?;
                execution.value_of(&operand).map(Cow::Owned)
            }),
        })
    }
}

/// The tenants that a session's settings name.
#[derive(Clone, Copy, Default)]
pub(super) struct Settings<'a> {
    /// The first schema of `search_path` that can be a tenant's.
    pub schema: Option<&'a str>,
    pub application_name: Option<&'a str>,
}

fn schema<'a>(execution: &Execution<'_>) -> Option<Cow<'a, str>> {
    let mut schemas = relation_names(&execution.sql).into_iter().filter_map(|relation| relation.schema);
    schemas.find(|schema| is_tenant_schema(schema)).map(Cow::Owned)
}

fn tag<'a>(execution: &Execution<'_>, key: &str) -> Option<Cow<'a, str>> {
    let mut tags = comment_tags(&execution.sql).into_iter();
    tags.find_map(|(found, value)| (found == key && !value.is_empty()).then_some(Cow::Owned(value)))
}

impl fmt::Display for Rules {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, rule) in self.rules.iter().enumerate() {
            write!(f, "{}{rule}", if index == 0 { "" } else { ", " })?;
        }
        Ok(())
    }
}

fn named(value: &str) -> Option<Cow<'_, str>> {
    (!value.is_empty()).then_some(Cow::Borrowed(value))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::super::execution::Value;
    use super::*;

    #[test]
    fn rules_are_written_as_they_are_read() {
        let texts = [
            "database",
            "user",
            "application_name",
            "schema",
            "tag:tenant",
            "sql:org: (\\d+)",
            "param:billing.\"A\".id",
        ];
        for text in texts {
            assert_eq!(text.parse::<Rule>().unwrap().to_string(), text);
        }
        assert_eq!(Rules::parse(["tag:t", "schema"]).unwrap().to_string(), "tag:t, schema");
        assert_eq!(Rules::parse([]).unwrap(), Rules::default());
    }

    #[test]
    fn a_rule_that_cannot_be_read_says_why() {
        for (text, expected) in [
            ("tenants", "unknown tenant rule \"tenants\"\nhint: the rules are database, "),
            ("sql", "unknown tenant rule \"sql\""),
            ("tag: ", "tenant rule \"tag:\" names no tag\nhint: "),
            ("sql:(a", "tenant rule \"sql:(a\" cannot be used: character 1 of the pattern: unclosed group"),
            ("sql:a", "tenant rule \"sql:a\" cannot be used: the pattern has no group\nhint: "),
            ("param:tenant_id", "tenant rule \"param:tenant_id\" names no column\nhint: write table and column"),
        ] {
            let message = text.parse::<Rule>().unwrap_err().to_string();
            assert!(message.starts_with(expected), "{message}");
        }
    }

    fn mark(rules: &[&str], application_name: &str, execution: Execution<'_>) -> Option<String> {
        let executions = [execution];
        let statement = Statement {
            database: "shop",
            user: "app",
            application_name: Some(application_name),
            executions: &executions,
            ..Statement::default()
        };
        let rules = Rules::parse(rules.iter().copied()).unwrap();
        rules.mark(&statement, Settings::default()).map(Cow::into_owned)
    }

    fn text(sql: &str) -> Execution<'_> {
        Execution { sql: sql.into(), ..Execution::default() }
    }

    #[test]
    fn the_first_rule_that_names_a_tenant_wins() {
        let rules = ["application_name", "database"];
        assert_eq!(mark(&rules, "acme", text("select 1")).as_deref(), Some("acme"));
        assert_eq!(mark(&rules, "", text("select 1")).as_deref(), Some("shop"));
        let sql = "select 1 from a.t where id = 7 /*tenant:bolt*/";
        assert_eq!(mark(&["tag:customer", "param:t.id", "schema"], "", text(sql)).as_deref(), Some("7"));
        assert_eq!(mark(&["tag:tenant", "param:t.id"], "", text(sql)).as_deref(), Some("bolt"));
        assert_eq!(mark(&["sql:from (.*)\\.t"], "", text(sql)).as_deref(), Some("a"));
    }

    #[test]
    fn parameters_are_looked_up() {
        let sql = "insert into t (a, id) values ($1, $2)";
        let parameters = vec![Value::Null, Value::Text(b"acme"[..].into())];
        let execution = Execution { parameters, ..text(sql) };
        assert_eq!(mark(&["param:t.id"], "", execution.clone()).as_deref(), Some("acme"));
        assert_eq!(mark(&["param:t.a", "user"], "", execution).as_deref(), Some("app"));
        let rules = |text: &str| Rules::parse([text, "param:t.a"]).unwrap();
        assert!(rules("schema").read_parameters() && !rules("database").read_parameters());
    }
}
