//! The phase file: what the driver of a sharded rehearsal tells the other shards through shared storage.
//!
//! JSON lines, a header first, then events as they happen; only the driver writes, and only at the end. Takes the bytes that
//! were added to it and gives whole lines; a last line that is torn waits for its rest. Must not know where the file lies.

use serde::{Deserialize, Serialize};

use super::What;

/// The version in the header.
pub const PHASES_VERSION: u32 = 1;

/// The format's name in the header.
pub const PHASES_FORMAT: &str = "pgrehearse-phases";

/// Bytes of one line at most; the driver's are much shorter, so that what is longer is another file.
const LINE_BYTES_MAX: usize = 64 << 10;

/// The first line: which rehearsal it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PhasesHeader {
    pub format: String,
    pub version: u32,
    /// RFC 3339, by the database's clock: the moment at which captured time 0 lies.
    pub start_at: String,
    pub workload_sha256: String,
    pub shards: u32,
}

/// Every other line.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PhaseEvent {
    /// Microseconds since the start, by the database's clock; negative before it.
    pub at_us: i64,
    #[serde(flatten)]
    pub what: What,
}

impl What {
    /// Whether the other shards are told.
    pub fn concerns_shards(&self) -> bool {
        matches!(
            self,
            Self::PhaseStarted { .. }
                | Self::PhaseEnded { .. }
                | Self::DriverAlive
                | Self::EndpointSwitched { .. }
                | Self::Interrupted { .. }
                | Self::RunEnded { .. }
        )
    }
}

/// Why the file cannot be followed.
#[derive(Debug, thiserror::Error)]
pub enum PhasesError {
    #[error("line {line} of the phase file is damaged")]
    Line { line: u64, source: serde_json::Error },
    #[error("line {line} of the phase file is longer than {LINE_BYTES_MAX} bytes")]
    TooLong { line: u64 },
    #[error("this is no phase file, or one of version {version}; this program reads version {PHASES_VERSION}")]
    Version { version: u32 },
    #[error(
        "the phase file belongs to another rehearsal: its {what} is {theirs}, ours is {ours}\n\
         hint: Give all shards of a rehearsal a phase file of its own, and the same arguments."
    )]
    OtherRehearsal { what: &'static str, theirs: String, ours: String },
}

/// Reads a phase file as it grows.
#[derive(Debug)]
pub struct PhaseReader {
    expected: PhasesHeader,
    torn: Vec<u8>,
    lines: u64,
}

impl PhaseReader {
    /// A reader of the rehearsal with this header.
    pub fn new(expected: PhasesHeader) -> Self {
        Self { expected, torn: Vec::new(), lines: 0 }
    }

    /// Takes the next bytes of the file and gives the events that they complete.
    ///
    /// # Errors
    /// A line that is damaged or a file of another rehearsal.
    pub fn take(&mut self, bytes: &[u8]) -> Result<Vec<PhaseEvent>, PhasesError> {
        self.torn.extend_from_slice(bytes);
        let mut events = Vec::new();
        let mut from = 0;
        while let Some(length) = self.torn[from..].iter().position(|&byte| byte == b'\n') {
            let line = &self.torn[from..from + length];
            self.lines += 1;
            let damaged = |source| PhasesError::Line { line: self.lines, source };
            match self.lines {
                1 => compare(&serde_json::from_slice(line).map_err(damaged)?, &self.expected)?,
                _ => events.push(serde_json::from_slice(line).map_err(damaged)?),
            }
            from += length + 1;
        }
        self.torn.drain(..from);
        match self.torn.len() {
            0..=LINE_BYTES_MAX => Ok(events),
            _ => Err(PhasesError::TooLong { line: self.lines + 1 }),
        }
    }

    /// Whether the driver has begun.
    pub fn has_begun(&self) -> bool {
        self.lines > 0
    }
}

