//! Finding out a log's `log_line_prefix` from its lines.
//!
//! Takes some lines of a log and gives the prefix that fits most of them: one of those that servers are often given, or
//! one made up from the look of the lines themselves. Must not know files.

use super::line_prefix::{LinePrefix, label};

/// Prefixes that are often met, the more telling of two alike first.
const KNOWN: &[&str] = &[
    "%m [%p] %q[user=%u,db=%d,app=%a] ",
    "%m [%p][%b][%v][%x] %q[user=%u,db=%d,app=%a] ",
    "%m [%p] %q%u@%d/%a ",
    "%m [%p] %q%u@%d ",
    "%t [%p] %q%u@%d ",
    "%t [%p-%l] %q%u@%d ",
    "%m [%p-%l] %q%u@%d ",
    "%t:%r:%u@%d:[%p]:",
    "%t:%h:%u@%d:[%p]:",
    "%m:%r:%u@%d:[%p]:%l:%e:%s:%v:%x:%c:%q%a:",
    "%t-%c-",
    "%m-%c-",
    "%t [%p]: [%l-1] user=%u,db=%d,app=%a,client=%h ",
    "%t [%p]: user=%u,db=%d,app=%a,client=%h ",
    "%t [%p]: db=%d,user=%u,app=%a,client=%h ",
    "%m [%p]: [%l-1] user=%u,db=%d,app=%a,client=%h ",
    "%t [%p]: [%l-1] user=%u,db=%d,host=%h,app=%a ",
    "%t [%p]: [%l-1] user=%u,db=%d,remote=%r ",
    "%t [%p]: [%l-1] user=%u,db=%d - PG-%e ",
    "%t [%p]: [%l-1] [trx_id=%x] user=%u,db=%d ",
    "%t [%p]: [%l-1] user=%u,db=%d ",
    "%m [%p] user=%u,db=%d,app=%a,client=%h ",
    "%m [%p] user=%u,db=%d ",
    "[%p]: [%l-1] db=%d,user=%u ",
    "db=%d,user=%u,app=%a,client=%h ",
    "user=%u,db=%d,app=%a,client=%h ",
    "user=%u,db=%d ",
    "%m %r %u %a [%c] [%p] ",
    "%p-%s-%c-%l-%h-%u-%d-%m ",
    "%m|%u|%d|%c|",
    " sql_error_code = %e time_ms = \"%m\" pid=\"%p\" proc_start_time=\"%s\" session_id=\"%c\" vtid=\"%v\" tid=\"%x\" \
     log_line=\"%l\" %qdatabase=\"%d\" connection_source=\"%r\" user=\"%u\" application_name=\"%a\" ",
    " sql_error_code = %e ",
    "%m [%p] ",
    "%t [%p] ",
    "%m [%p]: ",
    "%t [%p]: ",
    "[%p] ",
    "",
];

/// What a value is, by the word before it.
const KEYS: &[(&[&str], &str)] = &[
    (&["user", "usr", "u", "username", "role"], "%u"),
    (&["db", "database", "dbname", "d"], "%d"),
    (&["app", "application", "application_name", "appname", "a"], "%a"),
    (&["client", "host", "h", "ip", "addr"], "%h"),
    (&["remote", "r", "connection_source", "from"], "%r"),
    (&["pid", "p", "process"], "%p"),
    (&["sess", "session", "session_id", "sid", "c"], "%c"),
    (&["line", "l", "log_line", "num"], "%l"),
    (&["xid", "txid", "tid", "trx_id", "x"], "%x"),
    (&["vxid", "vtid", "v"], "%v"),
    (&["state", "e", "sql_error_code", "sqlstate", "code", "err"], "%e"),
    (&["cmd", "tag", "ps", "command", "i"], "%i"),
    (&["qid", "query_id", "queryid"], "%Q"),
    (&["backend", "type", "b", "backend_type"], "%b"),
    (&["start", "proc_start_time", "s"], "%s"),
];

const BACKEND_TYPES: [&str; 12] = [
    "client backend",
    "checkpointer",
    "postmaster",
    "autovacuum launcher",
    "autovacuum worker",
    "background writer",
    "walwriter",
    "archiver",
    "startup",
    "logical replication launcher",
    "walsender",
    "parallel worker",
];

/// Lines that are looked at.
const LINES_MAX: usize = 300;

/// Prefixes that are made up.
const MADE_UP_MAX: usize = 12;

/// Where the severity or label starts in a line, if it holds one.
pub fn label_at(line: &[u8]) -> Option<usize> {
    if line.first() == Some(&b'\t') {
        return None;
    }
    memchr::memmem::find_iter(line, b":  ").take(8).find_map(|colon| {
        let start = line[..colon].iter().rposition(|byte| !byte.is_ascii_alphanumeric()).map_or(0, |at| at + 1);
        label(&line[start..]).map(|_| start)
    })
}

