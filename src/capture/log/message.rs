//! What a log message says, by its English wording (`lc_messages` other than English says nothing to this module).
//!
//! Takes the primary message of an entry of severity LOG and gives what it means for a session. The wordings are those
//! of tcop/postgres.c and postinit.c, PostgreSQL 12 to 18. Must not know sessions or other entries.

use memchr::{memchr, memchr_iter, memmem};

/// A message, understood.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Message<'a> {
    /// `statement: TEXT`, stamped when the statement began; or with its duration, stamped when it had ended.
    Statement { duration_us: Option<u64>, sql: &'a [u8] },
    /// `execute NAME[/PORTAL]: TEXT`; `fetch` where it goes on with a portal (`execute fetch from ...`).
    Execute { duration_us: Option<u64>, fetch: bool, name: &'a [u8], sql: &'a [u8] },
    /// `parse NAME: TEXT`, with its duration.
    Parse { name: &'a [u8], sql: &'a [u8] },
    /// `bind NAME[/PORTAL]: TEXT`, with its duration.
    Bind { name: &'a [u8], sql: &'a [u8] },
    /// A duration alone: of the statement that was logged when it began, or of one that was not logged.
    Duration { duration_us: u64 },
    /// `fastpath function call: ...`.
    FastPath,
    /// `connection received: ...`.
    ConnectionReceived,
    /// `connection authorized: user=... database=... application_name=...`.
    ConnectionAuthorized { user: &'a [u8], database: &'a [u8], application_name: Option<&'a [u8]> },
    /// `replication connection authorized: ...`.
    ReplicationAuthorized,
    /// `disconnection: session time: ...`.
    Disconnection,
    /// `starting PostgreSQL 16.14 on ...`: the version.
    ServerStart { version: &'a [u8] },
    /// `duration: ... plan: ...`, written by auto_explain.
    Plan,
    /// `AUDIT: ...`, written by pgaudit.
    Audit,
    /// Anything else: checkpoints, vacuums, temporary files, lock waits.
    Other,
}

impl<'a> Message<'a> {
    /// Reads a message.
    pub fn parse(text: &'a [u8]) -> Self {
        // Ordered by how often they come.
        match text.first() {
            Some(b'd') => duration(text).or_else(|| disconnection(text)),
            Some(b's') => statement(text, None).or_else(|| server_start(text)),
            Some(b'e') => execution(text, None),
            Some(b'c') => connection(text),
            Some(b'f') => text.starts_with(b"fastpath function call: ").then_some(Self::FastPath),
            Some(b'r') => {
                text.starts_with(b"replication connection authorized: ").then_some(Self::ReplicationAuthorized)
            }
            Some(b'A') => text.starts_with(b"AUDIT: ").then_some(Self::Audit),
            _ => None,
        }
        .unwrap_or(Self::Other)
    }
}

/// `duration: 0.123 ms` and what follows it.
fn duration(text: &[u8]) -> Option<Message<'_>> {
    let rest = text.strip_prefix(b"duration: ")?;
    let number_end = memchr(b' ', rest)?;
    let duration_us = milliseconds_to_us(&rest[..number_end])?;
    let rest = rest[number_end..].strip_prefix(b" ms")?;
    if rest.is_empty() {
        return Some(Message::Duration { duration_us });
    }
    let rest = rest.strip_prefix(b"  ")?;
    statement(rest, Some(duration_us))
        .or_else(|| execution(rest, Some(duration_us)))
        .or_else(|| named(rest, b"bind ").map(|(name, sql)| Message::Bind { name, sql }))
        .or_else(|| named(rest, b"parse ").map(|(name, sql)| Message::Parse { name, sql }))
        .or_else(|| rest.starts_with(b"plan:").then_some(Message::Plan))
        .or_else(|| rest.starts_with(b"fastpath function call: ").then_some(Message::FastPath))
}

fn statement(text: &[u8], duration_us: Option<u64>) -> Option<Message<'_>> {
    text.strip_prefix(b"statement: ").map(|sql| Message::Statement { duration_us, sql })
}

fn execution(text: &[u8], duration_us: Option<u64>) -> Option<Message<'_>> {
    // A statement may be named "fetch from x"; the server's own words are then followed by a name in any case.
    if let Some((name, sql)) = named(text, b"execute fetch from ") {
        return Some(Message::Execute { duration_us, fetch: true, name, sql });
    }
    named(text, b"execute ").map(|(name, sql)| Message::Execute { duration_us, fetch: false, name, sql })
}

/// `VERB NAME: TEXT`. Names with a colon exist (`py:0x7f..`), names with a colon and a space are not told apart.
fn named<'a>(text: &'a [u8], verb: &[u8]) -> Option<(&'a [u8], &'a [u8])> {
    let rest = text.strip_prefix(verb)?;
    // Names are short, so looking for each colon costs less than setting up a search for both characters.
    let colon = memchr_iter(b':', rest).find(|colon| rest.get(colon + 1) == Some(&b' '))?;
    Some((&rest[..colon], &rest[colon + 2..]))
}

