//! The rows that a text touches, as far as its words show them: a table, and what its columns are compared with or given.
//!
//! Takes a text and gives tables with literals and parameters. It goes by the words around a table's name, not by a grammar:
//! conditions that are not `column = value`, joined by AND, are passed over, and an OR leaves nothing to go by. Must not
//! know which columns exist.

use super::lex::{Token, tokens};
use super::operand::{Operand, behind_casts, operand};
use super::relations::{alias, qualified_name, skip_noise};
use super::words::Words;

/// Tables of one text that are looked at, each row of an INSERT being one.
const ROWS_MAX: usize = 16;

/// Conditions of one table, and columns of one inserted row, that are looked at.
const COLUMNS_MAX: usize = 16;

/// What a statement does to the rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RowAccess {
    Read,
    /// Changes, deletes or locks rows that are there.
    Write,
    Insert,
}

/// Rows of one table: those whose columns have all of these values.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TouchedRows {
    /// Without its schema, as PostgreSQL folds it.
    pub table: String,
    pub access: RowAccess,
    pub columns: Vec<(String, Operand)>,
}

/// The rows that a text touches, in the order in which it names their tables. Tables of which no row is shown are left out.
pub fn touched_rows(text: &str) -> Vec<TouchedRows> {
    let words: Vec<Token<'_>> = tokens(text).without_comments().collect();
    let reading = Reading { words: Words(&words) };
    let mut rows = Vec::new();
    for at in 0..words.len() {
        if rows.len() >= ROWS_MAX {
            break;
        }
        reading.rows_named_behind(at, &mut rows);
    }
    rows.truncate(ROWS_MAX);
    rows
}

struct Reading<'a> {
    words: Words<'a>,
}

/// A table where a statement names it.
struct Named {
    table: String,
    /// What its columns may be qualified with.
    call: String,
    /// The place behind the name and the alias.
    end: usize,
}