/// The prefix of a log that holds these lines, and how many of them have one; none where none of them says more than
/// that it is a server's, or less than half agree.
pub fn guess(lines: &[&[u8]]) -> Option<LinePrefix> {
    let mut labelled: Vec<&[u8]> =
        lines.iter().copied().filter(|line| label_at(line).is_some()).take(LINES_MAX).collect();
    // A file may begin within a line, whose rest fits what no whole line does.
    if labelled.len() > 1 && lines.first() == labelled.first() {
        labelled.remove(0);
    }
    let mut candidates: Vec<LinePrefix> = KNOWN.iter().filter_map(|text| LinePrefix::parse(text).ok()).collect();
    for line in &labelled {
        let end = label_at(line).unwrap_or(0);
        if let Ok(made_up) = LinePrefix::parse(&make_up(&line[..end]))
            && !candidates.iter().any(|known| known.text() == made_up.text())
        {
            candidates.push(made_up);
        }
        if candidates.len() >= KNOWN.len() + MADE_UP_MAX {
            break;
        }
    }
    let (best, fits) = best_of(candidates, &labelled)?;
    if fits == labelled.len() {
        return Some(best);
    }
    // Lines of processes without a session may end their prefix early.
    let cuts = (1..best.text().len()).filter(|at| best.text().is_char_boundary(*at));
    let shortened = cuts.filter(|at| !best.text()[..*at].ends_with('%')).filter_map(|at| {
        let (before, after) = best.text().split_at(at);
        LinePrefix::parse(&format!("{before}%q{after}")).ok()
    });
    let (best, fits) = best_of(std::iter::once(best.clone()).chain(shortened).collect(), &labelled)?;
    (2 * fits >= labelled.len()).then_some(best)
}

/// The candidate that fits most lines, the first of several. One that tells the process and the time of almost as many is
/// better: what is made up of names alone fits anything.
fn best_of(candidates: Vec<LinePrefix>, lines: &[&[u8]]) -> Option<(LinePrefix, usize)> {
    let scored: Vec<(LinePrefix, usize, usize)> = candidates
        .into_iter()
        .map(|candidate| {
            let headers = lines.iter().filter_map(|line| Some(candidate.read(line)?.header));
            // A prefix whose part behind %q no line has is made up of nothing.
            let (fits, with_session) = headers.fold((0, 0), |(fits, with_session), header| {
                (fits + 1, with_session + usize::from(!header.without_session))
            });
            (candidate, fits, with_session)
        })
        .collect();
    let most = scored.iter().map(|(_, fits, _)| *fits).max()?;
    let mut best: Option<((u32, usize, usize), LinePrefix)> = None;
    for (candidate, fits, with_session) in scored {
        let told = u32::from(candidate.holds(b"pc")) + u32::from(candidate.holds(b"tmns"));
        let score = (if 10 * fits >= 9 * most { told } else { 0 }, fits, with_session);
        if fits > 0 && best.as_ref().is_none_or(|(highest, _)| score > *highest) {
            best = Some((score, candidate));
        }
    }
    best.map(|((_, fits, _), prefix)| (prefix, fits))
}

/// A prefix that a server may have written this text for.
fn make_up(text: &[u8]) -> String {
    let mut made = MadeUp::default();
    let mut rest = text;
    while !rest.is_empty() {
        let taken = made.timestamp(rest).or_else(|| made.session_id(rest)).or_else(|| made.word(rest));
        let taken = taken.unwrap_or_else(|| {
            made.literal(&rest[..1]);
            1
        });
        rest = &rest[taken.max(1)..];
    }
    made.text
}

/// A prefix while it is made up.
#[derive(Default)]
struct MadeUp {
    text: String,
    /// The escape that the word before the value names.
    awaited: Option<&'static str>,
}

impl MadeUp {
    fn has(&self, escape: &str) -> bool {
        self.text.contains(escape)
    }

    fn literal(&mut self, bytes: &[u8]) {
        self.text.push_str(&String::from_utf8_lossy(bytes).replace('%', "%%"));
    }

    fn escape(&mut self, escape: &str) {
        self.text.push_str(escape);
        self.awaited = None;
    }

