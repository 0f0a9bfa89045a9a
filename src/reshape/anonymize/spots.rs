//! The places of a statement where values stand: literals, parameters, what SET sets, comments.
//!
//! Takes a text and gives its places in order, each with its role and with the reason where its value must stay. Must
//! not know what values are mapped to; the check goes by the same places.

use super::kept::{self, Kept, always, numbers};
use super::literal::{is_bits, read_string};
use super::syntax::{Clause, Frame, FrameKind, SetPlace, Statement, is_function_name};
use crate::sql::{Token, TokenKind, tokens};

/// What stands at a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    String,
    /// A date, perhaps with more behind it than a time of day: `date '2026-01-31 BC'`.
    Date,
    /// A regular expression.
    Pattern,
    /// A format of `format()`.
    Format,
    /// The body of a function or of DO, or a statement that one of these puts together.
    Body,
    Number,
    /// `$1` is 1.
    Parameter(usize),
    /// A word or string that is the value of a setting.
    SetWord,
    /// A word or string that names a user, where `SET ROLE` does.
    Name,
    Comment,
}

/// A place.
#[derive(Clone, Debug)]
pub(super) struct Spot<'a> {
    pub(super) role: Role,
    pub(super) token: Token<'a>,
    /// The parts of a string that stand on further lines.
    pub(super) rest: Vec<Token<'a>>,
    /// What UESCAPE names.
    pub(super) escape: Option<char>,
    /// The type that a parameter is cast to first, in lower case.
    pub(super) cast: Option<String>,
    pub(super) kept: Option<Kept>,
}

impl Spot<'_> {
    /// The value of a string, of all its parts.
    pub(super) fn string(&self) -> String {
        let mut value = read_string(self.token.text, self.escape).1;
        for part in &self.rest {
            // The parts are escaped as the first one is.
            let prefix = &self.token.text[..self.token.text.find('\'').unwrap_or_default()];
            value.push_str(&read_string(&format!("{prefix}{}", part.text), self.escape).1);
        }
        value
    }
}

/// The places of a text; `is_body` where it is the body of a function.
pub(super) fn spots(text: &str, is_body: bool) -> Vec<Spot<'_>> {
    let all: Vec<Token<'_>> = tokens(text).collect();
    let words = all.iter().copied().filter(|token| token.kind != TokenKind::Comment).collect();
    let mut scanner =
        Scanner { text, words, at: 0, frames: vec![Frame::default()], statement: Statement::default(), is_body };
    let mut found: Vec<Spot<'_>> = Vec::new();
    for token in all {
        if token.kind == TokenKind::Comment {
            let is_hint = token.text.starts_with("/*+");
            let kept = is_hint.then_some(always(kept::HINT));
            found.push(Spot { role: Role::Comment, token, rest: Vec::new(), escape: None, cast: None, kept });
            continue;
        }
        match scanner.take(token) {
            Taken::Nothing => {}
            Taken::Continuation => {
                // A comment may stand between the parts.
                let string = found.iter_mut().rev().find(|spot| spot.role != Role::Comment);
                string.into_iter().for_each(|spot| spot.rest.push(token));
            }
            Taken::Spot(role, kept) => {
                let escape = scanner.unicode_escape();
                let cast = scanner.type_names().into_iter().next().filter(|_| token.kind == TokenKind::Parameter);
                found.push(Spot { role, token, rest: Vec::new(), escape, cast, kept });
            }
        }
        scanner.at += 1;
    }
    found
}

enum Taken {
    Nothing,
    Spot(Role, Option<Kept>),
    /// A string that is the rest of the one before.
    Continuation,
}

struct Scanner<'a> {
    text: &'a str,
    /// All tokens but comments, and the place of the current one.
    words: Vec<Token<'a>>,
    at: usize,
    frames: Vec<Frame>,
    statement: Statement,
    is_body: bool,
}

