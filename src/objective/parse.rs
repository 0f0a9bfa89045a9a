//! Reads an objective's text.
//!
//! Takes one text and gives the rule, or what is wrong with it and where. Must not know where the text was written.

use std::ops::Range;

use super::pattern::Pattern;
use super::rule::{Bound, Dimension, Filter, FilterKey, Metric, Objective, Op, Percentile, Stat, StatementSide};
use crate::words::phase::Phase;
use crate::words::suggest;
use crate::words::time::parse_duration;

const METRICS: [&str; 11] = [
    "downtime",
    "downtime.read",
    "downtime.write",
    "held",
    "brownout",
    "recovery",
    "latency.p99",
    "service.p99",
    "errors.new",
    "lost_writes",
    "divergence",
];

const KEPT_HINT: &str = "times have p50, p75, p90, p95, p99 and p999 (99.9 percent)";

/// What is wrong with an objective, and where.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct ObjectiveError {
    pub message: String,
    /// Bytes of the text; empty at its end where something is missing.
    pub at: Range<usize>,
    pub hint: Option<String>,
}

/// Reads one objective.
///
/// # Errors
/// The first thing that is wrong, with its position in `text`.
pub fn parse(text: &str) -> Result<Objective, ObjectiveError> {
    let mut cursor = Cursor { text, at: 0 };
    let metric_start = cursor.skip_space();
    let metric = cursor.metric()?;
    let metric_end = cursor.at;
    let filters = cursor.filters(&metric, metric_start..metric_end)?;
    let stat = cursor.stat(&metric)?;
    let op = cursor.op()?;
    let bound_start = cursor.skip_space();
    let bound = cursor.bound(&metric)?;
    let objective = Objective { metric, filters, stat, op, bound };
    let compares = matches!(bound, Bound::TimesBefore(_));
    if compares && (objective.phases().is_empty() || objective.phases().contains(&Phase::Before)) {
        return Err(ObjectiveError {
            message: format!("\"{bound}\" needs a phase to compare with before"),
            at: bound_start..text.trim_end().len(),
            hint: Some(format!("write {}{{phase=after}} or {{phase=upgrade}}", objective.metric)),
        });
    }
    Ok(objective)
}

