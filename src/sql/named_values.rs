//! The values that a text gives to columns: each literal and parameter with the column that it is compared with or written to.
//!
//! Takes a text and gives, in order, its values that may be those of a column, with where they stand. It goes by the words
//! around a value, not by a grammar, and leaves out what is no value of a row: limits, places in ORDER BY, sizes of types, and
//! what is computed with. Must not know which columns exist.

use std::ops::Range;
use std::rc::Rc;

use super::lex::{Token, TokenKind, tokens};
use super::relations::{Relation, qualified_name, relations};
use super::words::Words;

/// Values of one text that are looked at.
const VALUES_MAX: usize = 4_096;

/// A literal or a parameter, and what it is a value of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamedValue {
    pub place: ValuePlace,
    /// As PostgreSQL folds it; none where the words do not show it, such as an argument of a function.
    pub column: Option<String>,
    /// The tables that may have the column, without their schemas: one where that is sure.
    pub tables: Rc<[String]>,
}

/// Where a value stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ValuePlace {
    /// Bytes of the text: a number without its sign, or a string with its quotes.
    Literal(Range<usize>),
    /// Counts from 1, as in `$1`.
    Parameter(usize),
}

/// The values of a text, of all its statements.
pub fn named_values(text: &str) -> Vec<NamedValue> {
    let words: Vec<Token<'_>> = tokens(text).without_comments().collect();
    let mut values = Vec::new();
    for statement in words.split(|token| token.is_symbol(";")) {
        Reading::new(statement).read(&mut values);
        if values.len() >= VALUES_MAX {
            break;
        }
    }
    values.truncate(VALUES_MAX);
    values
}

/// The table that a statement writes: the last one that INSERT, UPDATE, DELETE or MERGE names outside of all parentheses.
pub fn written_table(statement: &str) -> Option<String> {
    let words: Vec<Token<'_>> = tokens(statement).without_comments().collect();
    let mut depth = 0_i32;
    let mut table = None;
    for (at, token) in words.iter().enumerate() {
        depth += i32::from(token.is_symbol("(")) - i32::from(token.is_symbol(")"));
        let behind = |words_before: &[&str]| at > 0 && words[at - 1].is_any_word(words_before);
        let is_target = (token.is_word("into") && behind(&["insert", "merge"]))
            || (token.is_word("from") && behind(&["delete"]))
            || (token.is_word("update") && !behind(&["for", "key", "on", "do", "then"]));
        if depth == 0 && is_target {
            let name = qualified_name(&words, super::relations::skip_noise(&words, at + 1));
            table = name.map(|(name, _)| name.name).or(table);
        }
    }
    table
}

/// What one pair of parentheses holds.
#[derive(Clone, Default)]
struct Level {
    /// The words since the last of these name no column's value: ORDER BY, LIMIT and their like.
    is_out: bool,
    kind: Kind,
    /// Commas so far.
    item: usize,
}

#[derive(Clone, Default)]
enum Kind {
    #[default]
    Clauses,
    /// `column IN (...)`.
    In(Option<Column>),
    /// A row of VALUES.
    Row,
    /// Parentheses around a value or a condition.
    Grouping,
    /// Arguments of a function, a row, an array.
    Arguments,
    /// The size of a type.
    Size,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Column {
    name: String,
    qualifier: Option<String>,
}

struct Reading<'a> {
    words: Words<'a>,
    relations: Vec<Relation>,
    /// All tables, for a column that no table's name stands before.
    tables: Rc<[String]>,
    /// Of the last INSERT that was met: its table and its columns.
    inserted: Option<(Rc<[String]>, Vec<String>)>,
}

