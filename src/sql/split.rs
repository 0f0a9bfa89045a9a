//! Cutting a text into its statements.
//!
//! Takes a text as it was sent and gives slices of it. Must not know what the statements do.

use super::lex::{TokenKind, tokens};

/// The statements of a text, without the semicolons that part them and without whitespace around them. Statements that
/// hold nothing but comments are left out. A semicolon inside parentheses (`CREATE RULE ... DO (a; b)`) or inside a body
/// (`CREATE FUNCTION ... BEGIN ATOMIC a; b; END`) parts nothing.
pub fn split(text: &str) -> Vec<&str> {
    let mut statements = Vec::new();
    let mut statement = Extent::default();
    for token in tokens(text) {
        if token.is_symbol(";") && !statement.holds_semicolons() {
            statements.extend(statement.text_of(text));
            statement = Extent::default();
            continue;
        }
        statement.start.get_or_insert(token.start);
        statement.end = token.end();
        match token.kind {
            TokenKind::Comment => continue,
            TokenKind::Punctuation if token.text == "(" => statement.parentheses += 1,
            TokenKind::Punctuation if token.text == ")" => {
                statement.parentheses = statement.parentheses.saturating_sub(1);
            }
            TokenKind::Word => statement.follow_body(token.text),
            _ => {}
        }
        statement.has_token = true;
        statement.after_begin = token.is_word("begin");
    }
    statements.extend(statement.text_of(text));
    statements
}

/// How far the statement being read reaches, and what it is inside of.
#[derive(Default)]
struct Extent {
    start: Option<usize>,
    end: usize,
    has_token: bool,
    creates: bool,
    after_begin: bool,
    parentheses: u32,
    /// Open `BEGIN ATOMIC` and, within it, `CASE`: each waits for its `END`.
    body: u32,
}

impl Extent {
    fn holds_semicolons(&self) -> bool {
        self.parentheses > 0 || self.body > 0
    }

    fn follow_body(&mut self, word: &str) {
        if !self.has_token {
            self.creates = word.eq_ignore_ascii_case("create");
        } else if self.body == 0 {
            let opens = self.creates && self.after_begin && word.eq_ignore_ascii_case("atomic");
            self.body = u32::from(opens);
        } else if word.eq_ignore_ascii_case("case") {
            self.body += 1;
        } else if word.eq_ignore_ascii_case("end") {
            self.body -= 1;
        }
    }

    fn text_of<'a>(&self, text: &'a str) -> Option<&'a str> {
        self.start.filter(|_| self.has_token).map(|start| &text[start..self.end])
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn semicolons_part_statements_only_at_the_top() {
        assert_eq!(split("select ';'; -- a;b\n select 2 ;;"), ["select ';'", "-- a;b\n select 2"]);
        assert_eq!(split(" /* nothing; */ ; "), Vec::<&str>::new());
        let rule = "create rule r as on insert to t do (delete from a; delete from b)";
        assert_eq!(split(&format!("{rule};select 1")), [rule, "select 1"]);
    }

    #[test]
    fn a_sql_body_stays_in_one_piece() {
        let function =
            "CREATE FUNCTION f(a int) RETURNS int BEGIN ATOMIC SELECT CASE WHEN a > 0 THEN 1 END; SELECT 2; END";
        assert_eq!(split(&format!("{function};\nSELECT 3;")), [function, "SELECT 3"]);
        assert_eq!(split("BEGIN; SELECT 1; END"), ["BEGIN", "SELECT 1", "END"]);
    }

    proptest! {
        #[test]
        fn statements_put_together_again_split_the_same(
            text in "([a-z(){}'\";$\n-]| |/\\*|\\*/|begin atomic|case|end|create){0,30}"
        ) {
            let statements = split(&text);
            // The line break ends a line comment at the end of a statement.
            let joined = statements.join("\n;");
            prop_assert_eq!(split(&joined), statements);
        }
    }
}