struct Cursor<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Cursor<'a> {
    fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    /// Moves to the next character that is no space, and says where it is.
    fn skip_space(&mut self) -> usize {
        self.at = self.text.len() - self.rest().trim_start().len();
        self.at
    }

    fn eat(&mut self, expected: char) -> bool {
        let eaten = self.rest().starts_with(expected);
        self.at += if eaten { expected.len_utf8() } else { 0 };
        eaten
    }

    /// Takes characters as long as they are wanted.
    fn take_while(&mut self, wanted: impl Fn(char) -> bool) -> &'a str {
        let rest = self.rest();
        let end = rest.find(|c| !wanted(c)).unwrap_or(rest.len());
        self.at += end;
        &rest[..end]
    }

    /// A name: letters, digits, `_`, `-` and `.`.
    fn word(&mut self) -> &'a str {
        self.take_while(|c| c.is_alphanumeric() || matches!(c, '_' | '-' | '.'))
    }

    fn error<T>(&self, from: usize, message: impl Into<String>, hint: impl Into<String>) -> Result<T, ObjectiveError> {
        Err(ObjectiveError { message: message.into(), at: from..self.at.max(from), hint: Some(hint.into()) })
    }

    fn metric(&mut self) -> Result<Metric, ObjectiveError> {
        let start = self.at;
        let word = self.word();
        if word == "step" {
            return self.step(start);
        }
        let (family, percentile) = word.split_once('.').map_or((word, None), |(family, rest)| (family, Some(rest)));
        let metric = match (word, family, percentile) {
            ("downtime", ..) => Metric::Downtime(None),
            ("downtime.read", ..) => Metric::Downtime(Some(StatementSide::Read)),
            ("downtime.write", ..) => Metric::Downtime(Some(StatementSide::Write)),
            ("held", ..) => Metric::Held,
            ("brownout", ..) => Metric::Brownout,
            ("recovery", ..) => Metric::Recovery,
            ("errors.new", ..) => Metric::ErrorsNew,
            ("lost_writes", ..) => Metric::LostWrites,
            ("divergence", ..) => Metric::Divergence,
            ("", ..) => return self.error(start, "an objective begins with a metric", metric_hint("")),
            (_, "latency" | "service", Some(text)) => {
                let Some(percentile) = percentile_from(text).filter(|percentile| percentile.is_kept()) else {
                    let message = format!("\"{text}\" is none of the percentiles that are kept");
                    return self.error(start + family.len() + 1, message, KEPT_HINT);
                };
                if family == "latency" { Metric::Latency(percentile) } else { Metric::Service(percentile) }
            }
            (_, "latency" | "service", None) => {
                return self.error(start, format!("{word} needs a percentile"), format!("write {word}.p99"));
            }
            _ => return self.error(start, format!("unknown metric \"{word}\""), metric_hint(word)),
        };
        Ok(metric)
    }

    /// `(NAME).duration`, behind `step`.
    fn step(&mut self, start: usize) -> Result<Metric, ObjectiveError> {
        const HINT: &str = "write step(NAME).duration, such as step(pg_upgrade).duration";
        if !self.eat('(') {
            return self.error(start, "step needs a name in parentheses", HINT);
        }
        let name = self.value(&[')'])?;
        if name.is_empty() || !self.eat(')') || !self.rest().starts_with(".duration") {
            return self.error(start, "a step has one metric, its duration", HINT);
        }
        self.at += ".duration".len();
        Ok(Metric::StepDuration(name))
    }

    /// A value up to one of `ends`, or one in double quotes with `\"` and `\\` inside.
    fn value(&mut self, ends: &[char]) -> Result<String, ObjectiveError> {
        self.skip_space();
        if !self.rest().starts_with('"') {
            let value = self.take_while(|c| !ends.contains(&c)).trim_end().to_owned();
            return Ok(value);
        }
        let start = self.at;
        self.eat('"');
        let mut value = String::new();
        let mut escaped = false;
        while let Some(c) = self.rest().chars().next() {
            self.at += c.len_utf8();
            match c {
                '\\' if !escaped => escaped = true,
                '"' if !escaped => {
                    self.skip_space();
                    return Ok(value);
                }
                c => {
                    escaped = false;
                    value.push(c);
                }
            }
        }
        self.error(start, "a quoted name has no closing quote", "add \" at its end")
    }

    fn filters(&mut self, metric: &Metric, metric_at: Range<usize>) -> Result<Vec<Filter>, ObjectiveError> {
        let mut filters: Vec<Filter> = Vec::new();
        self.skip_space();
        if !self.eat('{') {
            return Ok(filters);
        }
        let known = metric.filter_keys();
        if known.is_empty() {
            self.at = metric_at.end;
            return self.error(metric_at.start, format!("{metric} takes no filter"), "remove the braces");
        }
        loop {
            let start = self.skip_space();
            let filter = self.filter(metric, known)?;
            if filters.iter().any(|earlier| earlier.key == filter.key) {
                let message = format!("the filter \"{}\" stands here twice", filter.key.name());
                return self.error(start, message, "use * to match several names");
            }
            filters.push(filter);
            self.skip_space();
            if self.eat('}') {
                return Ok(filters);
            }
            if !self.eat(',') {
                let at = self.at;
                return self.error(
                    at,
                    "a filter ends with a comma or a closing brace",
                    "write {phase=after, tier=gold}",
                );
            }
        }
    }

    fn filter(&mut self, metric: &Metric, known: &[FilterKey]) -> Result<Filter, ObjectiveError> {
        let start = self.at;
        let written = self.word();
        let names: Vec<&str> = known.iter().map(|key| key.name()).collect();
        let Some(key) = FilterKey::ALL.into_iter().find(|key| key.name() == written) else {
            return self.error(start, format!("unknown filter \"{written}\""), suggest::hint(written, &names));
        };
        if !known.contains(&key) {
            let hint = format!("its filters are {}", names.join(", "));
            return self.error(start, format!("{metric} takes no filter by {written}"), hint);
        }
        self.skip_space();
        if !self.eat('=') {
            return self.error(
                start,
                format!("the filter \"{written}\" has no value"),
                format!("write {written}=NAME"),
            );
        }
        let value_start = self.skip_space();
        let value = self.value(&[',', '}'])?;
        let value_pattern = Pattern::new(&value);
        if key == FilterKey::Phase && !Phase::ALL[1..].iter().any(|phase| value_pattern.matches(phase.name())) {
            let hint = match value.as_str() {
                "warmup" => "the warm-up is left out of every figure; the phases are before, upgrade, after".to_owned(),
                _ => suggest::hint(&value, &["before", "upgrade", "after"]),
            };
            return self.error(value_start, format!("no measured phase is named \"{value}\""), hint);
        }
        Ok(Filter { key, value: value_pattern })
    }

    fn stat(&mut self, metric: &Metric) -> Result<Stat, ObjectiveError> {
        let start = self.skip_space();
        let word = self.word();
        let stat = match word {
            "" => return Ok(Stat::Max),
            "max" => Stat::Max,
            "mean" => Stat::Mean,
            _ => match percentile_from(word) {
                Some(percentile) => Stat::Percentile(percentile),
                None => {
                    let hint = suggest::hint(word, &["max", "mean", "p90", "p99"]);
                    return self.error(start, format!("unknown statistic \"{word}\""), hint);
                }
            },
        };
        if !metric.is_per_tenant() {
            let message = format!("{metric} is one figure for the whole run and takes no statistic");
            return self.error(start, message, format!("remove \"{word}\""));
        }
        Ok(stat)
    }

    fn op(&mut self) -> Result<Op, ObjectiveError> {
        let start = self.skip_space();
        let written = self.take_while(|c| matches!(c, '<' | '>' | '=' | '!' | '~'));
        match Op::ALL.into_iter().find(|op| op.name() == written) {
            Some(op) => Ok(op),
            None if written == "=" => self.error(start, "unknown operator \"=\"", "write == for equality"),
            None if written.is_empty() => {
                self.error(start, "here an operator must stand", "the operators are <, <=, ==, >= and >")
            }
            None => {
                self.error(start, format!("unknown operator \"{written}\""), "the operators are <, <=, ==, >= and >")
            }
        }
    }

    fn bound(&mut self, metric: &Metric) -> Result<Bound, ObjectiveError> {
        let start = self.at;
        let text = self.rest().trim_end();
        self.at = start + text.len();
        let number_end = text.find(|c: char| !(c.is_ascii_digit() || c == '.')).unwrap_or(text.len());
        let Ok(number) = text[..number_end].parse::<f64>() else {
            return self.error(start, "here a bound must stand, which begins with a number", bound_hint(metric));
        };
        let unit: Vec<&str> = text[number_end..].split_whitespace().collect();
        let compares = matches!(metric, Metric::Latency(_) | Metric::Service(_));
        match (unit.as_slice(), metric.dimension()) {
            (["x", "before"], _) if compares && number > 0.0 => Ok(Bound::TimesBefore(number)),
            ([], Dimension::Time) if number == 0.0 => Ok(Bound::Time(std::time::Duration::ZERO)),
            ([], Dimension::Count) if number.fract() == 0.0 && number < 1e15 => Ok(Bound::Count(number as u64)),
            (["%"], Dimension::Count) if *metric != Metric::LostWrites => Ok(Bound::Percent(number)),
            ([_], Dimension::Time) => match parse_duration(text) {
                Ok(time) => Ok(Bound::Time(time)),
                Err(message) => self.error(start, message, bound_hint(metric)),
            },
            _ => self.error(start, format!("{metric} cannot be bounded by \"{text}\""), bound_hint(metric)),
        }
    }
}