impl Reading<'_> {
    /// Takes in the table behind the token at `at`, if that is a word that a table follows.
    fn rows_named_behind(&self, at: usize, rows: &mut Vec<TouchedRows>) {
        let previous_is = |words: &[&str]| at > 0 && self.words.is_word(at - 1, words);
        let access = match () {
            () if self.words.is_word(at, &["into"]) && previous_is(&["insert"]) => return self.inserted(at + 1, rows),
            () if self.words.is_word(at, &["update"]) && !previous_is(&["for", "key", "on", "do"]) => RowAccess::Write,
            () if self.words.is_word(at, &["from"]) && previous_is(&["delete"]) => RowAccess::Write,
            () if self.words.is_word(at, &["from", "join"]) && !previous_is(&["distinct"]) => RowAccess::Read,
            () => return,
        };
        let Some(named) = self.named(at + 1) else { return };
        let (columns, locks) = self.conditions(&named, !self.words.is_word(at, &["join"]));
        if !columns.is_empty() {
            let access = if locks { RowAccess::Write } else { access };
            rows.push(TouchedRows { table: named.table, access, columns });
        }
    }

    fn named(&self, at: usize) -> Option<Named> {
        let (name, mut end) = qualified_name(self.words.0, skip_noise(self.words.0, at))?;
        if self.words.is_symbol(end, "(") {
            return None;
        }
        if self.words.is_symbol(end, "*") {
            end += 1;
        }
        let alias = alias(self.words.0, end);
        if alias.is_some() {
            end += 1 + usize::from(self.words.is_word(end, &["as"]));
        }
        Some(Named { call: alias.unwrap_or_else(|| name.name.clone()), table: name.name, end })
    }

    /// What the WHERE behind a table compares its columns with, and whether the statement locks what it finds. A column
    /// without the name of a table is the table's where that is alone.
    fn conditions(&self, named: &Named, mut is_alone: bool) -> (Vec<(String, Operand)>, bool) {
        let mut columns = Vec::new();
        let (mut depth, mut in_where, mut begins) = (0_usize, false, false);
        // A column that the statement sets is no mark of the row: it has another value afterwards.
        let (mut in_set, mut set) = (false, Vec::new());
        for at in named.end..self.words.0.len() {
            let token = self.words.0[at];
            if depth == 0 {
                if token.is_symbol(";") || token.is_symbol(")") {
                    break;
                }
                if in_where && token.is_word("or") {
                    return (Vec::new(), false);
                }
                if token.is_word("for") && self.words.is_word(at + 1, &["update", "no", "share", "key"]) {
                    return (columns, true);
                }
                if begins && columns.len() < COLUMNS_MAX {
                    let found = self.comparison(at, &named.call, is_alone);
                    columns.extend(found.filter(|(column, _)| !set.contains(column)));
                }
                in_set = token.is_word("set") || (in_set && !token.is_any_word(&["where", "from", "returning"]));
                if in_set && (token.is_word("set") || token.is_symbol(",")) && self.words.is_symbol(at + 2, "=") {
                    set.extend(self.words.identifier(at + 1));
                }
                is_alone &=
                    in_where || in_set || !(token.is_symbol(",") || token.is_any_word(&["join", "from", "using"]));
                in_where = token.is_word("where") || (in_where && !token.is_any_word(&BEHIND_WHERE));
                begins = in_where && token.is_any_word(&["where", "and"]);
            }
            if token.is_symbol("(") {
                depth += 1;
            } else if token.is_symbol(")") {
                depth -= 1;
            }
        }
        (columns, false)
    }

    /// `column = value` or `value = column`, and no more than that up to the next condition.
    fn comparison(&self, at: usize, call: &str, is_alone: bool) -> Option<(String, Operand)> {
        let forwards = self.column(at, call, is_alone).and_then(|(column, end)| {
            let end = behind_casts(self.words.0, end);
            self.words.is_symbol(end, "=").then_some(())?;
            let (value, end) = operand(self.words.0, end + 1)?;
            Some((column, value, end))
        });
        let (column, value, end) = forwards.or_else(|| {
            let (value, end) = operand(self.words.0, at)?;
            self.words.is_symbol(end, "=").then_some(())?;
            let (column, end) = self.column(end + 1, call, is_alone)?;
            Some((column, value, behind_casts(self.words.0, end)))
        })?;
        let token = self.words.0.get(end);
        let is_whole = token.is_none_or(|token| {
            token.is_word("and") || token.is_any_word(&BEHIND_WHERE) || token.is_symbol(";") || token.is_symbol(")")
        });
        (is_whole && !value.is_array).then_some((column, value))
    }

    /// `column`, where no other table can have it, or `call.column`; and the place behind it.
    fn column(&self, at: usize, call: &str, is_alone: bool) -> Option<(String, usize)> {
        let first = self.words.identifier(at)?;
        if !self.words.is_symbol(at + 1, ".") {
            return is_alone.then_some((first, at + 1));
        }
        (first == call).then_some((self.words.identifier(at + 2)?, at + 3))
    }

    /// `INTO table [AS alias] (columns) VALUES (values), ...`
    fn inserted(&self, at: usize, rows: &mut Vec<TouchedRows>) {
        let Some((name, mut at)) = qualified_name(self.words.0, at) else { return };
        if self.words.is_word(at, &["as"]) {
            at += 2;
        }
        if !self.words.is_symbol(at, "(") {
            return;
        }
        let mut names = Vec::new();
        at += 1;
        while let Some(column) = self.words.identifier(at) {
            names.push(column);
            at += 1 + usize::from(self.words.is_symbol(at + 1, ","));
        }
        at += 1;
        if self.words.is_word(at, &["overriding"]) {
            at += 3;
        }
        if !self.words.is_word(at, &["values"]) {
            return;
        }
        while rows.len() < ROWS_MAX && self.words.is_symbol(at + 1, "(") {
            let (values, close) = self.items(at + 2);
            let given = names.iter().cloned().zip(values).filter_map(|(column, value)| Some((column, value?)));
            let columns: Vec<_> = given.take(COLUMNS_MAX).collect();
            if !columns.is_empty() {
                rows.push(TouchedRows { table: name.name.clone(), access: RowAccess::Insert, columns });
            }
            at = close + 1;
            if !self.words.is_symbol(at, ",") {
                break;
            }
        }
    }

    /// The items of a list up to its closing parenthesis: a value, or none for an expression.
    fn items(&self, mut at: usize) -> (Vec<Option<Operand>>, usize) {
        let mut items = Vec::new();
        let (mut depth, mut first) = (0_usize, at);
        while let Some(token) = self.words.0.get(at) {
            let closes = depth == 0 && token.is_symbol(")");
            if closes || (depth == 0 && token.is_symbol(",")) {
                let value = operand(self.words.0, first).filter(|(_, end)| *end == at).map(|(value, _)| value);
                items.push(value);
                first = at + 1;
            }
            if closes {
                break;
            }
            if token.is_symbol("(") || token.is_symbol("[") {
                depth += 1;
            } else if token.is_symbol(")") || token.is_symbol("]") {
                depth = depth.saturating_sub(1);
            }
            at += 1;
        }
        (items, at)
    }
}