impl<'a> Scanner<'a> {
    fn back(&self, count: usize) -> Option<&Token<'a>> {
        self.words.get(self.at.checked_sub(count)?)
    }

    fn ahead(&self, count: usize) -> Option<&Token<'a>> {
        self.words.get(self.at + count)
    }

    fn is_back(&self, count: usize, word: &str) -> bool {
        self.back(count).is_some_and(|token| token.is_word(word))
    }

    /// The innermost frame; the outermost one is never closed.
    fn top(&mut self) -> &mut Frame {
        if self.frames.is_empty() {
            self.frames.push(Frame::default());
        }
        let last = self.frames.len() - 1;
        &mut self.frames[last]
    }

    fn take(&mut self, token: Token<'a>) -> Taken {
        let is_outermost = self.frames.len() == 1;
        match token.kind {
            TokenKind::Punctuation => self.punctuation(token.text),
            TokenKind::Word | TokenKind::QuotedIdentifier => {
                if let Some(taken) = self.set_word(&token) {
                    return taken;
                }
                self.word(&token);
            }
            TokenKind::Operator => {
                self.statement.set.operator(token.text);
            }
            TokenKind::String if self.continues_string() => return Taken::Continuation,
            TokenKind::String | TokenKind::Number | TokenKind::Parameter => {
                let kept = self.kept(&token, is_outermost);
                return Taken::Spot(self.role(&token), kept);
            }
            TokenKind::Comment | TokenKind::Unknown => {}
        }
        Taken::Nothing
    }

    fn punctuation(&mut self, symbol: &str) {
        match symbol {
            "(" | "[" => {
                let frame = self.opened(symbol);
                self.frames.push(frame);
            }
            ")" | "]" if self.frames.len() > 1 => {
                self.frames.pop();
            }
            "," => self.top().argument += 1,
            ";" => {
                self.statement = Statement::default();
                self.frames.truncate(1);
                *self.top() = Frame::default();
            }
            "." => self.statement.set.dot(),
            _ => {}
        }
    }

    /// What an opening parenthesis or bracket begins.
    fn opened(&mut self, symbol: &str) -> Frame {
        let clause = self.top().clause;
        let inherited = Frame { clause, ..Frame::default() };
        let Some(before) = self.back(1).copied() else { return inherited };
        let is_name = matches!(before.kind, TokenKind::Word | TokenKind::QuotedIdentifier);
        if symbol == "[" {
            if before.is_word("array") {
                let is_keys = self.back(2).is_some_and(|token| is_json_operator(token));
                return Frame { kind: if is_keys { FrameKind::JsonKeys } else { FrameKind::Group }, ..inherited };
            }
            let is_subscript =
                is_name || before.is_symbol(")") || before.is_symbol("]") || before.kind == TokenKind::Parameter;
            return Frame { kind: if is_subscript { FrameKind::Subscript } else { self.top().kind }, ..inherited };
        }
        if self.opens_options(&before) {
            return Frame { kind: FrameKind::Options, ..inherited };
        }
        if !is_name {
            return inherited;
        }
        let word = before.identifier().unwrap_or_default();
        let is_cast = self.back(2).is_some_and(|token| token.is_symbol("::"))
            || self.is_back(2, "as") && self.top().is_call("cast");
        if is_cast || before.kind == TokenKind::Word && kept::is_type(&word) {
            return Frame { kind: FrameKind::Modifiers, ..inherited };
        }
        let is_call = before.kind == TokenKind::QuotedIdentifier || is_function_name(&word);
        Frame { call: is_call.then_some(word), ..inherited }
    }

    /// Whether a parenthesis behind this token holds the options of a utility statement.
    fn opens_options(&self, before: &Token<'_>) -> bool {
        let head = self.statement.head();
        let is_head = |heads: &[&str]| heads.contains(&head);
        before.is_word("with")
            || is_head(&["alter"]) && before.is_any_word(&["set", "reset", "options"])
            || is_head(&["explain", "vacuum", "analyze", "reindex", "cluster"]) && before.is_word(head)
            || is_head(&["copy"])
                && self.frames.len() == 1
                && (before.is_any_word(&["stdin", "stdout"]) || before.kind == TokenKind::String)
    }

    fn word(&mut self, token: &Token<'a>) {
        let word = match token.kind {
            TokenKind::Word => token.text.to_ascii_lowercase(),
            _ => format!("\"{}", token.identifier().unwrap_or_default()),
        };
        if self.is_body && matches!(word.as_str(), "begin" | "then" | "else" | "loop" | "declare") {
            self.statement = Statement::default();
            return;
        }
        self.statement.word(&word);
        if self.is_body && word == "execute" {
            self.statement.is_dynamic = true;
        } else if word == "using" {
            self.statement.is_dynamic = false;
        }
        let before = self.back(1).map(|token| token.text.to_ascii_lowercase()).unwrap_or_default();
        if let Some(clause) = Clause::begun_by(&word, &before, self.statement.head()) {
            self.top().clause = clause;
        }
    }

    /// A word that is the value of a setting.
    fn set_word(&mut self, token: &Token<'a>) -> Option<Taken> {
        let is_value = !token.is_any_word(&["default", "none", "to"]);
        match self.statement.set.place()? {
            SetPlace::Own => Some(Taken::Nothing),
            SetPlace::Custom if is_value => Some(Taken::Spot(Role::SetWord, None)),
            SetPlace::Name if is_value => Some(Taken::Spot(Role::Name, Some(always(kept::NAME)))),
            SetPlace::Custom | SetPlace::Name => Some(Taken::Nothing),
        }
    }

    fn continues_string(&self) -> bool {
        let (Some(before), Some(token)) = (self.back(1), self.ahead(0)) else { return false };
        let between = &self.text[before.end()..token.start];
        before.kind == TokenKind::String
            && token.text.starts_with('\'')
            && !before.text.starts_with('$')
            && between.contains(['\n', '\r'])
    }

    /// The character that `UESCAPE 'c'` names behind the current string.
    fn unicode_escape(&self) -> Option<char> {
        let named = self.ahead(2).filter(|_| self.ahead(1).is_some_and(|token| token.is_word("uescape")))?;
        read_string(named.text, None).1.chars().next()
    }

    fn role(&self, token: &Token<'a>) -> Role {
        let (top, before) = (self.frames.last(), self.back(1));
        let is_in = |call: &str| top.is_some_and(|frame| frame.is_call(call));
        match token.kind {
            TokenKind::Number => return Role::Number,
            TokenKind::Parameter => return Role::Parameter(token.text[1..].parse().unwrap_or_default()),
            _ => {}
        }
        match self.statement.set.place() {
            Some(SetPlace::Custom) => return Role::SetWord,
            Some(SetPlace::Name) => return Role::Name,
            Some(SetPlace::Own) | None => {}
        }
        if self.statement.is_dynamic || self.is_function_body() {
            return Role::Body;
        }
        let is_matched = before.is_some_and(|token| ["~", "~*", "!~", "!~*"].contains(&token.text))
            || self.is_back(1, "to") && self.is_back(2, "similar")
            || is_in("substring") && self.is_back(1, "from")
            || top.is_some_and(|frame| {
                frame.call.as_deref().is_some_and(|call| kept::is_pattern_argument(call, frame.argument))
            });
        if is_matched {
            return Role::Pattern;
        }
        if is_in("format") && top.is_some_and(|frame| frame.argument == 0) {
            return Role::Format;
        }
        match self.type_names().iter().any(|name| kept::is_date_type(name)) {
            true => Role::Date,
            false => Role::String,
        }
    }

    fn is_function_body(&self) -> bool {
        self.statement.head() == "do" || self.statement.creates_function && self.is_back(1, "as")
    }

    /// The types that a literal or parameter is said to have, by a word before it or by casts behind it.
    fn type_names(&self) -> Vec<String> {
        let mut names = Vec::new();
        if let Some(before) = self.back(1).filter(|token| token.kind == TokenKind::Word) {
            let named = match before.is_word("zone") && self.is_back(2, "time") {
                // timestamp with time zone '...'
                true => self.back(4),
                false => Some(before),
            };
            names.extend(named.map(|token| token.text.to_ascii_lowercase()).filter(|word| kept::is_type(word)));
        }
        let mut at = 1;
        if self.ahead(1).is_some_and(|token| token.is_word("as"))
            && self.frames.last().is_some_and(|f| f.is_call("cast"))
        {
            names.extend(self.type_name(2).0);
        }
        while self.ahead(at).is_some_and(|token| token.is_symbol("::")) {
            let (name, length) = self.type_name(at + 1);
            names.extend(name);
            at += 1 + length;
        }
        names
    }

    /// The type named from `from` on without its schema, and how many tokens name it.
    fn type_name(&self, from: usize) -> (Option<String>, usize) {
        let mut length = 1;
        while self.ahead(from + length).is_some_and(|token| token.is_symbol(".")) {
            length += 2;
        }
        (self.ahead(from + length - 1).and_then(Token::identifier), length)
    }

    /// Why the value at the current place must stay.
    fn kept(&self, token: &Token<'a>, is_outermost: bool) -> Option<Kept> {
        let is_string = token.kind == TokenKind::String;
        if is_string && is_bits(token.text) {
            return Some(always(kept::BITS));
        }
        match self.statement.set.place() {
            Some(SetPlace::Own) => return Some(always(kept::SETTING)),
            Some(SetPlace::Name) => return Some(always(kept::NAME)),
            Some(SetPlace::Custom) => return None,
            None => {}
        }
        if is_string && self.is_function_body() && self.has_foreign_language() {
            return Some(always(kept::FOREIGN_BODY));
        }
        self.kept_in_frame(token)
            .or_else(|| self.kept_in_utility(token, is_outermost))
            .or_else(|| self.kept_beside(token))
    }

    fn kept_in_frame(&self, token: &Token<'a>) -> Option<Kept> {
        let frame = self.frames.last()?;
        let next = self.ahead(1);
        let kept = match frame.kind {
            FrameKind::Modifiers => return Some(numbers(kept::MODIFIER)),
            FrameKind::Subscript => return Some(numbers(kept::SUBSCRIPT)),
            FrameKind::Options => return Some(always(kept::OPTION)),
            FrameKind::JsonKeys => return Some(always(kept::JSON_KEY)),
            FrameKind::Group => frame.call.as_deref().and_then(|call| {
                let has_next = next.is_some_and(|next| next.is_symbol(",") || next.is_symbol("::"));
                if call == "set_config" && frame.argument == 1 {
                    return self.kept_by_set_config();
                }
                // round(12.5, 2): a sign or a cast changes nothing, a computation does.
                kept::of_argument(call, frame.argument, has_next)
            }),
        };
        let is_bare =
            self.back(1).is_some_and(|token| token.is_word("by") || token.is_symbol(",") || token.is_symbol("("))
                && next.is_none_or(|next| matches!(next.kind, TokenKind::Punctuation | TokenKind::Word));
        kept.or(match frame.clause {
            Clause::Limit => Some(numbers(kept::LIMIT)),
            Clause::Ordinal if token.kind == TokenKind::Number && is_bare && frame.call.is_none() => {
                Some(numbers(kept::ORDINAL))
            }
            _ => None,
        })
    }

    /// The value of a setting with a dot in its name is data, that of PostgreSQL's own ones is not.
    fn kept_by_set_config(&self) -> Option<Kept> {
        let name = self.back(2).filter(|token| token.kind == TokenKind::String)?;
        (!name.text.contains('.')).then_some(always(kept::SETTING))
    }

    fn kept_in_utility(&self, token: &Token<'a>, is_outermost: bool) -> Option<Kept> {
        const COUNTED: [&str; 17] = [
            "start",
            "with",
            "by",
            "increment",
            "minvalue",
            "maxvalue",
            "cache",
            "restart",
            "limit",
            "modulus",
            "remainder",
            "statistics",
            "parallel",
            "cost",
            "rows",
            "version",
            "seed",
        ];
        let before = self.back(1)?;
        match self.statement.head() {
            "fetch" | "move" => Some(numbers(kept::LIMIT)),
            "copy" if is_outermost => {
                let is_file = before.is_any_word(&["from", "to", "program"]);
                let is_data = is_file || self.frames.last().is_some_and(|frame| frame.clause == Clause::Where);
                (!is_data).then_some(always(kept::OPTION))
            }
            "create" | "alter" => {
                let is_count = token.kind == TokenKind::Number && before.is_any_word(&COUNTED);
                let is_object = self.statement.creates_function && self.is_c_symbol();
                (is_count || is_object).then_some(always(kept::OPTION))
            }
            _ => None,
        }
    }

    /// `AS 'library', 'symbol'` of a function in C.
    fn is_c_symbol(&self) -> bool {
        self.back(1).is_some_and(|token| token.is_symbol(","))
            && self.back(2).is_some_and(|token| token.kind == TokenKind::String)
    }

    fn kept_beside(&self, token: &Token<'a>) -> Option<Kept> {
        let before = self.back(1);
        let next = self.ahead(1);
        let is_before = |words: &[&str]| before.is_some_and(|token| token.is_any_word(words));
        if is_before(&["interval"]) {
            return Some(always(kept::INTERVAL));
        }
        let is_zone = is_before(&["zone"]) && self.is_back(2, "time") && self.is_back(3, "at");
        let is_code = before.is_some_and(|token| token.is_symbol("=")) && self.is_back(2, "errcode");
        if is_zone || is_code || is_before(&["escape", "uescape", "language", "sqlstate"]) {
            return Some(always(kept::ARGUMENT));
        }
        if before.is_some_and(|token| is_json_operator(token)) && token.kind != TokenKind::Number {
            return Some(always(kept::JSON_KEY));
        }
        if before.is_some_and(|token| token.is_symbol("->") || token.is_symbol("->>")) {
            return Some(numbers(kept::SUBSCRIPT));
        }
        // ROWS BETWEEN 5 PRECEDING AND 5 FOLLOWING, FOR i IN 1..10
        if next.is_some_and(|next| next.is_any_word(&["preceding", "following"])) {
            return Some(numbers(kept::LIMIT));
        }
        let is_dot = |token: Option<&Token<'_>>| token.is_some_and(|token| token.is_symbol("."));
        if token.kind == TokenKind::Number && (is_dot(before) || is_dot(next)) {
            return Some(numbers(kept::LIMIT));
        }
        self.type_names().iter().find_map(|name| kept::of_type(name))
    }

    fn has_foreign_language(&self) -> bool {
        let start = self.words[..self.at].iter().rposition(|token| token.is_symbol(";")).map_or(0, |at| at + 1);
        let rest = &self.words[start..];
        let language = rest.iter().position(|token| token.is_word("language")).and_then(|at| rest.get(at + 1));
        language.is_some_and(|name| {
            let name = name.identifier().unwrap_or_else(|| read_string(name.text, None).1).to_lowercase();
            !matches!(name.as_str(), "sql" | "plpgsql")
        })
    }
}

/// Operators with a key of JSON, or a path of keys, on their right.
fn is_json_operator(token: &Token<'_>) -> bool {
    const OPERATORS: [&str; 9] = ["->", "->>", "#>", "#>>", "#-", "?", "?|", "?&", "@?"];
    token.kind == TokenKind::Operator && OPERATORS.contains(&token.text)
}