/// `p99`, `p999` for 99.9, or with a point: `p99.9`.
fn percentile_from(text: &str) -> Option<Percentile> {
    let digits = text.strip_prefix('p')?;
    let (whole, part) = match digits.split_once('.') {
        Some((whole, part)) => (whole, part),
        None if digits.starts_with('9') && digits.is_ascii() && digits.len() > 2 => digits.split_at(2),
        None => (digits, ""),
    };
    let numeric = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
    if whole.is_empty() || whole.len() > 2 || part.len() > 3 || !numeric(whole) || !numeric(part) {
        return None;
    }
    Percentile::from_millipercent(format!("{whole}{part:0<3}").parse().ok()?)
}

fn metric_hint(word: &str) -> String {
    match suggest::nearest(word, METRICS) {
        Some(name) => format!("did you mean {name}?"),
        None => format!("the metrics are {}, step(NAME).duration", METRICS.join(", ")),
    }
}

fn bound_hint(metric: &Metric) -> &'static str {
    match metric {
        Metric::Latency(_) | Metric::Service(_) => "write a time such as 50ms, or 1.5x before",
        Metric::LostWrites => "write a count such as 0",
        Metric::ErrorsNew | Metric::Divergence => "write a count such as 0, or a share of the requests such as 0.1%",
        _ => "write a time such as 30s",
    }
}

#[cfg(test)]
mod tests;