fn compare(theirs: &PhasesHeader, ours: &PhasesHeader) -> Result<(), PhasesError> {
    if theirs.format != PHASES_FORMAT || theirs.version != PHASES_VERSION {
        return Err(PhasesError::Version { version: theirs.version });
    }
    let shards = (theirs.shards.to_string(), ours.shards.to_string());
    let pairs = [
        ("start", &theirs.start_at, &ours.start_at),
        ("workload", &theirs.workload_sha256, &ours.workload_sha256),
        ("number of shards", &shards.0, &shards.1),
    ];
    match pairs.into_iter().find(|(_, theirs, ours)| theirs != ours) {
        None => Ok(()),
        Some((what, theirs, ours)) => {
            Err(PhasesError::OtherRehearsal { what, theirs: theirs.clone(), ours: ours.clone() })
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::timeline::Phase;

    /// The stored file of version 1: every later version must read it. Its last line is torn.
    const GOLDEN: &[u8] = include_bytes!("../../tests/formats/phases-1.jsonl");

    fn header() -> PhasesHeader {
        PhasesHeader {
            format: PHASES_FORMAT.to_owned(),
            version: PHASES_VERSION,
            start_at: "2026-01-05T10:00:00Z".to_owned(),
            workload_sha256: "ab12".to_owned(),
            shards: 4,
        }
    }

    fn event(at_us: i64, what: What) -> PhaseEvent {
        PhaseEvent { at_us, what }
    }

    fn golden_events() -> Vec<PhaseEvent> {
        vec![
            event(-1_900_000, What::PhaseStarted { phase: Phase::Warmup }),
            event(5_000_000, What::PhaseEnded { phase: Phase::Warmup }),
            event(9_000_000, What::EndpointSwitched { endpoint: "primary".into(), server: "new".into() }),
            event(10_000_000, What::RunEnded { complete: true }),
        ]
    }

    #[test]
    fn the_golden_file_of_version_1_can_be_read_and_a_torn_last_line_waits() {
        let mut reader = PhaseReader::new(header());
        assert!(!reader.has_begun());
        assert_eq!(reader.take(GOLDEN).unwrap(), golden_events());
        assert!(reader.has_begun());
        let rest = reader.take(b"pted\",\"signal\":\"SIGTERM\"}\n").unwrap();
        assert_eq!(rest, [event(11_000_000, What::Interrupted { signal: "SIGTERM".into() })]);
    }

    proptest::proptest! {
        #[test]
        fn it_does_not_matter_where_the_bytes_are_cut(cut in 0..GOLDEN.len()) {
            let mut reader = PhaseReader::new(header());
            let mut events = reader.take(&GOLDEN[..cut]).unwrap();
            events.extend(reader.take(&GOLDEN[cut..]).unwrap());
            proptest::prop_assert_eq!(events, golden_events());
        }

        #[test]
        fn other_bytes_are_an_error_or_wait(bytes: Vec<u8>) {
            let _ = PhaseReader::new(header()).take(&bytes);
        }
    }

    #[test]
    fn a_driver_that_has_nothing_else_to_say_says_that_it_goes_on() {
        let mut reader = PhaseReader::new(header());
        let lines = serde_json::to_string(&header()).unwrap() + "\n{\"at_us\":5,\"event\":\"driver_alive\"}\n";
        assert_eq!(reader.take(lines.as_bytes()).unwrap(), [event(5, What::DriverAlive)]);
    }

    #[test]
    fn a_file_of_another_rehearsal_is_refused_and_says_by_what() {
        let ours = PhasesHeader { start_at: "2026-01-06T10:00:00Z".into(), ..header() };
        let error = PhaseReader::new(ours).take(GOLDEN).unwrap_err().to_string();
        assert!(error.contains("its start is 2026-01-05T10:00:00Z, ours is 2026-01-06T10:00:00Z"), "{error}");
        let ours = PhasesHeader { shards: 5, ..header() };
        let error = PhaseReader::new(ours).take(GOLDEN).unwrap_err().to_string();
        assert!(error.contains("its number of shards is 4, ours is 5"), "{error}");
    }

    #[test]
    fn a_damaged_line_is_named_with_its_number() {
        let mut reader = PhaseReader::new(header());
        reader.take(GOLDEN).unwrap();
        assert_eq!(reader.take(b"\n").unwrap_err().to_string(), "line 6 of the phase file is damaged");
        let endless = PhaseReader::new(header()).take(&vec![b' '; LINE_BYTES_MAX + 1]).unwrap_err();
        assert!(matches!(endless, PhasesError::TooLong { line: 1 }));
    }
}
