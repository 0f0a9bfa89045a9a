//! What is left to chance in how clients behave: numbers that look random and are the same in every run.
//!
//! Takes who asks and what for, gives a number. Pure.

use super::link::About;

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
    let asked = [u64::from(about.session) << 16 | u64::from(about.copy), what as u64, occasion];
    let mixed = asked.iter().fold(0, |mixed, number| mix(mixed ^ number));
    (mixed >> 11) as f64 / (1_u64 << 53) as f64
}

/// The output function of splitmix64 (Steele, Lea and Flood), with its increment.
fn mix(number: u64) -> u64 {
    let number = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let number = (number ^ number >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let number = (number ^ number >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    number ^ number >> 31
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chance_is_even_and_the_same_each_time() {
        let about = |session| About { session, copy: 0, database: 0 };
        let numbers: Vec<f64> = (0..1_000).map(|session| chance(about(session), Chance::Retry, 1)).collect();
        assert!(numbers.iter().all(|number| (0.0..1.0).contains(number)));
        let in_quarter = |quarter: usize| numbers.iter().filter(|number| (*number * 4.0) as usize == quarter).count();
        assert!((0..4).all(|quarter| (200..300).contains(&in_quarter(quarter))));
        let again: Vec<f64> = (0..1_000).map(|session| chance(about(session), Chance::Retry, 1)).collect();
        assert_eq!(numbers, again);
        assert_ne!(numbers[7], chance(about(7), Chance::Retry, 2));
        assert_ne!(numbers[7], chance(about(7), Chance::Reconnect, 1));
    }
}
