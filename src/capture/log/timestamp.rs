//! The times of a server log.
//!
//! Takes texts such as `2026-11-22 15:09:15.123 UTC` and gives microseconds since the Unix epoch. A log names its zone by
//! an abbreviation that means one thing here and another there, so the offset is learned from the log itself wherever it
//! gives one moment twice: as local time and, in the session id, as seconds since the epoch. Must not know records.

/// A local time and the abbreviation of its zone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogTime<'a> {
    /// Microseconds since the epoch, if the zone were UTC.
    pub local_us: i64,
    /// `UTC`, `CET`, `-03`; empty where the log has none.
    pub zone: &'a [u8],
}

impl<'a> LogTime<'a> {
    /// Reads `YYYY-MM-DD HH:MM:SS[.fff] ZONE`; none for anything else.
    pub fn parse(text: &'a [u8]) -> Option<Self> {
        let (time, rest) = text.split_at_checked(19)?;
        let number = |from: usize, to: usize| digits(&time[from..to]);
        let separators = [time[4], time[7], time[10], time[13], time[16]];
        if separators != *b"-- ::" {
            return None;
        }
        let (year, month, day) = (number(0, 4)?, number(5, 7)?, number(8, 10)?);
        let (hour, minute, second) = (number(11, 13)?, number(14, 16)?, number(17, 19)?);
        if !(1..=12).contains(&month) || !(1..=31).contains(&day) || hour > 24 || minute > 59 || second > 60 {
            return None;
        }
        let (fraction_us, rest) = fraction(rest)?;
        let zone = rest.strip_prefix(b" ").or(rest.is_empty().then_some(rest))?;
        if !zone.iter().all(|byte| byte.is_ascii_alphanumeric() || b"+-:/_<>".contains(byte)) {
            return None;
        }
        let seconds = days_since_epoch(year, month, day) * 86_400 + hour * 3_600 + minute * 60 + second;
        Some(Self { local_us: seconds * 1_000_000 + fraction_us, zone })
    }
}

/// Reads the times of one log, most of which share their second and their zone with the one before.
#[derive(Debug, Default)]
pub struct Clock {
    /// The time read last, up to its second, and what that is without a fraction.
    second: [u8; 19],
    second_us: i64,
    zone: Vec<u8>,
}

impl Clock {
    /// As [`LogTime::parse`].
    pub fn read<'a>(&mut self, text: &'a [u8]) -> Option<LogTime<'a>> {
        if let Some(time) = self.in_same_second(text) {
            return Some(time);
        }
        let time = LogTime::parse(text)?;
        self.second.copy_from_slice(&text[..19]);
        let (fraction_us, _) = fraction(&text[19..])?;
        self.second_us = time.local_us - fraction_us;
        self.zone.clear();
        self.zone.extend_from_slice(time.zone);
        Some(time)
    }

    /// A time with three digits of fraction in the second and the zone of the last.
    fn in_same_second<'a>(&self, text: &'a [u8]) -> Option<LogTime<'a>> {
        let (second, rest) = text.split_first_chunk()?;
        let ([b'.', a, b, c, b' '], zone) = rest.split_first_chunk()? else { return None };
        let is_same =
            *second == self.second && *zone == *self.zone && [a, b, c].iter().all(|byte| byte.is_ascii_digit());
        let ms = [a, b, c].iter().fold(0, |ms, digit| ms * 10 + i64::from(*digit & 15));
        is_same.then(|| LogTime { local_us: self.second_us + ms * 1_000, zone })
    }
}

/// `.123` and what follows; 0 microseconds where there is no fraction.
fn fraction(rest: &[u8]) -> Option<(i64, &[u8])> {
    let Some(after_dot) = rest.strip_prefix(b".") else { return Some((0, rest)) };
    let length = after_dot.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let scale = 10_i64.pow(6_u32.checked_sub(u32::try_from(length).ok()?)?);
    Some((digits(&after_dot[..length])? * scale, &after_dot[length..]))
}

