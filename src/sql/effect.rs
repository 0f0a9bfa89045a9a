//! The statements that change what a session is: its settings, its prepared statements, what it listens to.
//!
//! Takes one statement and says what stays behind in the session, so that the session can be made again on another
//! connection. Must not know any connection.

use super::lex::{Token, TokenKind, tokens};
use super::literal::string_value;

/// What a statement leaves behind in its session. Names are as PostgreSQL folds them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SessionEffect {
    /// `SET [LOCAL] name TO value`, also `SET TIME ZONE`, `SET ROLE`, `SET NAMES` and their like under the setting that
    /// they change, and `SELECT set_config('name', 'value', false)`. The value is as `SHOW` would give it.
    Set { name: String, value: String, local: bool },
    /// `RESET name`, `SET name TO DEFAULT`.
    Reset { name: String },
    /// `RESET ALL`.
    ResetAll,
    /// `DISCARD ALL`: settings, prepared statements and listening are gone.
    DiscardAll,
    /// `PREPARE name AS ...`.
    Prepare { name: String },
    /// `DEALLOCATE name`.
    Deallocate { name: String },
    /// `DEALLOCATE ALL`.
    DeallocateAll,
    /// `LISTEN channel`.
    Listen { channel: String },
    /// `UNLISTEN channel`.
    Unlisten { channel: String },
    /// `UNLISTEN *`.
    UnlistenAll,
}

/// What `statement` leaves behind in its session; none for every other statement. Of several statements, the first
/// counts.
pub fn session_effect(statement: &str) -> Option<SessionEffect> {
    let mut words = tokens(statement).without_comments();
    let first = words.next()?;
    match first.text.to_ascii_lowercase().as_str() {
        "set" => set(&words.take_while(|token| !token.is_symbol(";")).collect::<Vec<_>>()),
        "reset" => setting_name(&mut words).map(|name| match name.as_str() {
            "all" => SessionEffect::ResetAll,
            _ => SessionEffect::Reset { name },
        }),
        "discard" => words.next()?.is_word("all").then_some(SessionEffect::DiscardAll),
        "prepare" => {
            let name = words.next()?;
            // PREPARE TRANSACTION 'id' is no prepared statement; PREPARE transaction AS ... is one.
            let is_transaction = name.is_word("transaction") && words.next()?.kind == TokenKind::String;
            name.identifier().filter(|_| !is_transaction).map(|name| SessionEffect::Prepare { name })
        }
        "deallocate" => {
            let name = words.find(|token| !token.is_word("prepare"))?;
            match name.is_word("all") {
                true => Some(SessionEffect::DeallocateAll),
                false => name.identifier().map(|name| SessionEffect::Deallocate { name }),
            }
        }
        "listen" => words.next()?.identifier().map(|channel| SessionEffect::Listen { channel }),
        "unlisten" => {
            let channel = words.next()?;
            match channel.is_symbol("*") {
                true => Some(SessionEffect::UnlistenAll),
                false => channel.identifier().map(|channel| SessionEffect::Unlisten { channel }),
            }
        }
        "select" => set_config(words),
        _ => None,
    }
}

/// The schemas that a `search_path` value names, in order, `"$user"` as `$user`.
pub fn search_path_schemas(value: &str) -> Vec<String> {
    tokens(value).filter_map(|token| token.identifier()).collect()
}

fn set(words: &[Token<'_>]) -> Option<SessionEffect> {
    let local = words.first()?.is_word("local");
    let words = match words {
        [scope, rest @ ..] if scope.is_any_word(&["local", "session"]) && !starts_value(rest) => rest,
        _ => words,
    };
    let setting = |name: &str, value: &[Token<'_>]| Some(effect_of(name.to_owned(), value, local));
    match words {
        [time, zone, value @ ..] if time.is_word("time") && zone.is_word("zone") => setting("timezone", value),
        [role, value @ ..] if role.is_word("role") => setting("role", assigned(value)),
        [authorization, value @ ..] if authorization.is_word("authorization") => {
            setting("session_authorization", assigned(value))
        }
        [names, value @ ..] if names.is_word("names") => setting("client_encoding", value),
        [schema, value @ ..] if schema.is_word("schema") => setting("search_path", value),
        [xml, option, value @ ..] if xml.is_word("xml") && option.is_word("option") => setting("xmloption", value),
        // The defaults of later transactions, by the words as they were written.
        [characteristics, _, _, value @ ..] if characteristics.is_word("characteristics") => {
            setting("characteristics", value)
        }
        // These end with their transaction.
        [first, ..] if first.is_any_word(&["transaction", "constraints"]) => None,
        _ => {
            let mut rest = words.iter().copied();
            let name = setting_name(&mut rest)?;
            let dots = 2 * name.matches('.').count();
            setting(&name, assigned(words.get(1 + dots..)?))
        }
    }
}

/// `SET session = 1` sets something that is called "session".
fn starts_value(rest: &[Token<'_>]) -> bool {
    rest.first().is_none_or(|token| token.is_symbol("=") || token.is_word("to") || token.is_symbol("."))
}

fn assigned<'a, 'b>(value: &'b [Token<'a>]) -> &'b [Token<'a>] {
    match value {
        [sign, rest @ ..] if sign.is_symbol("=") || sign.is_word("to") => rest,
        _ => value,
    }
}

/// `name` or `extension.name`.
fn setting_name<'a>(words: &mut impl Iterator<Item = Token<'a>>) -> Option<String> {
    let mut name = words.next()?.identifier()?.to_ascii_lowercase();
    while words.next().is_some_and(|token| token.is_symbol(".")) {
        name = format!("{name}.{}", words.next()?.identifier()?.to_ascii_lowercase());
    }
    Some(name)
}

