//! What is left to chance in how clients behave.
//!
//! Takes who asks and what for, gives a number that is the same in every run. Pure.

use super::link::About;
use crate::words;

/// What is left to chance; each has numbers of its own.
#[derive(Clone, Copy, Debug)]
pub(super) enum Chance {
    /// The wait before a try to reconnect.
    Reconnect,
    /// The wait before a request is tried again.
    Retry,
    /// The session's part of the time until everybody sees a switched endpoint.
    EndpointLag,
}

/// A number in [0, 1) for a session, the matter, and the number of the occasion.
pub(super) fn chance(about: About, what: Chance, occasion: u64) -> f64 {
    words::chance::chance(&[u64::from(about.session) << 16 | u64::from(about.copy), what as u64, occasion])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_session_and_matter_has_numbers_of_its_own() {
        let about = |session| About { session, copy: 0, database: 0 };
        let asked = chance(about(7), Chance::Retry, 1);
        assert!((0.0..1.0).contains(&asked));
        assert_eq!(asked, chance(about(7), Chance::Retry, 1));
        assert_ne!(asked, chance(about(8), Chance::Retry, 1));
        assert_ne!(asked, chance(about(7), Chance::Retry, 2));
        assert_ne!(asked, chance(about(7), Chance::Reconnect, 1));
    }
}
