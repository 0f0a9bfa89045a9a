//! The value that a statement gives for one column: compared with it, or written into it.
//!
//! Takes a text and a column's name, and gives the literal or the parameter. It goes by the words around the column, not
//! by a grammar, and must not know which columns exist: an unqualified column belongs to the table if the text names the
//! table. The values of an INSERT without a list of columns are not found.

use std::fmt;
use std::str::FromStr;

use super::lex::{Token, TokenKind, tokens};
use super::operand::{Operand, behind_casts, operand};
use super::relations::{qualified_name, relations};
use super::words::Words;

/// INSERTs of one text that are looked at.
const INSERTS_MAX: usize = 16;

/// Columns of other tables that are followed because a join sets them equal.
const JOINS_MAX: usize = 8;

/// Tokens of one list that are looked at: PostgreSQL's tables have at most 1,600 columns.
const LIST_TOKENS_MAX: usize = 16_384;

/// A column as a person names it: `table.column` or `schema.table.column`, quoted where SQL would need it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ColumnName {
    schema: Option<String>,
    table: String,
    column: String,
}

/// Not `table.column` and not `schema.table.column`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoColumnName;

impl FromStr for ColumnName {
    type Err = NoColumnName;

    fn from_str(text: &str) -> Result<Self, NoColumnName> {
        let words: Vec<Token<'_>> = tokens(text).collect();
        let mut parts = Vec::new();
        for (at, word) in words.iter().enumerate() {
            match at % 2 {
                0 => parts.push(word.identifier().filter(|name| !name.is_empty()).ok_or(NoColumnName)?),
                _ if word.is_symbol(".") => {}
                _ => return Err(NoColumnName),
            }
        }
        // A dot at the end leaves an even number of words.
        match <[String; 3]>::try_from(parts) {
            Ok([schema, table, column]) if words.len() == 5 => Ok(Self { schema: Some(schema), table, column }),
            Ok(_) => Err(NoColumnName),
            Err(parts) => match <[String; 2]>::try_from(parts) {
                Ok([table, column]) if words.len() == 3 => Ok(Self { schema: None, table, column }),
                _ => Err(NoColumnName),
            },
        }
    }
}

impl fmt::Display for ColumnName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for part in self.schema.iter().chain([&self.table]) {
            write!(f, "{}.", quoted(part))?;
        }
        f.write_str(&quoted(&self.column))
    }
}

fn quoted(name: &str) -> String {
    let is_plain = tokens(name).next().is_some_and(|token| {
        token.kind == TokenKind::Word && token.text.len() == name.len() && !name.bytes().any(|b| b.is_ascii_uppercase())
    });
    if is_plain { name.to_owned() } else { format!("\"{}\"", name.replace('"', "\"\"")) }
}

/// What the text gives for the column: first what it inserts, else the first value that it compares with the column or
/// sets it to. Of several rows or elements, the first counts.
pub fn column_value(text: &str, column: &ColumnName) -> Option<Operand> {
    if !may_name(text, &column.column) {
        return None;
    }
    let words: Vec<Token<'_>> = tokens(text).without_comments().collect();
    let calls = relations(&words)
        .into_iter()
        .filter(|relation| column.is_of(relation.name.schema.as_deref(), &relation.name.name))
        .map(|relation| relation.alias.unwrap_or(relation.name.name))
        .collect();
    Search { words: Words(&words), column, calls }.find()
}

/// Whether a text can name the column at all, which most texts of other tables do not.
fn may_name(text: &str, column: &str) -> bool {
    let (text, column) = (text.as_bytes(), column.as_bytes());
    let has_escapes = column.contains(&b'"');
    has_escapes || text.windows(column.len()).any(|found| found.eq_ignore_ascii_case(column))
}

impl ColumnName {
    /// An unqualified table may be in any schema.
    fn is_of(&self, schema: Option<&str>, table: &str) -> bool {
        self.table == table && (schema.is_none() || self.schema.is_none() || self.schema.as_deref() == schema)
    }
}

struct Search<'a> {
    words: Words<'a>,
    column: &'a ColumnName,
    /// What the text calls the table.
    calls: Vec<String>,
}