fn effect_of(name: String, value: &[Token<'_>], local: bool) -> SessionEffect {
    if let [only] = value
        && only.is_word("default")
    {
        return SessionEffect::Reset { name };
    }
    // The elements of these lists are identifiers: PostgreSQL quotes each one that needs it.
    let quotes = name == "search_path" || name == "temp_tablespaces";
    let mut text = String::new();
    for token in value {
        match token.kind {
            TokenKind::Punctuation if token.text == "," => text.push_str(", "),
            _ => {
                if !text.is_empty() && !text.ends_with([' ', '-', '+']) {
                    text.push(' ');
                }
                text.push_str(&value_of(token, quotes));
            }
        }
    }
    SessionEffect::Set { name, value: text, local }
}

fn value_of(token: &Token<'_>, quotes: bool) -> String {
    let plain = match token.kind {
        TokenKind::String => string_value(token.text),
        TokenKind::QuotedIdentifier | TokenKind::Word => match token.identifier() {
            Some(identifier) => identifier,
            None => token.text.to_owned(),
        },
        _ => return token.text.to_owned(),
    };
    let regular = plain.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_')
        && plain.bytes().next().is_some_and(|byte| !byte.is_ascii_digit());
    if quotes && !regular { format!("\"{}\"", plain.replace('"', "\"\"")) } else { plain }
}

/// `set_config('name', 'value', is_local)` as the first thing that a SELECT does.
fn set_config<'a>(mut words: impl Iterator<Item = Token<'a>>) -> Option<SessionEffect> {
    let mut function = words.next()?;
    if function.is_word("pg_catalog") {
        words.next().filter(|token| token.is_symbol("."))?;
        function = words.next()?;
    }
    if !function.is_word("set_config") {
        return None;
    }
    let mut literal_after = |symbol: &str| {
        words.next().filter(|token| token.is_symbol(symbol))?;
        words.next().filter(|token| token.kind == TokenKind::String)
    };
    let name = string_value(literal_after("(")?.text).to_ascii_lowercase();
    let value = string_value(literal_after(",")?.text);
    words.next().filter(|token| token.is_symbol(","))?;
    let local = words.next()?;
    Some(SessionEffect::Set { name, value, local: local.is_word("true") || local.text.starts_with("'t") })
}

#[cfg(test)]
mod tests {
    use super::SessionEffect::*;
    use super::*;

    fn set(name: &str, value: &str) -> Option<SessionEffect> {
        Some(Set { name: name.to_owned(), value: value.to_owned(), local: false })
    }

    #[test]
    fn every_way_to_set_a_setting() {
        for (statement, name, value) in [
            ("SET statement_timeout = 5000", "statement_timeout", "5000"),
            ("SET SESSION work_mem TO '64MB'", "work_mem", "64MB"),
            ("/* pool */ set Application_Name = 'it''s'", "application_name", "it's"),
            ("SET TIME ZONE 'UTC'", "timezone", "UTC"),
            ("SET timezone TO -5", "timezone", "-5"),
            ("SET ROLE analyst", "role", "analyst"),
            ("SET SESSION AUTHORIZATION 'bob'", "session_authorization", "bob"),
            ("SET NAMES 'LATIN1'", "client_encoding", "LATIN1"),
            ("SET app.tenant = $$acme$$", "app.tenant", "acme"),
            ("SET DateStyle = ISO, MDY", "datestyle", "iso, mdy"),
            ("SELECT pg_catalog.set_config('search_path', '', false)", "search_path", ""),
        ] {
            assert_eq!(session_effect(statement), set(name, value), "{statement}");
        }
    }

    #[test]
    fn the_search_path_keeps_its_elements_apart() {
        assert_eq!(
            session_effect("SET search_path TO Acme, \"Big Co\", public"),
            set("search_path", "acme, \"Big Co\", public")
        );
        assert_eq!(session_effect("SET search_path = 'acme, public'"), set("search_path", "\"acme, public\""));
        assert_eq!(session_effect("SET SCHEMA 'acme'"), set("search_path", "acme"));
        assert_eq!(search_path_schemas("acme, \"Big Co\", \"$user\""), ["acme", "Big Co", "$user"]);
    }

    #[test]
    fn local_settings_end_with_their_transaction() {
        let local = Set { name: "role".to_owned(), value: "bob".to_owned(), local: true };
        assert_eq!(session_effect("SET LOCAL ROLE bob"), Some(local));
        assert_eq!(session_effect("SET TRANSACTION READ ONLY"), None);
        assert_eq!(session_effect("SET CONSTRAINTS ALL DEFERRED"), None);
    }

    #[test]
    fn what_goes_away_again() {
        let name = || "x".to_owned();
        for (statement, expected) in [
            ("RESET x", Reset { name: name() }),
            ("SET x TO DEFAULT", Reset { name: name() }),
            ("RESET ALL;", ResetAll),
            ("DISCARD ALL", DiscardAll),
            ("PREPARE x (int) AS SELECT $1", Prepare { name: name() }),
            ("DEALLOCATE PREPARE x", Deallocate { name: name() }),
            ("DEALLOCATE ALL", DeallocateAll),
            ("LISTEN x", Listen { channel: name() }),
            ("UNLISTEN x", Unlisten { channel: name() }),
            ("UNLISTEN *", UnlistenAll),
        ] {
            assert_eq!(session_effect(statement), Some(expected), "{statement}");
        }
        for statement in ["", "DISCARD PLANS", "PREPARE TRANSACTION 'x'", "SELECT 1", "SELECT set_config($1, $2, true)"]
        {
            assert_eq!(session_effect(statement), None, "{statement}");
        }
    }
}
