//! What `pg_upgrade` prints, read as phases.
//!
//! Takes its standard output in the pieces in which it arrives: a label comes first and its result ("ok") when the phase
//! is done, so that the time between the two is the phase's. Gives phases and what was said after a failure. Pure: must
//! not know clocks or files.

/// The width to which a label is padded before its result follows (`MESSAGE_WIDTH` in `pg_upgrade.h`).
const LABEL_WIDTH: usize = 60;

/// Results that mean that all is well.
const GOOD: [&str; 2] = ["ok", "skipped"];

/// Results that need an eye and stop nothing.
pub(super) const WARNINGS: [&str; 2] = ["warning", "notice"];

/// Results that end the run.
const FAILURES: [&str; 3] = ["fatal", "failed", "*failure*"];

/// Lines that are kept after a failure, so that a list of a thousand relations does not become the reason.
const REASON_LINES_MAX: usize = 12;

/// Something that the output has shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PhaseEvent {
    Started(String),
    /// The phase last started is over; `result` as printed, empty when other text took its place.
    Ended {
        result: String,
        good: bool,
    },
}

/// The reader of the output.
#[derive(Debug, Default)]
pub struct PhaseReader {
    /// The line that has no end yet.
    line: Vec<u8>,
    /// The label of the phase that runs.
    running: Option<String>,
    /// The label of the phase that failed.
    failed: Option<String>,
    /// What was said since the failure.
    said: Vec<String>,
}

impl PhaseReader {
    /// Takes the next piece and gives what it has shown.
    pub fn push(&mut self, piece: &[u8]) -> Vec<PhaseEvent> {
        let mut events = Vec::new();
        let mut parts = piece.split(|byte| *byte == b'\n').peekable();
        while let Some(part) = parts.next() {
            self.line.extend_from_slice(part);
            if parts.peek().is_some() {
                let line = String::from_utf8_lossy(&std::mem::take(&mut self.line)).into_owned();
                self.end_line(&line, &mut events);
            }
        }
        // Everything else is printed with its line end at once: an open line of this width is a label.
        if self.running.is_none() && self.failed.is_none() && self.line.len() >= LABEL_WIDTH {
            let line = String::from_utf8_lossy(&self.line).into_owned();
            let label = labelled(&line).map_or(line.as_str(), |(label, _)| label).trim();
            self.start(label.to_owned(), &mut events);
        }
        events
    }

    /// The label of the phase that failed, if one did.
    pub fn failed(&self) -> Option<&str> {
        self.failed.as_deref()
    }

    /// What `pg_upgrade` said after the failure, its own words on lines of their own.
    pub fn reason(&self) -> String {
        self.said.join("\n")
    }

    fn start(&mut self, label: String, events: &mut Vec<PhaseEvent>) {
        events.push(PhaseEvent::Started(label.clone()));
        self.running = Some(label);
    }

    fn end_line(&mut self, line: &str, events: &mut Vec<PhaseEvent>) {
        if self.running.is_none()
            && self.failed.is_none()
            && let Some((label, result)) = labelled(line)
            && is_result(result)
        {
            self.start(label.to_owned(), events);
        }
        let Some(label) = self.running.clone() else { return self.note(line) };
        let own_line = line.strip_prefix(label.as_str()).map(str::trim);
        let result = own_line.unwrap_or(line.trim());
        // A label without a result: lines about its parts may follow, and its result at last.
        if result.is_empty() || (own_line.is_none() && line.starts_with("  ")) {
            return;
        }
        self.running = None;
        let good = GOOD.contains(&result);
        if good || WARNINGS.contains(&result) {
            // A warning explains itself and goes on.
            return events.push(PhaseEvent::Ended { result: result.to_owned(), good });
        }
        self.failed = Some(label);
        self.said.clear();
        // Some failures print a result, others their message in its place.
        let printed = own_line.is_some() || FAILURES.contains(&result);
        events.push(PhaseEvent::Ended { result: if printed { result.to_owned() } else { String::new() }, good });
        if !printed {
            self.note(line);
        }
    }

    fn note(&mut self, line: &str) {
        let line = line.trim();
        let boilerplate = line.is_empty() || line == "Failure, exiting";
        if self.failed.is_some() && !boilerplate && self.said.len() < REASON_LINES_MAX {
            self.said.push(line.to_owned());
        }
    }
}

/// A line with a padded label and perhaps a result, in two.
fn labelled(line: &str) -> Option<(&str, &str)> {
    let (label, result) = line.split_at_checked(LABEL_WIDTH)?;
    let padded = label.ends_with(' ') && !label.starts_with(' ');
    padded.then(|| (label.trim_end(), result.trim()))
}

