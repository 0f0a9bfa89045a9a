//! The workload of a simulation: some sessions with transactions, single statements, pauses and errors of their own.
//!
//! Takes dice; gives the lines of a workload file, each request with its number in its text or its parameter. Must not know how it
//! is replayed.

use serde_json::{Value, json};

use super::super::story::inline;
use super::dice::Dice;
use super::log::marked;

/// Tenants that there are; some requests have none.
const TENANTS: u64 = 3;

/// A line in the making.
struct Line {
    t_us: u64,
    session: u32,
    value: Value,
    /// Of requests: the text, and whether it goes by the extended protocol.
    sent: Option<(String, bool)>,
}

/// The lines of a workload and the microsecond at which it ends.
pub(super) fn lines(dice: &mut Dice) -> (Vec<Value>, u64) {
    let span_us = dice.between(500_000, 10_000_000);
    let sessions = dice.between(2, 13) as u32;
    let mut told: Vec<Line> = (1..=sessions).flat_map(|session| Told::new(dice, session).tell(span_us)).collect();
    // Sorting keeps the order of a session's lines, and that of the opening of sessions which were there before.
    told.sort_by_key(|line| line.t_us);
    let span_us = told.last().map_or(0, |line| line.t_us) + dice.between(0, 500_000);
    let tenants = (0..TENANTS).map(|id| json!({"kind": "tenant", "id": id, "name": format!("tenant {id}")}));
    let mut lines: Vec<Value> = tenants.collect();
    let (mut event, mut sequences) = (0, vec![0; sessions as usize + 1]);
    for mut line in told {
        if let Some((text, is_extended)) = line.sent {
            let sequence: &mut u64 = &mut sequences[line.session as usize];
            let sent = match is_extended {
                true => (
                    "execute",
                    json!({"sql": inline(&text), "statement": statement_of(&text, event),
                    "parameters": [event.to_string()]}),
                ),
                false => ("simple", json!({"sql": inline(&marked(&text, event))})),
            };
            line.value[sent.0] = sent.1;
            line.value["sequence"] = json!(*sequence);
            (*sequence, event) = (*sequence + 1, event + 1);
        }
        lines.push(line.value);
    }
    let totals = json!({"sessions": sessions, "requests": event, "tenants": TENANTS, "span_us": span_us});
    let mut end = json!({"kind": "end"});
    end.as_object_mut().unwrap().extend(totals.as_object().unwrap().clone());
    lines.push(end);
    (lines, span_us)
}

/// A text has one name in all sessions, and each third execution has none.
fn statement_of(text: &str, event: u64) -> String {
    if event.is_multiple_of(3) { String::new() } else { format!("s{}", text.len()) }
}

/// One session being told.
struct Told<'d> {
    dice: &'d mut Dice,
    session: u32,
    now_us: u64,
    lines: Vec<Line>,
}

impl<'d> Told<'d> {
    fn new(dice: &'d mut Dice, session: u32) -> Self {
        Self { dice, session, now_us: 0, lines: Vec::new() }
    }

    fn tell(mut self, span_us: u64) -> Vec<Line> {
        let was_there = self.dice.happens(0.4);
        self.now_us = if was_there { 0 } else { self.dice.between(0, span_us / 2) };
        let mut open = json!({"kind": "open", "database": "app", "user": format!("u{}", self.session)});
        if was_there {
            open["began_before_capture"] = json!(true);
            open["state"] = json!({"settings": {"work_mem": "4MB"}});
        }
        self.push(open, None);
        let pause_us = self.dice.one_of(&[1_000, 100_000, 1_000_000]);
        let requests = self.dice.one_of(&[0, 1, 5, 10, 20]);
        let units = self.dice.between(0, requests + 1);
        for _ in 0..units {
            self.now_us += self.dice.between(0, pause_us);
            if self.now_us > span_us {
                break;
            }
            match self.dice.between(0, 10) {
                0..=2 => self.block(pause_us),
                3 => self.request("SET work_mem = '8MB'", None, None),
                _ => {
                    let (tenant, text, error) = (self.tenant(), self.statement(), self.error(0.05));
                    self.request(text, tenant, error);
                }
            }
        }
        if self.dice.happens(0.5) {
            self.now_us += self.dice.between(0, pause_us);
            self.push(json!({"kind": "close"}), None);
        }
        self.lines
    }

    /// A transaction block; in some something fails, and in some the client never comes to the end.
    fn block(&mut self, pause_us: u64) {
        let tenant = self.tenant();
        self.request("BEGIN", tenant, None);
        let mut is_aborted = false;
        for _ in 0..self.dice.between(0, 4) {
            self.now_us += self.dice.between(0, pause_us.min(50_000));
            let tenant = if self.dice.happens(0.9) { tenant } else { self.tenant() };
            let error = if is_aborted { Some("25P02") } else { self.error(0.08) };
            is_aborted |= error.is_some();
            let text = self.statement();
            self.request(text, tenant, error);
        }
        self.now_us += self.dice.between(0, pause_us.min(50_000));
        match self.dice.fraction() {
            odds if odds < 0.05 => {}
            odds if is_aborted || odds < 0.15 => self.request("ROLLBACK", tenant, None),
            _ => self.request("COMMIT", tenant, None),
        }
    }

    fn request(&mut self, text: &str, tenant: Option<u64>, error: Option<&str>) {
        let total_us = self.dice.one_of(&[0, 300, 2_000, 30_000, 400_000]);
        let is_extended = text.contains('$');
        let mut result = json!({"total_us": total_us});
        match error {
            Some(sqlstate) => result["sqlstate"] = json!(sqlstate),
            None if self.dice.happens(0.5) && !text.starts_with("BEGIN") => {
                result["rows"] = json!(self.dice.between(0, 3))
            }
            None => {}
        }
        let mut value = json!({"kind": "request", "results": [result]});
        if let Some(tenant) = tenant {
            value["tenant"] = json!(tenant);
        }
        self.push(value, Some((text.to_owned(), is_extended)));
        if total_us > 2_000 && self.dice.happens(0.1) {
            let (began_us, after_us) = (self.now_us, self.dice.between(0, total_us));
            self.now_us += after_us;
            self.push(json!({"kind": "cancel"}), None);
            self.now_us = began_us;
        }
        self.now_us += total_us;
    }

    fn push(&mut self, mut value: Value, sent: Option<(String, bool)>) {
        value["t_us"] = json!(self.now_us);
        value["session"] = json!(self.session);
        self.lines.push(Line { t_us: self.now_us, session: self.session, value, sent });
    }

    fn statement(&mut self) -> &'static str {
        self.dice.one_of(&[
            "SELECT a FROM t WHERE b = 1",
            "SELECT a FROM t WHERE b = $1",
            "UPDATE t SET a = 1 WHERE id = 1",
            "UPDATE t SET a = 1 WHERE id = 2",
            "INSERT INTO log (a) VALUES ($1)",
        ])
    }

    fn tenant(&mut self) -> Option<u64> {
        Some(self.dice.between(0, TENANTS + 1)).filter(|tenant| *tenant < TENANTS)
    }

    fn error(&mut self, probability: f64) -> Option<&'static str> {
        self.dice.happens(probability).then(|| self.dice.one_of(&["23505", "42P01", "40001"]))
    }
}