fn connection(text: &[u8]) -> Option<Message<'_>> {
    if text.starts_with(b"connection received: ") {
        return Some(Message::ConnectionReceived);
    }
    let rest = text.strip_prefix(b"connection authorized: ")?;
    // The name is the client's own choice and stands last but for " SSL enabled (...)" and its like.
    let application_name = memmem::find(rest, b" application_name=").map(|at| {
        let value = &rest[at + b" application_name=".len()..];
        let end = [b" SSL enabled (".as_slice(), b" GSS ("].iter().filter_map(|next| memmem::rfind(value, next)).min();
        &value[..end.unwrap_or(value.len())]
    });
    let (user, database) = owner(rest).unwrap_or_default();
    Some(Message::ConnectionAuthorized { user, database, application_name })
}

/// `user=... database=...`, each of which may hold spaces.
fn owner(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let text = text.strip_prefix(b"user=")?;
    let at = memmem::find(text, b" database=")?;
    let database = &text[at + b" database=".len()..];
    let end = [b" application_name=".as_slice(), b" SSL enabled (", b" GSS ("]
        .iter()
        .filter_map(|next| memmem::find(database, next))
        .min();
    Some((&text[..at], &database[..end.unwrap_or(database.len())]))
}

fn disconnection(text: &[u8]) -> Option<Message<'_>> {
    text.starts_with(b"disconnection: session time: ").then_some(Message::Disconnection)
}

fn server_start(text: &[u8]) -> Option<Message<'_>> {
    let rest = text.strip_prefix(b"starting PostgreSQL ")?;
    let end = memchr(b' ', rest).unwrap_or(rest.len());
    Some(Message::ServerStart { version: &rest[..end] })
}

/// `12.345` milliseconds as 12345 microseconds; digits behind the third say nothing.
fn milliseconds_to_us(text: &[u8]) -> Option<u64> {
    let (whole, fraction) = match memchr(b'.', text) {
        Some(dot) => (&text[..dot], &text[dot + 1..]),
        None => (text, b"".as_slice()),
    };
    let digit = |byte: &u8| byte.is_ascii_digit().then(|| u64::from(byte - b'0'));
    let append = |number: u64, digit: u64| number.checked_mul(10)?.checked_add(digit);
    let mut number = 0;
    for byte in whole {
        number = append(number, digit(byte)?)?;
    }
    for place in 0..3 {
        number = append(number, fraction.get(place).map_or(Some(0), digit)?)?;
    }
    (!whole.is_empty()).then_some(number)
}

/// The statement and the portal of `NAME[/PORTAL]`, `<unnamed>` as empty. `is_statement` says whether a name with a
/// slash is known as a statement's own.
pub fn split_name(name: &[u8], is_statement: impl Fn(&[u8]) -> bool) -> (&[u8], &[u8]) {
    let (statement, portal) = match memchr::memrchr(b'/', name) {
        Some(slash) if !is_statement(name) => (&name[..slash], &name[slash + 1..]),
        _ => (name, b"".as_slice()),
    };
    (if statement == b"<unnamed>" { b"" } else { statement }, portal)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_styles_of_a_statement_are_told_apart() {
        assert_eq!(
            Message::parse(b"statement: select 'statement: x'"),
            Message::Statement { duration_us: None, sql: b"select 'statement: x'" }
        );
        assert_eq!(
            Message::parse(b"duration: 26.120 ms  execute S_65: select ': '"),
            Message::Execute { duration_us: Some(26_120), fetch: false, name: b"S_65", sql: b"select ': '" }
        );
        assert_eq!(
            Message::parse(b"execute fetch from <unnamed>/C_1: select 1"),
            Message::Execute { duration_us: None, fetch: true, name: b"<unnamed>/C_1", sql: b"select 1" }
        );
        assert_eq!(Message::parse(b"duration: 0.004 ms"), Message::Duration { duration_us: 4 });
        assert_eq!(Message::parse(b"duration: 0.1 ms  bind py:0x7f: x"), Message::Bind { name: b"py:0x7f", sql: b"x" });
        assert_eq!(Message::parse(b"duration: 5.1 ms  plan:\nQuery Text: select 1"), Message::Plan);
    }

    #[test]
    fn connections_are_told_from_other_lines() {
        assert_eq!(
            Message::parse(
                b"connection authorized: user=u database=d application_name=my app SSL enabled (protocol=TLSv1.3)"
            ),
            Message::ConnectionAuthorized { user: b"u", database: b"d", application_name: Some(b"my app") }
        );
        assert_eq!(Message::parse(b"connection ready: setup total=3.1 ms"), Message::Other);
        assert_eq!(Message::parse(b"starting PostgreSQL 16.14 on x86_64"), Message::ServerStart { version: b"16.14" });
        assert_eq!(Message::parse(b"checkpoint starting: time"), Message::Other);
    }

    #[test]
    fn names_with_a_slash_are_split_unless_they_are_known() {
        assert_eq!(split_name(b"<unnamed>", |_| false), (b"".as_slice(), b"".as_slice()));
        assert_eq!(split_name(b"<unnamed>/C_1", |_| false), (b"".as_slice(), b"C_1".as_slice()));
        assert_eq!(split_name(b"stmt/portal", |_| false), (b"stmt".as_slice(), b"portal".as_slice()));
        assert_eq!(split_name(b"a/b", |name| name == b"a/b"), (b"a/b".as_slice(), b"".as_slice()));
    }
}