    fn timestamp(&mut self, rest: &[u8]) -> Option<usize> {
        let is_second = self.has("%t") || self.has("%m") || self.awaited == Some("%s");
        for (escape, prefix) in [("%m", "%m"), ("%t", "%t")] {
            let probe = LinePrefix::parse(prefix).ok()?;
            // The longest text that is a time and its zone.
            let length = (19..=rest.len().min(40)).rev().find(|length| {
                let ends = rest.get(*length).is_none_or(|byte| !byte.is_ascii_alphanumeric());
                ends && probe.read(&[&rest[..*length], b"LOG:  "].concat()).is_some()
            });
            if let Some(length) = length {
                self.escape(if is_second { "%s" } else { escape });
                return Some(length);
            }
        }
        let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
        let is_epoch = digits == 10
            && rest.get(10) == Some(&b'.')
            && rest.get(11..14).is_some_and(|text| text.iter().all(u8::is_ascii_digit));
        is_epoch.then(|| {
            self.escape("%n");
            14
        })
    }

    fn session_id(&mut self, rest: &[u8]) -> Option<usize> {
        let hex = |text: &[u8]| text.iter().take_while(|byte| byte.is_ascii_hexdigit()).count();
        let is_id = hex(rest) == 8 && rest.get(8) == Some(&b'.');
        let process = is_id.then(|| hex(&rest[9..])).filter(|length| *length > 0)?;
        self.escape("%c");
        Some(9 + process)
    }

    /// A word: a key, a value, or text of the prefix itself.
    fn word(&mut self, rest: &[u8]) -> Option<usize> {
        if let Some(escape) = self.awaited.take() {
            let end = match rest.first()? {
                b'[' => memchr::memchr(b']', rest)? + 1,
                _ => rest.iter().position(|byte| b",;|)]}\" \t".contains(byte)).unwrap_or(rest.len()),
            };
            self.escape(escape);
            return match end {
                0 => {
                    self.literal(&rest[..1]);
                    Some(1)
                }
                end => Some(end),
            };
        }
        if let Some(kind) = BACKEND_TYPES.iter().find(|kind| rest.starts_with(kind.as_bytes())) {
            self.escape("%b");
            return Some(kind.len());
        }
        if rest.starts_with(b"[local]") || rest.starts_with(b"[unknown]") {
            let escape = if rest[1] == b'l' { "%r" } else { self.next_name() };
            self.escape(escape);
            return memchr::memchr(b']', rest).map(|end| end + 1);
        }
        let length = rest.iter().take_while(|byte| byte.is_ascii_alphanumeric() || **byte == b'_').count();
        let word = std::str::from_utf8(rest.get(..length).filter(|word| !word.is_empty())?).ok()?;
        let after = &rest[length..];
        let gap = after.iter().take_while(|byte| b" =:\"".contains(byte)).count();
        let is_key = after[..gap].contains(&b'=') || after[..gap].starts_with(b":");
        if let Some((_, escape)) = KEYS.iter().find(|(keys, _)| is_key && keys.contains(&word.to_lowercase().as_str()))
        {
            self.literal(&rest[..length + gap]);
            self.awaited = Some(escape);
            return Some(length + gap);
        }
        self.value(word, after).map(|more| length + more)
    }

    /// A word without a key: what follows it may be part of the value, so many bytes are taken too.
    fn value(&mut self, word: &str, after: &[u8]) -> Option<usize> {
        let digits_after = |text: &[u8]| text.iter().take_while(|byte| byte.is_ascii_digit()).count();
        let is_number = word.bytes().all(|byte| byte.is_ascii_digit());
        match after.first() {
            Some(b'/') if is_number => self.escape("%v"),
            Some(b'/' | b'@') if !is_number => self.escape("%u"),
            _ if is_number && word.len() == 5 && word.starts_with("00") => self.escape("%e"),
            Some(b'.' | b'(') => {
                let end = after.iter().position(|byte| b" :,;|]".contains(byte)).unwrap_or(after.len());
                self.escape("%r");
                return Some(end);
            }
            _ if is_number => {
                let escape = if self.has("%p") { "%l" } else { "%p" };
                self.escape(escape);
                // `[7-1]` numbers a message and its only piece.
                if escape == "%l" && after.starts_with(b"-1]") {
                    self.literal(b"-1");
                    return Some(2);
                }
                return Some(0);
            }
            Some(b'-' | b'=' | b':') if !self.text.ends_with('@') => self.literal(word.as_bytes()),
            _ => {
                let escape = if self.text.ends_with('@') { "%d" } else { self.next_name() };
                self.escape(escape);
                return Some(0);
            }
        }
        Some(if after.starts_with(b"/") && is_number { 1 + digits_after(&after[1..]) } else { 0 })
    }

    /// Names without keys mostly come in this order.
    fn next_name(&self) -> &'static str {
        match (self.has("%u"), self.has("%d")) {
            (false, _) => "%u",
            (true, false) => "%d",
            (true, true) => "%a",
        }
    }
}
