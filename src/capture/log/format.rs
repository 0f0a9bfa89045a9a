//! Which format a log file has, and how it is decoded.
//!
//! Takes a file's first bytes and gives its format, its `log_line_prefix` and the order of its lines; makes the decoder.
//! Another format is another [`Form`], with its decoder. Must not know how files are opened.

use super::super::error::CaptureError;
use super::carrier::{self, Years};
use super::csvlog::CsvLog;
use super::decoder::{Decoder, Learned};
use super::json;
use super::jsonlog::{self, JsonLines};
use super::line_prefix::{Label, LinePrefix};
use super::lines::Lines;
use super::objects::{Cut, Objects};
use super::prefix_guess::{guess, label_at};
use super::timestamp::LogTime;

/// The format of a log, as far as it is given.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogFormat {
    /// Told by the first bytes of each file.
    #[default]
    Auto,
    Csv,
    Json,
    Stderr,
    Syslog,
}

/// How a file is decoded.
#[derive(Clone, Debug, PartialEq)]
pub struct Form {
    format: LogFormat,
    prefix: Option<LinePrefix>,
    /// When the first lines were written, and the last of those that were looked at.
    pub first_us: Option<i64>,
    pub last_us: Option<i64>,
    pub order: Order,
    /// The first line is none of a record's first.
    pub begins_within: bool,
}

/// The order in which a file's entries stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// As they were written.
    Forward,
    /// The youngest line first: somebody turned the file around.
    LinesBackward,
    /// The youngest JSON object first, as clouds show them.
    ObjectsBackward,
}

/// Lines that are looked at.
const LINES_MAX: usize = 2_000;

/// Why a file cannot be decoded.
pub enum Unfit {
    /// It is no log of a server.
    OtherKind,
    Error(CaptureError),
}

impl Form {
    /// Looks at a file's first bytes. `file` is its name, for errors; it was last written at `now_us`.
    ///
    /// # Errors
    /// It is no server log, or its prefix cannot be found out or tells no sessions.
    pub fn of(
        file: &str,
        head: &[u8],
        format: LogFormat,
        given: Option<&LinePrefix>,
        now_us: i64,
    ) -> Result<Self, Unfit> {
        let lines: Vec<&[u8]> = head.split(|byte| *byte == b'\n').map(without_line_end).take(LINES_MAX).collect();
        let format = match format {
            LogFormat::Auto => format_of(&lines, head).ok_or(Unfit::OtherKind)?,
            given => given,
        };
        let rows = if format == LogFormat::Json { rows(head) } else { Vec::new() };
        let prefix = match format {
            LogFormat::Csv | LogFormat::Auto => None,
            LogFormat::Json => {
                let inner: Vec<&[u8]> = rows.iter().filter_map(jsonlog::line_in).collect();
                match inner.iter().any(|line| label_at(line).is_some()) {
                    true => Some(prefix_of(file, &inner, given)?),
                    false => given.cloned(),
                }
            }
            LogFormat::Stderr => Some(prefix_of(file, &lines, given)?),
            LogFormat::Syslog => {
                let carried: Vec<_> = lines.iter().filter_map(|line| carrier::read(line)).collect();
                let inner: Vec<&[u8]> = carried.iter().map(|carried| carried.text.as_ref()).collect();
                Some(prefix_of(file, &inner, given)?)
            }
        };
        if let Some(prefix) = prefix.as_ref().filter(|prefix| format == LogFormat::Stderr && !prefix.holds(b"pc")) {
            return Err(Unfit::Error(CaptureError::PrefixWithoutSession {
                file: file.to_owned(),
                prefix: prefix.text().to_owned(),
            }));
        }
        if let Some(prefix) = prefix.as_ref().filter(|prefix| format == LogFormat::Stderr && !prefix.holds(b"tmns")) {
            return Err(Unfit::Error(CaptureError::PrefixWithoutTime {
                file: file.to_owned(),
                prefix: prefix.text().to_owned(),
            }));
        }
        let times = match format {
            LogFormat::Json => times_of_rows(&rows, prefix.as_ref()),
            _ => times(&lines, format, prefix.as_ref(), now_us),
        };
        let order = match (is_newest_first(&times), format) {
            (false, _) => Order::Forward,
            (true, LogFormat::Json) => Order::ObjectsBackward,
            (true, _) => Order::LinesBackward,
        };
        let begins_within = order == Order::Forward && begins_within(head, format, prefix.as_ref());
        let (first_us, last_us) = (times.first().copied(), times.last().copied());
        Ok(Self { format, prefix, first_us, last_us, order, begins_within })
    }