fn digits(text: &[u8]) -> Option<i64> {
    text.iter().try_fold(0, |number, byte| byte.is_ascii_digit().then(|| number * 10 + i64::from(byte - b'0')))
}

/// Days of the proleptic Gregorian calendar, counted in years that begin in March.
pub fn days_since_epoch(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    year * 365 + year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400) + day_of_year - 719_468
}

/// What the zone abbreviations of one capture mean.
#[derive(Debug, Default)]
pub struct Zones {
    /// Few: a server has one zone, with a summer time or without.
    known: Vec<Zone>,
}

#[derive(Debug)]
struct Zone {
    abbreviation: Vec<u8>,
    offset_us: i64,
    source: ZoneSource,
}

/// How the offset of a zone came to be known, the best first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum ZoneSource {
    Log,
    Table,
    Guess,
}

/// Abbreviations beyond this number are taken as UTC and not remembered.
const ZONES_MAX: usize = 64;

/// Zones lie on quarters of an hour.
const QUARTER_US: i64 = 900_000_000;

impl Zones {
    /// Whether the log itself taught the offset of this zone.
    pub fn is_learned(&self, zone: &[u8]) -> bool {
        self.find(zone).is_some_and(|zone| zone.source == ZoneSource::Log)
    }

    /// Learns from one moment given as local time and as seconds since the epoch.
    pub fn learn(&mut self, local: LogTime<'_>, epoch_s: i64) {
        if self.is_learned(local.zone) {
            return;
        }
        let difference_us = local.local_us - epoch_s * 1_000_000;
        // Both are of the same moment, cut to seconds or given in milliseconds.
        let offset_us = (difference_us + QUARTER_US / 2).div_euclid(QUARTER_US) * QUARTER_US;
        if (difference_us - offset_us).abs() < 2_000_000 && offset_us.abs() <= 15 * 4 * QUARTER_US {
            self.set(local.zone, offset_us, ZoneSource::Log);
        }
    }

    /// Microseconds since the epoch. The second value says that the zone is unknown and was taken as UTC.
    pub fn epoch_us(&mut self, time: LogTime<'_>) -> (i64, bool) {
        if self.find(time.zone).is_none() {
            match offset_minutes(time.zone) {
                Some(minutes) => self.set(time.zone, minutes * 60_000_000, ZoneSource::Table),
                None => self.set(time.zone, 0, ZoneSource::Guess),
            }
        }
        let zone = self.find(time.zone);
        let offset_us = zone.map_or(0, |zone| zone.offset_us);
        (time.local_us - offset_us, zone.is_none_or(|zone| zone.source == ZoneSource::Guess))
    }

    fn find(&self, abbreviation: &[u8]) -> Option<&Zone> {
        self.known.iter().find(|zone| zone.abbreviation == abbreviation)
    }

    fn set(&mut self, abbreviation: &[u8], offset_us: i64, source: ZoneSource) {
        self.known.retain(|zone| zone.abbreviation != abbreviation);
        if self.known.len() < ZONES_MAX {
            self.known.push(Zone { abbreviation: abbreviation.to_vec(), offset_us, source });
        }
    }
}