impl Search<'_> {
    fn find(&self) -> Option<Operand> {
        if self.calls.is_empty() {
            return None;
        }
        let mut inserts = (0..self.words.0.len()).filter(|at| self.words.0[*at].is_word("into")).take(INSERTS_MAX);
        inserts.find_map(|at| self.inserted(at)).or_else(|| self.compared_anywhere()).or_else(|| self.joined())
    }

    fn compared_anywhere(&self) -> Option<Operand> {
        (0..self.words.0.len())
            .find_map(|at| self.compared(at).or_else(|| self.compared_backwards(at)).or_else(|| self.row(at)))
    }

    /// What is compared with a column of another table that has to equal the column: `ON a.column = b.other`.
    fn joined(&self) -> Option<Operand> {
        let others = (0..self.words.0.len()).filter_map(|at| {
            if let Some(end) = self.column_ref(at) {
                return self.words.is_symbol(end, "=").then(|| self.qualified_ref(end + 1)).flatten();
            }
            let (call, name, end) = self.qualified_ref(at)?;
            (self.words.is_symbol(end, "=") && self.column_ref(end + 1).is_some()).then_some((call, name, end))
        });
        others.take(JOINS_MAX).find_map(|(table, name, _)| {
            let calls = vec![table.clone()];
            let column = ColumnName { schema: None, table, column: name };
            Search { words: self.words, column: &column, calls }.compared_anywhere()
        })
    }

    /// `table.column` as the text calls the table, and the place behind it.
    fn qualified_ref(&self, at: usize) -> Option<(String, String, usize)> {
        let begins = at == 0 || !self.words.is_symbol(at - 1, ".");
        let is_whole = self.words.is_symbol(at + 1, ".")
            && !self.words.is_symbol(at + 3, ".")
            && !self.words.is_symbol(at + 3, "(");
        (begins && is_whole).then_some(())?;
        Some((self.words.0.get(at)?.identifier()?, self.words.0.get(at + 2)?.identifier()?, at + 3))
    }

    /// `INTO table [AS alias] (columns) VALUES (values)`, or `SELECT values`.
    fn inserted(&self, into: usize) -> Option<Operand> {
        let (name, mut at) = qualified_name(self.words.0, into + 1)?;
        if !self.column.is_of(name.schema.as_deref(), &name.name) {
            return None;
        }
        if self.words.is_word(at, &["as"]) {
            at += 2;
        }
        self.words.is_symbol(at, "(").then_some(())?;
        let (place, close) = self.place_in_list(at + 1, |at| self.is_name(at, &self.column.column))?;
        at = close + 1;
        if self.words.is_word(at, &["overriding"]) {
            at += 3;
        }
        let first = match () {
            () if self.words.is_word(at, &["values"]) && self.words.is_symbol(at + 1, "(") => at + 2,
            () if self.words.is_word(at, &["select"]) => at + 1,
            () => return None,
        };
        self.item(first, place)
    }

    /// `column = value`, `column IN (value, ...)`, `column = ANY (values)`, `column IS NOT DISTINCT FROM value`.
    fn compared(&self, at: usize) -> Option<Operand> {
        let end = self.column_ref(at)?;
        let (mut start, mut end) = self.with_cast_around(at, end);
        let mut enclosed = 0;
        while enclosed < 4 && start > 0 && self.words.is_symbol(start - 1, "(") && self.words.is_symbol(end, ")") {
            (start, end, enclosed) = (start - 1, end + 1, enclosed + 1);
        }
        const BEFORE_CONDITION: [&str; 8] = ["where", "and", "or", "on", "not", "having", "when", "set"];
        let is_argument = enclosed > 0
            && start > 0
            && self.words.is_identifier(start - 1)
            && !self.words.is_word(start - 1, &BEFORE_CONDITION);
        if is_argument {
            return None;
        }
        end = behind_casts(self.words.0, end);
        if self.words.is_symbol(end, "=") {
            if self.words.is_word(end + 1, &["any", "some"]) && self.words.is_symbol(end + 2, "(") {
                let is_array = !self.words.is_word(end + 3, &["array"]);
                return operand(self.words.0, end + 3).map(|(value, _)| Operand { is_array, ..value });
            }
            return self.whole(end + 1);
        }
        if self.words.is_word(end, &["in"]) && self.words.is_symbol(end + 1, "(") {
            return self.whole(end + 2);
        }
        let words = ["is", "not", "distinct", "from"];
        let is_not_distinct = words.iter().enumerate().all(|(ahead, word)| self.words.is_word(end + ahead, &[word]));
        if is_not_distinct { self.whole(end + 4) } else { None }
    }

    /// From where to where `CAST(column AS type)` goes around a reference to the column.
    fn with_cast_around(&self, start: usize, end: usize) -> (usize, usize) {
        let begins = start >= 2 && self.words.is_symbol(start - 1, "(") && self.words.is_word(start - 2, &["cast"]);
        let close =
            (end + 2..end + 8).find(|at| self.words.is_symbol(*at, ")")).filter(|_| self.words.is_word(end, &["as"]));
        match close.filter(|_| begins) {
            Some(close) => (start - 2, close + 1),
            None => (start, end),
        }
    }

    /// `value = column`.
    fn compared_backwards(&self, at: usize) -> Option<Operand> {
        let is_part = at > 0 && (self.words.0[at - 1].kind == TokenKind::Operator || self.words.is_symbol(at - 1, "."));
        if is_part {
            return None;
        }
        let (value, end) = operand(self.words.0, at)?;
        self.words.is_symbol(end, "=").then_some(())?;
        let behind = behind_casts(self.words.0, self.column_ref(end + 1)?);
        (!self.words.is_operator(behind)).then_some(value)
    }

    /// `(columns) = (values)`, `(columns) IN ((values), ...)`.
    fn row(&self, at: usize) -> Option<Operand> {
        self.words.is_symbol(at, "(").then_some(())?;
        let (place, close) = self.place_in_list(at + 1, |start| self.column_ref(start).is_some())?;
        let mut at = close + 1;
        at += match () {
            () if self.words.is_symbol(at, "=") => 1 + usize::from(self.words.is_word(at + 1, &["row"])),
            () if self.words.is_word(at, &["in"]) && self.words.is_symbol(at + 1, "(") => 2,
            () => return None,
        };
        self.words.is_symbol(at, "(").then_some(())?;
        self.item(at + 1, place)
    }

    /// The value at `at`, unless it is but a part of an expression.
    fn whole(&self, at: usize) -> Option<Operand> {
        let (value, end) = operand(self.words.0, at)?;
        (!self.words.is_operator(end)).then_some(value)
    }

    /// Behind the column, if `at` begins a reference to it.
    fn column_ref(&self, at: usize) -> Option<usize> {
        let column = self.column.column.as_str();
        let begins = self.words.is_identifier(at) && (at == 0 || !self.words.is_symbol(at - 1, "."));
        begins.then_some(())?;
        if !self.words.is_symbol(at + 1, ".") {
            return (self.is_name(at, column) && !self.words.is_symbol(at + 1, "(")).then_some(at + 1);
        }
        if !self.words.is_symbol(at + 3, ".") {
            let is_ours = self.is_name(at + 2, column) && self.calls.iter().any(|call| self.is_name(at, call));
            return is_ours.then_some(at + 3);
        }
        let is_ours = self.is_name(at + 4, column) && self.is_name(at + 2, &self.column.table);
        let is_schema = self.column.schema.as_ref().is_none_or(|schema| self.is_name(at, schema));
        (is_ours && is_schema).then_some(at + 5)
    }

    /// Which item of the list of names that starts at `start` is the column, and where the list closes. None if it holds
    /// anything but names.
    fn place_in_list(&self, start: usize, is_column: impl Fn(usize) -> bool) -> Option<(usize, usize)> {
        let (mut at, mut place) = (start, None);
        for index in 0..LIST_TOKENS_MAX {
            if place.is_none() && is_column(at) {
                place = Some(index);
            }
            self.words.is_identifier(at).then_some(())?;
            at += 1;
            while self.words.is_symbol(at, ".") {
                at += 2;
            }
            if self.words.is_symbol(at, ")") {
                return place.map(|place| (place, at));
            }
            self.words.is_symbol(at, ",").then_some(())?;
            at += 1;
        }
        None
    }

    /// The value of an item of the list whose first item begins at `first`.
    fn item(&self, first: usize, place: usize) -> Option<Operand> {
        let (mut depth, mut index) = (0_usize, 0);
        for at in first..self.words.0.len().min(first + LIST_TOKENS_MAX) {
            if index == place {
                return self.whole(at);
            }
            let token = self.words.0[at];
            if token.is_symbol("(") || token.is_symbol("[") {
                depth += 1;
            } else if token.is_symbol(")") || token.is_symbol("]") {
                depth = depth.checked_sub(1)?;
            } else if depth == 0 && token.is_symbol(",") {
                index += 1;
            }
        }
        None
    }

    /// Whether the token at `at` is this identifier.
    fn is_name(&self, at: usize, name: &str) -> bool {
        self.words.0.get(at).is_some_and(|token| match token.kind {
            TokenKind::Word => token.text.bytes().map(|byte| byte.to_ascii_lowercase()).eq(name.bytes()),
            _ => token.identifier().is_some_and(|identifier| identifier == name),
        })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use proptest::prelude::*;

    use super::super::operand::OperandValue;
    use super::*;

    fn value(column: &str, text: &str) -> Option<String> {
        column_value(text, &column.parse().unwrap()).map(|operand| match operand.value {
            OperandValue::Literal(value) if operand.is_array => format!("array {value}"),
            OperandValue::Literal(value) => value,
            OperandValue::Parameter(number) if operand.is_array => format!("array ${number}"),
            OperandValue::Parameter(number) => format!("${number}"),
        })
    }

    fn assert_values(cases: &[(&str, Option<&str>)]) {
        for (text, expected) in cases {
            assert_eq!(value("accounts.tenant_id", text).as_deref(), *expected, "{text}");
        }
    }

    #[test]
    fn columns_are_named_as_in_sql() {
        for text in ["accounts.tenant_id", "billing.accounts.tenant_id", "\"Big Co\".\"T\".\"a\"\"b\""] {
            assert_eq!(text.parse::<ColumnName>().unwrap().to_string(), text);
        }
        assert_eq!("Accounts.Tenant_Id".parse::<ColumnName>().unwrap().to_string(), "accounts.tenant_id");
        for text in ["", "a", "a.", ".a", "a.b.", "a.b.c.d", "a b", "a.b c", "a.1", "a.\"\""] {
            assert_eq!(text.parse::<ColumnName>(), Err(NoColumnName), "{text}");
        }
    }

    #[test]
    fn what_is_compared_with_the_column() {
        assert_values(&[
            ("SELECT 1 FROM accounts WHERE tenant_id = 42 AND x = 1", Some("42")),
            ("select 1 from accounts where x = 1 and $1 = tenant_id", Some("$1")),
            ("SELECT 1 FROM Accounts AS a WHERE (a.\"tenant_id\") = $2::uuid", Some("$2")),
            ("SELECT 1 FROM orders o JOIN public.accounts a ON a.id = o.id WHERE a.tenant_id::text = 'x'", Some("x")),
            ("SELECT 1 FROM accounts WHERE accounts.tenant_id IN ($3, $4)", Some("$3")),
            ("SELECT 1 FROM accounts WHERE tenant_id = ANY($1)", Some("array $1")),
            ("SELECT 1 FROM accounts WHERE tenant_id = ANY('{7,8}'::int[])", Some("array {7,8}")),
            ("SELECT 1 FROM accounts WHERE tenant_id = ANY(ARRAY[7,8])", Some("7")),
            ("SELECT 1 FROM accounts WHERE tenant_id IS NOT DISTINCT FROM $1", Some("$1")),
            ("SELECT 1 FROM accounts WHERE ((tenant_id = CAST('x' AS uuid)))", Some("x")),
            ("SELECT 1 FROM accounts a WHERE (CAST(a.tenant_id AS character varying)) = $4", Some("$4")),
            ("DELETE FROM accounts a USING b WHERE b.id = a.id AND a.tenant_id = -1", Some("-1")),
            ("UPDATE accounts SET tenant_id = $1 WHERE id = $2", Some("$1")),
            ("UPDATE accounts SET (id, tenant_id) = ($1, $2)", Some("$2")),
            ("SELECT 1 FROM accounts WHERE (id, tenant_id) IN (($1, $2), ($3, $4))", Some("$2")),
            ("SELECT 1 FROM orders WHERE account IN (SELECT id FROM accounts WHERE tenant_id = 9)", Some("9")),
        ]);
    }

    #[test]
    fn what_is_inserted_into_the_column() {
        assert_values(&[
            ("INSERT INTO accounts (id, tenant_id) VALUES (1, 'a'), (2, 'b')", Some("a")),
            ("INSERT INTO public.accounts AS x (id, \"tenant_id\", y) VALUES (f(1, 2), $2, now())", Some("$2")),
            ("INSERT INTO accounts (tenant_id) OVERRIDING USER VALUE VALUES (DEFAULT)", None),
            ("INSERT INTO accounts (id, tenant_id) SELECT id, $1 FROM b", Some("$1")),
            ("INSERT INTO accounts VALUES (1, 2)", None),
            ("INSERT INTO log (tenant_id) VALUES (1)", None),
            ("WITH n AS (INSERT INTO accounts (tenant_id) VALUES (5) RETURNING id) SELECT * FROM n", Some("5")),
        ]);
    }

    #[test]
    fn what_a_join_sets_equal_to_the_column() {
        assert_values(&[
            ("SELECT 1 FROM accounts a JOIN orders o ON o.tenant = a.tenant_id WHERE o.tenant = $1", Some("$1")),
            ("SELECT 1 FROM accounts a, orders o WHERE a.tenant_id = o.tenant_id AND o.tenant_id IN (7, 8)", Some("7")),
            ("DELETE FROM orders o USING accounts WHERE accounts.tenant_id = o.t AND $2 = o.t", Some("$2")),
            ("SELECT 1 FROM accounts a JOIN orders o ON o.id = a.id WHERE o.tenant = 5", None),
            ("SELECT 1 FROM accounts a JOIN orders o ON o.tenant > a.tenant_id WHERE o.tenant = 5", None),
        ]);
    }

    #[test]
    fn what_only_looks_like_it() {
        assert_values(&[
            ("SELECT 1 FROM orders WHERE tenant_id = 42", None),
            ("SELECT 1 FROM orders o, accounts a WHERE o.tenant_id = 42", None),
            ("SELECT 1 FROM accounts WHERE tenant_id <> 42 AND tenant_id > 1", None),
            ("SELECT 1 FROM accounts WHERE tenant_id NOT IN (1)", None),
            ("SELECT 1 FROM accounts a JOIN b ON a.tenant_id = b.tenant_id", None),
            ("SELECT 1 FROM accounts WHERE tenant_id = $1 + 1", None),
            ("SELECT 1 FROM accounts WHERE coalesce(tenant_id) = 1", None),
            ("SELECT 1 FROM accounts WHERE tenant_id = (SELECT 1)", None),
            ("SELECT 1 FROM accounts WHERE tenant_id = NULL", None),
            ("SELECT 'tenant_id = 1' FROM accounts -- tenant_id = 1", None),
            ("SELECT 1 FROM x.accounts WHERE y.accounts.tenant_id = 1", Some("1")),
        ]);
        assert_eq!(value("x.accounts.tenant_id", "SELECT 1 FROM y.accounts WHERE tenant_id = 1"), None);
        assert_eq!(value("x.accounts.tenant_id", "SELECT 1 FROM accounts WHERE tenant_id = 1").as_deref(), Some("1"));
    }

    proptest! {
        #[test]
        fn any_text_can_be_read(
            text in "\\PC*|(from|into|t|c|\\.|,|\\(|\\)|=|in|any|array|\\[|\\]|values|::|cast|as|select|1|'x'|\\$1| ){0,24}"
        ) {
            column_value(&text, &"t.c".parse().unwrap());
        }
    }
}
