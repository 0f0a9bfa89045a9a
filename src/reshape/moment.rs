//! Moments of a workload as people write them: `5m` into it, or a date and time.
//!
//! Takes texts and the moment of a workload's start, and gives microseconds. Must not know what happens then.

use std::str::FromStr;

use jiff::Timestamp;

use super::error::ReshapeError;
use crate::words::time::parse_duration;
use crate::workload::record::Header;

/// A moment of a workload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moment {
    /// Microseconds into the workload.
    Offset(u64),
    At(Timestamp),
}

impl FromStr for Moment {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Ok(at) = text.parse() {
            return Ok(Self::At(at));
        }
        match parse_duration(text) {
            Ok(offset) => Ok(Self::Offset(u64::try_from(offset.as_micros()).unwrap_or(u64::MAX))),
            Err(_) => Err(format!(
                "\"{text}\" is neither an offset such as 90s or 5m nor a time such as 2026-01-05T09:30:00Z"
            )),
        }
    }
}

impl Moment {
    /// Microseconds into a workload that began at `started_us`; the start for every moment before it.
    pub fn offset_us(self, started_us: i64) -> u64 {
        match self {
            Self::Offset(us) => us,
            Self::At(at) => u64::try_from(at.as_microsecond().saturating_sub(started_us)).unwrap_or(0),
        }
    }
}

/// The moment of a workload's `t_us` 0, microseconds since 1970.
///
/// # Errors
/// The header does not say it as RFC 3339 does.
pub fn started_us(header: &Header) -> Result<i64, ReshapeError> {
    let started: Result<Timestamp, _> = header.started_at.parse();
    started.map(Timestamp::as_microsecond).map_err(|_| ReshapeError::Asked {
        primary: "the workload's \"started_at\" is not an RFC 3339 time".to_owned(),
        hint: "correct it in the workload's first line".to_owned(),
    })
}

/// The moment in the form of the header.
pub fn rfc3339(started_us: i64) -> String {
    Timestamp::from_microsecond(started_us).unwrap_or(Timestamp::UNIX_EPOCH).to_string()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_offsets_or_times() {
        assert_eq!("5m".parse(), Ok(Moment::Offset(300_000_000)));
        let at: Moment = "2026-01-05T09:00:01+00:00".parse().unwrap();
        let started: Timestamp = "2026-01-05T09:00:00Z".parse().unwrap();
        assert_eq!(at.offset_us(started.as_microsecond()), 1_000_000);
        assert_eq!(at.offset_us(started.as_microsecond() + 5_000_000), 0, "before the start is the start");
        assert!("noon".parse::<Moment>().unwrap_err().contains("neither an offset"));
    }
}