/// The offset that an abbreviation has by itself (`+0530`, `-03`), or in PostgreSQL's default set, where a log taught
/// nothing better.
fn offset_minutes(zone: &[u8]) -> Option<i64> {
    if let Some((sign @ (b'+' | b'-'), number)) = zone.split_first() {
        let sign = if *sign == b'+' { 1 } else { -1 };
        return match number.len() {
            2 => Some(sign * 60 * digits(number)?),
            4 => Some(sign * (60 * digits(&number[..2])? + digits(&number[2..])?)),
            5 if number[2] == b':' => Some(sign * (60 * digits(&number[..2])? + digits(&number[3..])?)),
            _ => None,
        };
    }
    Some(match zone {
        b"UTC" | b"GMT" | b"Z" | b"UCT" | b"WET" => 0,
        b"CET" | b"BST" | b"WEST" | b"MET" => 60,
        b"CEST" | b"EET" | b"SAST" | b"MEST" => 120,
        b"EEST" | b"MSK" => 180,
        b"PKT" => 300,
        b"IST" => 330,
        b"HKT" | b"SGT" | b"AWST" => 480,
        b"JST" | b"KST" => 540,
        b"ACST" => 570,
        b"AEST" => 600,
        b"AEDT" => 660,
        b"NZST" => 720,
        b"NZDT" => 780,
        b"ADT" | b"BRT" => -180,
        b"AST" | b"EDT" => -240,
        b"EST" | b"CDT" => -300,
        b"CST" | b"MDT" => -360,
        b"MST" | b"PDT" => -420,
        b"PST" | b"AKDT" => -480,
        b"AKST" => -540,
        b"HST" => -600,
        _ => return None,
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn time(text: &str) -> LogTime<'_> {
        LogTime::parse(text.as_bytes()).unwrap()
    }

    #[test]
    fn a_time_is_read_to_its_last_digit() {
        let read = time("2026-11-22 15:09:15.123 UTC");
        assert_eq!((read.local_us, read.zone), (1_795_360_155_123_000, b"UTC".as_slice()));
        assert_eq!(time("1970-01-01 00:00:01").local_us, 1_000_000);
        assert_eq!(time("2024-02-29 00:00:00.5 +0530").local_us % 1_000_000, 500_000);
        for wrong in [
            "2026-13-22 15:09:15 UTC",
            "2026-11-22T15:09:15 UTC",
            "2026-11-22 15:09:15,123",
            "2026-11-22 15:09:15 UTC [7]",
            "",
        ] {
            assert_eq!(LogTime::parse(wrong.as_bytes()), None, "{wrong}");
        }
    }

    #[test]
    fn offsets_come_from_the_log_before_any_table() {
        let mut zones = Zones::default();
        // Session 6009c305.5ce began at 18:08:05 UTC.
        zones.learn(time("2021-01-21 19:08:05 CET"), 0x6009_c305);
        zones.learn(time("2021-01-21 23:38:05 IST"), 0x6009_c305);
        assert_eq!(zones.epoch_us(time("2021-01-21 19:08:05.250 CET")), (0x6009_c305 * 1_000_000 + 250_000, false));
        assert_eq!(zones.epoch_us(time("2021-01-21 23:38:05 IST")).0, 0x6009_c305 * 1_000_000);
        assert_eq!(zones.epoch_us(time("2021-01-21 15:08:05 -03")), (0x6009_c305 * 1_000_000, false));
    }

    #[test]
    fn an_unknown_zone_keeps_its_times_in_relation() {
        let mut zones = Zones::default();
        let (first, guessed) = zones.epoch_us(time("2021-01-21 19:08:05 XYZ"));
        let (second, _) = zones.epoch_us(time("2021-01-21 19:08:07 XYZ"));
        assert!(guessed);
        assert_eq!(second - first, 2_000_000);
    }

    #[test]
    fn a_clock_reads_what_is_written() {
        let mut clock = Clock::default();
        for text in [
            "2026-11-22 15:09:15.123 UTC",
            "2026-11-22 15:09:15.999 UTC",
            "2026-11-22 15:09:15.9 UTC",
            "2026-11-22 15:09:15.000 CET",
            "2026-11-22 15:09:15.12x CET",
            "2026-11-22 15:09:15 CET",
            "2026-11-22 15:09:16.001 CET",
            "2026-11-22 15:09:16.001002 CET",
            "2026-11-22 15:09:16.001 C T",
            "",
        ] {
            assert_eq!(clock.read(text.as_bytes()), LogTime::parse(text.as_bytes()), "{text}");
        }
    }

    proptest! {
        #[test]
        fn times_agree_with_the_calendar(second in 0_i64..4_102_444_800) {
            let text = jiff::Timestamp::from_second(second).unwrap().strftime("%Y-%m-%d %H:%M:%S UTC").to_string();
            prop_assert_eq!(time(&text).local_us, second * 1_000_000);
        }
    }
}