/// Whether this may stand behind a label on a whole line; the rest of a sentence that has a space at that very place may
/// not.
fn is_result(text: &str) -> bool {
    text.is_empty() || [&GOOD[..], &WARNINGS, &FAILURES].iter().any(|results| results.contains(&text))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn label(text: &str) -> String {
        format!("{text:<60}")
    }

    fn started(text: &str) -> PhaseEvent {
        PhaseEvent::Started(text.to_owned())
    }

    fn ended(result: &str, good: bool) -> PhaseEvent {
        PhaseEvent::Ended { result: result.to_owned(), good }
    }

    #[test]
    fn a_sentence_that_breaks_where_a_label_ends_is_no_phase() {
        let mut reader = PhaseReader::default();
        let text = "\nBecause \"swap\" mode was used, the old cluster can no longer be\nsafely started.\n";
        assert_eq!(reader.push(text.as_bytes()), []);
        assert_eq!(reader.push(label("Swapping data directories").as_bytes()), [started("Swapping data directories")]);
        assert_eq!(reader.push(b"ok\n"), [ended("ok", true)]);
    }

    #[test]
    fn a_phase_begins_with_its_label_and_ends_with_its_result() {
        let mut reader = PhaseReader::default();
        assert_eq!(reader.push(b"Performing Upgrade\n------------------\n"), []);
        assert_eq!(
            reader.push(label("Setting locale and encoding for new cluster").as_bytes()),
            [started("Setting locale and encoding for new cluster")]
        );
        assert_eq!(reader.push(b"ok\n"), [ended("ok", true)]);
        let both = format!("{}ok\n", label("Checking cluster versions"));
        assert_eq!(reader.push(both.as_bytes()), [started("Checking cluster versions"), ended("ok", true)]);
        assert_eq!(reader.failed(), None);
    }

    #[test]
    fn it_does_not_matter_how_the_output_is_cut() {
        let output = format!(
            "Performing Consistency Checks\n-----------------------------\n{}ok\n{}fatal\n\nThe source cluster contains \
             prepared transactions\nFailure, exiting\n",
            label("Checking cluster versions"),
            label("Checking for prepared transactions")
        );
        let whole = PhaseReader::default().push(output.as_bytes());
        for size in 1..output.len() {
            let mut reader = PhaseReader::default();
            let events: Vec<PhaseEvent> = output.as_bytes().chunks(size).flat_map(|part| reader.push(part)).collect();
            assert_eq!(events, whole, "pieces of {size}");
            assert_eq!(reader.failed(), Some("Checking for prepared transactions"));
            assert_eq!(reader.reason(), "The source cluster contains prepared transactions");
        }
    }

    #[test]
    fn a_label_over_the_width_is_a_phase_when_its_result_comes_later() {
        let long = "Checking for a condition that takes more than sixty characters to say";
        let mut reader = PhaseReader::default();
        assert_eq!(reader.push(long.as_bytes()), [started(long)]);
        assert_eq!(reader.push(b"ok\n"), [ended("ok", true)]);
    }

    #[test]
    fn sentences_are_no_phases() {
        let mut reader = PhaseReader::default();
        let text = "Some statistics are not transferred by pg_upgrade. Once you start the new server\n\
                    consider running these two commands, which take a while on a large database:\n";
        assert_eq!(reader.push(text.as_bytes()), []);
    }

    #[test]
    fn a_message_in_place_of_a_result_is_the_reason() {
        let mut reader = PhaseReader::default();
        reader.push(label("Checking for prepared transactions").as_bytes());
        let events = reader.push(b"\nThe source cluster contains prepared transactions\nFailure, exiting\n");
        assert_eq!(events, [ended("", false)]);
        assert_eq!(reader.failed(), Some("Checking for prepared transactions"));
        assert_eq!(reader.reason(), "The source cluster contains prepared transactions");
    }

    #[test]
    fn a_failure_in_the_middle_of_a_phase_is_one() {
        let mut reader = PhaseReader::default();
        reader.push(format!("{}\n  template1\n", label("Restoring database schemas in the new cluster")).as_bytes());
        let events = reader.push(b"*failure*\n\nConsult the last few lines of \"/x/y.log\" for\nthe probable cause\n");
        assert_eq!(events, [ended("*failure*", false)]);
        assert_eq!(reader.failed(), Some("Restoring database schemas in the new cluster"));
        assert!(reader.reason().starts_with("Consult the last few lines of"));
    }
}
