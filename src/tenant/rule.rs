//! Rules that name a statement's tenant.
//!
//! Takes a rule's text (`database`, `user`, `application_name`, `schema`, `tag:KEY`) and, for a statement, gives the
//! tenant that the first fitting rule names. Must not know what came before the statement in its session.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use super::attribution::Statement;
use super::search_path::is_tenant_schema;
use crate::sql::{comment_tags, relation_names};

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
}

/// Why a rule cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RuleError {
    #[error("unknown tenant rule \"{text}\"\nhint: the rules are database, user, application_name, schema and tag:KEY")]
    Unknown { text: String },
    #[error("tenant rule \"{text}\" names no tag\nhint: write the tag's key behind the colon, as in tag:tenant")]
    TagWithoutKey { text: String },
}

impl FromStr for Rule {
    type Err = RuleError;

    fn from_str(text: &str) -> Result<Self, RuleError> {
        match text.trim() {
            "database" => Ok(Self::Database),
            "user" => Ok(Self::User),
            "application_name" => Ok(Self::ApplicationName),
            "schema" => Ok(Self::Schema),
            tag => match tag.strip_prefix("tag:").map(str::trim) {
                Some("") => Err(RuleError::TagWithoutKey { text: text.to_owned() }),
                Some(key) => Ok(Self::Tag { key: key.to_owned() }),
                None => Err(RuleError::Unknown { text: text.to_owned() }),
            },
        }
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

    /// Whether `search_path` matters.
    pub(super) fn follow_search_path(&self) -> bool {
        self.rules.contains(&Rule::Schema)
    }

    /// The tenant that the statement itself names, `search_path` having this tenant's schema first.
    pub(super) fn mark<'a>(
        &self,
        statement: &Statement<'a>,
        search_path_schema: Option<&'a str>,
    ) -> Option<Cow<'a, str>> {
        self.rules.iter().find_map(|rule| match rule {
            Rule::Database => named(statement.database),
            Rule::User => named(statement.user),
            Rule::ApplicationName => named(statement.application_name),
            Rule::Schema => relation_names(statement.sql)
                .into_iter()
                .filter_map(|relation| relation.schema)
                .find(|schema| is_tenant_schema(schema))
                .map(Cow::Owned)
                .or(search_path_schema.map(Cow::Borrowed)),
            Rule::Tag { key } => comment_tags(statement.sql)
                .into_iter()
                .find_map(|(found, value)| (found == *key && !value.is_empty()).then_some(Cow::Owned(value))),
        })
    }
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
    use super::*;

    #[test]
    fn rules_are_written_as_they_are_read() {
        for text in ["database", "user", "application_name", "schema", "tag:tenant"] {
            assert_eq!(text.parse::<Rule>().unwrap().to_string(), text);
        }
        assert_eq!(Rules::parse(["tag:t", "schema"]).unwrap().to_string(), "tag:t, schema");
        assert_eq!(Rules::parse([]).unwrap(), Rules::default());
    }

    #[test]
    fn an_unknown_rule_says_which_ones_exist() {
        let message = "tenants".parse::<Rule>().unwrap_err().to_string();
        assert!(message.starts_with("unknown tenant rule \"tenants\""), "{message}");
        assert!(message.contains("tag:KEY"), "{message}");
        assert!(matches!("tag: ".parse::<Rule>(), Err(RuleError::TagWithoutKey { .. })));
    }

    #[test]
    fn the_first_rule_that_names_a_tenant_wins() {
        let rules = Rules::parse(["application_name", "database"]).unwrap();
        let statement = Statement { database: "shop", user: "app", application_name: "acme", sql: "select 1" };
        assert_eq!(rules.mark(&statement, None).as_deref(), Some("acme"));
        let silent = Statement { application_name: "", ..statement };
        assert_eq!(rules.mark(&silent, None).as_deref(), Some("shop"));
    }
}