    /// Whether one decoder can go on from a file of this form to one of the other.
    pub fn is_decoded_as(&self, other: &Self) -> bool {
        let is_forward = self.order == Order::Forward && other.order == Order::Forward;
        is_forward && self.format == other.format && self.prefix == other.prefix
    }

    /// The prefix of its lines, if it has such.
    pub fn prefix(&self) -> Option<&LinePrefix> {
        self.prefix.as_ref()
    }

    /// As it is named in a workload.
    pub fn name(&self) -> &'static str {
        match self.format {
            LogFormat::Csv | LogFormat::Auto => "csvlog",
            LogFormat::Json => "jsonlog",
            LogFormat::Stderr => "stderr",
            LogFormat::Syslog => "syslog",
        }
    }

    /// The decoder of a file that was last written at `now_us`.
    pub fn decoder(&self, now_us: i64) -> Box<dyn Decoder> {
        let prefix = self.prefix.clone();
        match (self.format, prefix) {
            (LogFormat::Stderr, Some(prefix)) => Box::new(Lines::of_server(prefix)),
            (LogFormat::Syslog, Some(prefix)) => Box::new(Lines::of_carrier(prefix, now_us)),
            (LogFormat::Json, prefix) => Box::new(JsonLines::new(prefix)),
            _ => Box::new(CsvLog::default()),
        }
    }
}

fn without_line_end(line: &[u8]) -> &[u8] {
    line.strip_suffix(b"\r").unwrap_or(line)
}

/// The objects at the start of a file.
fn rows(head: &[u8]) -> Vec<json::Row<'_>> {
    let mut objects = Objects::default();
    let mut rest = head;
    let mut rows = Vec::new();
    while !rest.is_empty() && rows.len() < LINES_MAX {
        let length = match objects.cut(rest, false) {
            Cut::NeedMore => break,
            Cut::Object { bytes } => {
                rows.extend(json::read(&rest[..bytes]));
                bytes
            }
            Cut::Between { bytes } | Cut::Foreign { bytes } | Cut::Truncated { bytes } => bytes,
        };
        rest = &rest[length..];
    }
    rows
}

/// The format of a log that holds these lines; none of what no server wrote.
fn format_of(lines: &[&[u8]], head: &[u8]) -> Option<LogFormat> {
    if lines.iter().any(|line| csv_time(line).is_some()) {
        return Some(LogFormat::Csv);
    }
    if rows(head).iter().any(is_of_server) {
        return Some(LogFormat::Json);
    }
    let labelled = lines.iter().filter(|line| label_at(line).is_some());
    let (all, carried) =
        labelled.fold((0, 0), |(all, carried), line| (all + 1, carried + usize::from(carrier::read(line).is_some())));
    match all {
        0 => None,
        _ if 2 * carried > all => Some(LogFormat::Syslog),
        _ => Some(LogFormat::Stderr),
    }
}

/// Whether a JSON line is of a server, and not of a program that logs JSON too.
fn is_of_server(row: &json::Row<'_>) -> bool {
    !row.session_id.is_empty()
        || (!row.error_severity.is_empty() && row.pid.0 != 0)
        || jsonlog::line_in(row).is_some_and(|line| label_at(line).is_some())
}

