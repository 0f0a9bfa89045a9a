//! Keeps passwords out of what is printed.
//!
//! Takes a connection string and gives it without its passwords. Must not know where it is used.

/// What stands for a password.
const HIDDEN: &str = "***";

/// The connection string with `***` for every password, be it a URI or key/value pairs.
///
/// Where a text is neither for sure, nothing of it is shown.
pub fn redact_dsn(dsn: &str) -> String {
    for scheme in ["postgresql://", "postgres://"] {
        if let Some(rest) = dsn.strip_prefix(scheme) {
            return format!("{scheme}{}", redact_uri(rest));
        }
    }
    redact_pairs(dsn).unwrap_or_else(|| HIDDEN.to_owned())
}

/// A free text with what may be a password in it hidden: connection URIs, and words such as `password=...`.
pub fn redact_words(text: &str) -> String {
    let redact = |word: &str| -> String {
        if let Some(at) = word.find("postgres://").or_else(|| word.find("postgresql://")) {
            return format!("{}{}", &word[..at], redact_dsn(&word[at..]));
        }
        match word.split_once('=') {
            Some((key, _)) if key.to_ascii_lowercase().contains("password") => format!("{key}={HIDDEN}"),
            _ => word.to_owned(),
        }
    };
    text.split_inclusive(char::is_whitespace)
        .map(|part| {
            let word = part.trim_end();
            format!("{}{}", redact(word), &part[word.len()..])
        })
        .collect()
}

/// `user:password@host/database?key=value&...`, behind the scheme.
fn redact_uri(rest: &str) -> String {
    let (before_query, query) = rest.split_once('?').map_or((rest, None), |(before, query)| (before, Some(query)));
    if query.is_some_and(|query| query.contains('@')) {
        // Most likely a password with an unescaped question mark.
        return HIDDEN.to_owned();
    }
    // A password may hold an unescaped `/` or `@` too: everything up to the last `@` is the login.
    let mut shown = match before_query.rsplit_once('@') {
        Some((login, host)) => match login.split_once(':') {
            Some((user, _)) => format!("{user}:{HIDDEN}@{host}"),
            None => format!("{login}@{host}"),
        },
        None => before_query.to_owned(),
    };
    if let Some(query) = query {
        let pairs = query.split('&').map(|pair| match pair.split_once('=') {
            Some((key, _)) if is_secret(key) => format!("{key}={HIDDEN}"),
            _ => pair.to_owned(),
        });
        shown = format!("{shown}?{}", pairs.collect::<Vec<_>>().join("&"));
    }
    shown
}

/// `key = value` pairs with values in single quotes where needed; none where the text does not read so.
fn redact_pairs(text: &str) -> Option<String> {
    let mut shown = Vec::new();
    let mut rest = text.trim_start();
    while !rest.is_empty() {
        let (key, after) = rest.split_once('=')?;
        let key = key.trim();
        if key.is_empty() || !key.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') {
            return None;
        }
        let after = after.trim_start();
        let end = value_end(after)?;
        shown.push(if is_secret(key) { format!("{key}={HIDDEN}") } else { format!("{key}={}", &after[..end]) });
        rest = after[end..].trim_start();
    }
    Some(shown.join(" "))
}

/// The byte after a value; none for a quote that is never closed.
fn value_end(text: &str) -> Option<usize> {
    let quoted = text.starts_with('\'');
    let mut escaped = false;
    for (at, c) in text.char_indices().skip(usize::from(quoted)) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '\'' if quoted => return Some(at + 1),
            c if c.is_whitespace() && !quoted => return Some(at),
            _ => {}
        }
    }
    (!quoted).then_some(text.len())
}

fn is_secret(key: &str) -> bool {
    let key = key.to_ascii_lowercase();
    key.contains("password") || key == "sslkey" || key == "passfile"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_form_of_a_connection_string_shows_its_password() {
        let shown = [
            ("postgresql://app:s3cret@db/x", "postgresql://app:***@db/x"),
            ("postgres://app:s3/c@r:et@db:5432/x?sslmode=require", "postgres://app:***@db:5432/x?sslmode=require"),
            ("postgresql://db/x?user=app&password=s3cret", "postgresql://db/x?user=app&password=***"),
            ("host=db user=app password=s3cret", "host=db user=app password=***"),
            (r"host = db password = 's3 \'cret' port=1", "host=db password=*** port=1"),
            ("postgresql://db/x", "postgresql://db/x"),
            ("s3cret", "***"),
            ("host=db password='s3cret", "***"),
        ];
        for (dsn, expected) in shown {
            assert_eq!(redact_dsn(dsn), expected);
        }
    }

    #[test]
    fn passwords_in_a_command_are_hidden() {
        let text = "psql postgresql://app:s3cret@db/x -c 'SELECT 1'\nPGPASSWORD=s3cret ./run";
        assert_eq!(redact_words(text), "psql postgresql://app:***@db/x -c 'SELECT 1'\nPGPASSWORD=*** ./run");
    }

    #[test]
    fn a_password_with_a_question_mark_is_not_taken_for_a_query() {
        assert_eq!(redact_dsn("postgresql://app:s3?cret@db/x"), "postgresql://***");
    }
}