impl<'a> Reading<'a> {
    fn new(statement: &'a [Token<'a>]) -> Self {
        let relations = relations(statement);
        let mut tables: Vec<String> = relations.iter().map(|relation| relation.name.name.clone()).collect();
        tables.sort_unstable();
        tables.dedup();
        Self { words: Words(statement), relations, tables: tables.into(), inserted: None }
    }

    fn read(&mut self, values: &mut Vec<NamedValue>) {
        let mut levels = vec![Level::default()];
        for at in 0..self.words.0.len() {
            if values.len() >= VALUES_MAX {
                return;
            }
            let token = self.words.0[at];
            if token.is_symbol("(") || token.is_symbol("[") {
                let kind = self.kind_of(at, &levels);
                levels.push(Level { kind, ..Level::default() });
                continue;
            }
            if (token.is_symbol(")") || token.is_symbol("]")) && levels.len() > 1 {
                levels.pop();
                continue;
            }
            if token.is_word("into") && at > 0 && self.words.is_word(at - 1, &["insert"]) {
                self.inserted = self.columns_behind(at + 1);
            }
            if let Some(level) = levels.last_mut() {
                level.item += usize::from(token.is_symbol(","));
                level.is_out = match token.kind {
                    TokenKind::Word if token.is_any_word(&OUT) => true,
                    TokenKind::Word if token.is_any_word(&BACK_IN) => false,
                    _ => level.is_out,
                };
            }
            if let Some(place) = place_of(token) {
                values.extend(self.value(at, place, &levels));
            }
        }
    }

    /// What the parenthesis at `at` opens.
    fn kind_of(&self, at: usize, levels: &[Level]) -> Kind {
        let Some(before) = at.checked_sub(1) else { return Kind::Grouping };
        let outer = levels.last().map(|level| &level.kind);
        let token = self.words.0[before];
        if self.words.is_word(at + 1, &["select", "with", "insert", "update", "delete", "values", "merge"]) {
            return Kind::Clauses;
        }
        if token.is_word("in") {
            let column_end = before - usize::from(before > 0 && self.words.is_word(before - 1, &["not"]));
            return Kind::In(self.column_before(column_end));
        }
        if token.is_word("values") {
            return Kind::Row;
        }
        // Rows of VALUES but the first, and parentheses around a value of a list.
        if token.is_symbol(",") && self.is_behind_row(before) {
            return Kind::Row;
        }
        if token.is_symbol("(") || token.is_symbol(",") || token.kind == TokenKind::Operator {
            return match outer {
                Some(Kind::Row | Kind::Arguments | Kind::Size | Kind::In(_)) => Kind::Arguments,
                _ => Kind::Grouping,
            };
        }
        if (before > 0 && self.words.is_symbol(before - 1, "::")) || self.words.is_word(before, &["varying"]) {
            return Kind::Size;
        }
        if token.is_any_word(&["and", "or", "not", "where", "on", "when", "having", "then", "else"]) {
            return Kind::Grouping;
        }
        Kind::Arguments
    }

    /// Whether the comma at `at` parts rows of VALUES: what it follows began behind VALUES or behind such a comma.
    fn is_behind_row(&self, comma: usize) -> bool {
        let mut depth = 0_usize;
        let mut at = comma;
        // Of a long list only the row before is looked at: its own kind was found the same way.
        while let Some(before) = at.checked_sub(1) {
            at = before;
            if self.words.is_symbol(at, ")") {
                depth += 1;
            } else if self.words.is_symbol(at, "(") {
                depth = match depth.checked_sub(1) {
                    Some(depth) => depth,
                    None => return false,
                };
                if depth == 0 {
                    return at > 0 && (self.words.is_word(at - 1, &["values"]) || self.words.is_symbol(at - 1, ","));
                }
            } else if depth == 0 {
                return false;
            }
        }
        false
    }

    /// The value at `at` with its column; none where it is no value of a row.
    fn value(&self, at: usize, place: ValuePlace, levels: &[Level]) -> Option<NamedValue> {
        let level = levels.last()?;
        let is_interval = at > 0 && self.words.is_word(at - 1, &["interval"]);
        if level.is_out || is_interval || matches!(level.kind, Kind::Size) || self.is_computed_with(at) {
            return None;
        }
        let named = |column: Column| {
            let tables = self.tables_of(&column);
            NamedValue { place: place.clone(), column: Some(column.name), tables }
        };
        if let Some(column) = self.compared_with(at) {
            return Some(named(column));
        }
        let none = || NamedValue { place: place.clone(), column: None, tables: Rc::clone(&self.tables) };
        Some(match &level.kind {
            Kind::In(Some(column)) => named(column.clone()),
            Kind::Row => match &self.inserted {
                Some((tables, columns)) => {
                    let column = columns.get(level.item).cloned();
                    NamedValue { place, column, tables: Rc::clone(tables) }
                }
                None => none(),
            },
            _ => none(),
        })
    }

    /// `value + 1`, `a || value`, `-value`: what is computed with is no value of a column.
    fn is_computed_with(&self, at: usize) -> bool {
        let computes = |at: usize| {
            self.words.is_operator(at) && !self.words.0[at].is_symbol("::") && !is_comparison(&self.words.0[at])
        };
        computes(at + 1) || at.checked_sub(1).is_some_and(computes)
    }

    /// The column of `column = value`, `value = column`, `column BETWEEN value AND value`, with parentheses or CAST around the
    /// value.
    fn compared_with(&self, at: usize) -> Option<Column> {
        let mut first = at;
        while first > 0 && self.words.is_symbol(first - 1, "(") {
            first -= 1 + usize::from(first > 1 && self.words.is_word(first - 2, &["cast"]));
        }
        let before = first.checked_sub(1);
        if let Some(before) = before {
            if is_comparison(&self.words.0[before]) {
                return self.column_before(before);
            }
            if self.words.is_word(before, &["between", "like"]) {
                let column_end = before - usize::from(before > 0 && self.words.is_word(before - 1, &["not"]));
                return self.column_before(column_end);
            }
            // column BETWEEN value AND value
            if before >= 2 && self.words.is_word(before, &["and"]) && self.words.is_word(before - 2, &["between"]) {
                return self.column_before(before - 2);
            }
        }
        let end = super::operand::behind_casts(self.words.0, at + 1);
        (first == at && self.words.0.get(end).is_some_and(is_comparison)).then(|| self.column_at(end + 1)).flatten()
    }

    /// The column whose name, with casts, ends before `end`.
    fn column_before(&self, end: usize) -> Option<Column> {
        let mut last = end.checked_sub(1)?;
        while last >= 2 && self.words.is_symbol(last - 1, "::") {
            last -= 2;
        }
        let name = self.column_name(last)?;
        let is_qualified = last >= 2 && self.words.is_symbol(last - 1, ".");
        let qualifier = if is_qualified { self.words.identifier(last - 2) } else { None };
        Some(Column { name, qualifier })
    }

    /// The column whose name begins at `at`.
    fn column_at(&self, at: usize) -> Option<Column> {
        let mut last = at;
        while self.words.is_symbol(last + 1, ".") {
            last += 2;
        }
        let name = self.column_name(last).filter(|_| !self.words.is_symbol(last + 1, "("))?;
        let qualifier = last.checked_sub(2).filter(|before| *before >= at).and_then(|at| self.words.identifier(at));
        Some(Column { name, qualifier })
    }

    fn column_name(&self, at: usize) -> Option<String> {
        let token = self.words.0.get(at)?;
        let is_keyword = token.is_any_word(&["end", "null", "true", "false", "current_date", "current_timestamp"]);
        token.identifier().filter(|name| !is_keyword && !name.is_empty())
    }

    fn tables_of(&self, column: &Column) -> Rc<[String]> {
        let Some(qualifier) = &column.qualifier else { return Rc::clone(&self.tables) };
        let is_called = |relation: &&Relation| relation.alias.as_ref().unwrap_or(&relation.name.name) == qualifier;
        self.relations.iter().filter(is_called).map(|relation| relation.name.name.clone()).take(1).collect()
    }

    /// `table [AS alias] (columns)`
    fn columns_behind(&self, at: usize) -> Option<(Rc<[String]>, Vec<String>)> {
        let (name, mut at) = qualified_name(self.words.0, at)?;
        if self.words.is_word(at, &["as"]) {
            at += 2;
        }
        let mut columns = Vec::new();
        if self.words.is_symbol(at, "(") {
            at += 1;
            while let Some(column) = self.words.identifier(at) {
                columns.push(column);
                at += 1 + usize::from(self.words.is_symbol(at + 1, ","));
            }
        }
        Some((Rc::new([name.name]), columns))
    }
}

/// A literal that can be replaced by another, or a parameter.
fn place_of(token: Token<'_>) -> Option<ValuePlace> {
    match token.kind {
        TokenKind::Number => Some(ValuePlace::Literal(token.start..token.end())),
        // Those with a prefix or in dollars hold no ids.
        TokenKind::String if token.text.starts_with('\'') => Some(ValuePlace::Literal(token.start..token.end())),
        TokenKind::Parameter => token.text[1..].parse().ok().map(ValuePlace::Parameter),
        _ => None,
    }
}

fn is_comparison(token: &Token<'_>) -> bool {
    token.kind == TokenKind::Operator && ["=", "<>", "!=", "<", ">", "<=", ">="].contains(&token.text)
}

/// Behind these words stand no values of columns, until one of the others comes.
const OUT: [&str; 7] = ["limit", "offset", "fetch", "order", "group", "window", "tablesample"];
const BACK_IN: [&str; 12] =
    ["select", "from", "where", "set", "values", "having", "on", "and", "returning", "union", "except", "intersect"];

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