/// Words that end the conditions of a WHERE.
const BEHIND_WHERE: [&str; 13] = [
    "group",
    "order",
    "having",
    "limit",
    "offset",
    "fetch",
    "for",
    "window",
    "union",
    "intersect",
    "except",
    "returning",
    "on",
];

#[cfg(test)]
mod tests {
    use super::super::operand::OperandValue;
    use super::*;

    fn told(text: &str) -> Vec<String> {
        let value = |operand: &Operand| match &operand.value {
            OperandValue::Literal(text) => text.clone(),
            OperandValue::Parameter(number) => format!("${number}"),
        };
        let row = |row: TouchedRows| {
            let columns: Vec<_> =
                row.columns.iter().map(|(name, operand)| format!("{name}={}", value(operand))).collect();
            format!("{:?} {} {}", row.access, row.table, columns.join(" "))
        };
        touched_rows(text).into_iter().map(row).collect()
    }

    #[test]
    fn an_update_touches_the_rows_of_its_where() {
        let update = "UPDATE pgbench_accounts SET abalance = abalance + $1 WHERE aid = $2;";
        assert_eq!(told(update), ["Write pgbench_accounts aid=$2"]);
        assert_eq!(told("UPDATE ONLY s.t AS a SET b = 1 WHERE a.id = 7 AND c = 'x' RETURNING d"), ["Write t id=7 c=x"]);
        assert_eq!(told("delete from t where 5 = id and b > 3 and c between 1 and 2"), ["Write t id=5"]);
        assert_eq!(told("UPDATE t SET a = 1"), [""; 0]);
        let optimistic = "UPDATE t SET b = f(1, c), version = 2 WHERE id = 5 AND version = 1";
        assert_eq!(told(optimistic), ["Write t id=5"], "the version is another one afterwards");
    }

    #[test]
    fn a_read_that_locks_is_as_good_as_a_write() {
        assert_eq!(told("SELECT a FROM t WHERE id = 1 LIMIT 1"), ["Read t id=1"]);
        assert_eq!(told("SELECT a FROM t WHERE id = 1 FOR UPDATE"), ["Write t id=1"]);
        assert_eq!(told("SELECT a FROM t x WHERE x.id = $1 ORDER BY b FOR NO KEY UPDATE"), ["Write t id=$1"]);
    }

    #[test]
    fn an_or_and_an_expression_show_no_row() {
        assert_eq!(told("SELECT a FROM t WHERE id = 1 OR b = 2"), [""; 0]);
        assert_eq!(told("SELECT a FROM t WHERE id = 1 + 1"), [""; 0]);
        assert_eq!(told("SELECT a FROM t WHERE id = 1 AND (b = 2 OR c = 3)"), ["Read t id=1"]);
        assert_eq!(told("SELECT a FROM t WHERE id = ANY($1)"), [""; 0]);
    }

    #[test]
    fn each_table_of_a_join_has_its_own_conditions() {
        let join = "SELECT 1 FROM a JOIN b ON a.id = b.a WHERE a.id = 3 AND b.x = 4 AND y = 5";
        assert_eq!(told(join), ["Read a id=3", "Read b x=4"]);
        assert_eq!(told("SELECT 1 FROM a, b WHERE a.id = 3 AND x = 4"), ["Read a id=3"]);
    }

    #[test]
    fn an_inserted_row_is_told_by_its_values() {
        let insert = "INSERT INTO h (tid, bid, mtime) VALUES ($1, 2, CURRENT_TIMESTAMP), (f(3), 4, now())";
        assert_eq!(told(insert), ["Insert h tid=$1 bid=2", "Insert h bid=4"]);
        assert_eq!(told("INSERT INTO h SELECT 1"), [""; 0]);
    }

    #[test]
    fn a_statement_inside_another_is_one_of_its_own() {
        let nested = "WITH d AS (DELETE FROM q WHERE id = 1 RETURNING *) SELECT * FROM d WHERE k = 2";
        assert_eq!(told(nested), ["Write q id=1", "Read d k=2"]);
        assert_eq!(
            told("UPDATE t SET a = (SELECT max(b) FROM u WHERE c = 9) WHERE id = 4"),
            ["Write t id=4", "Read u c=9"]
        );
    }
}