/// The time of a csvlog's record: a comma follows it.
fn csv_time(line: &[u8]) -> Option<LogTime<'_>> {
    let comma = memchr::memchr(b',', &line[..line.len().min(64)])?;
    LogTime::parse(&line[..comma])
}

fn prefix_of(file: &str, lines: &[&[u8]], given: Option<&LinePrefix>) -> Result<LinePrefix, Unfit> {
    if let Some(given) = given {
        let labelled = lines.iter().filter(|line| label_at(line).is_some());
        let (all, fits) =
            labelled.fold((0, 0), |(all, fits), line| (all + 1, fits + usize::from(given.read(line).is_some())));
        return match all > 0 && fits == 0 {
            true => Err(Unfit::Error(CaptureError::PrefixDoesNotFit {
                file: file.to_owned(),
                prefix: given.text().to_owned(),
            })),
            false => Ok(given.clone()),
        };
    }
    match guess(lines) {
        Some(prefix) => Ok(prefix),
        None if lines.iter().any(|line| label_at(line).is_some()) => {
            Err(Unfit::Error(CaptureError::PrefixUnknown { file: file.to_owned() }))
        }
        None => Err(Unfit::OtherKind),
    }
}

/// The times of the lines that have one.
fn times(lines: &[&[u8]], format: LogFormat, prefix: Option<&LinePrefix>, now_us: i64) -> Vec<i64> {
    let mut learned = Learned::default();
    let mut years = Years::new(now_us);
    let time = |line: &&[u8]| match format {
        LogFormat::Stderr => time_in(line, prefix, &mut learned),
        LogFormat::Syslog => {
            let carried = carrier::read(line)?;
            time_in(&carried.text, prefix, &mut learned).or_else(|| Some(years.epoch_us(carried.time).0))
        }
        _ => csv_time(line).map(|time| learned.zones.epoch_us(time).0),
    };
    lines.iter().filter_map(time).collect()
}

/// The times of JSON objects.
fn times_of_rows(rows: &[json::Row<'_>], prefix: Option<&LinePrefix>) -> Vec<i64> {
    let mut learned = Learned::default();
    let time = |row: &json::Row<'_>| {
        let inner = jsonlog::line_in(row).and_then(|line| time_in(line, prefix, &mut learned));
        inner.or_else(|| jsonlog::time_of(row, &mut learned))
    };
    rows.iter().filter_map(time).collect()
}

/// The time that a line's own prefix tells.
fn time_in(line: &[u8], prefix: Option<&LinePrefix>, learned: &mut Learned) -> Option<i64> {
    let header = prefix?.read(line)?.header;
    header.epoch_us.or_else(|| Some(learned.zones.epoch_us(header.time.or(header.started)?).0))
}

/// Whether a file's first line is none of a record's first.
fn begins_within(head: &[u8], format: LogFormat, prefix: Option<&LinePrefix>) -> bool {
    let line = without_line_end(head.split(|byte| *byte == b'\n').next().unwrap_or_default());
    let begins = |line: &[u8]| {
        prefix.and_then(|prefix| prefix.read(line)).is_some_and(|line| matches!(line.label, Label::Entry(_)))
    };
    match format {
        LogFormat::Stderr => !begins(line),
        LogFormat::Syslog => carrier::read(line).is_none_or(|carried| !begins(&carried.text)),
        LogFormat::Json => !matches!(line.trim_ascii().first(), None | Some(b'{' | b'[')),
        LogFormat::Csv | LogFormat::Auto => csv_time(line).is_none(),
    }
}

/// Processes write a little out of order; a log that mostly runs backwards was turned around.
fn is_newest_first(times: &[i64]) -> bool {
    let (mut on, mut back) = (0_u32, 0_u32);
    for pair in times.windows(2) {
        on += u32::from(pair[0] < pair[1]);
        back += u32::from(pair[0] > pair[1]);
    }
    let runs_back = times.first() > times.last();
    runs_back && back > 3 * on
}
