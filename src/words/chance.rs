//! What is left to chance: numbers that look random and are the same in every run.
//!
//! Takes numbers that say what is asked for, gives a number between 0 and 1. Pure. Must not know who asks.

/// A number in [0, 1) for these numbers, the same each time; other numbers give one that has nothing to do with it.
pub fn chance(asked: &[u64]) -> f64 {
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
        let numbers: Vec<f64> = (0..1_000).map(|number| chance(&[number, 1])).collect();
        assert!(numbers.iter().all(|number| (0.0..1.0).contains(number)));
        let in_quarter = |quarter: usize| numbers.iter().filter(|number| (*number * 4.0) as usize == quarter).count();
        assert!((0..4).all(|quarter| (200..300).contains(&in_quarter(quarter))));
        let again: Vec<f64> = (0..1_000).map(|number| chance(&[number, 1])).collect();
        assert_eq!(numbers, again);
        assert_ne!(numbers[7], chance(&[7, 2]));
    }
}
