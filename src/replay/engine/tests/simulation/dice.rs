//! What a simulation leaves to chance: numbers that follow from its seed alone.
//!
//! [`Dice`] are rolled one after the other, for what is made in a fixed order; [`Odds`] are asked by matter and occasion, for what
//! happens in an order that the engine decides. Pure.

use crate::words::chance::chance;

/// Numbers one after the other.
#[derive(Clone, Debug)]
pub(super) struct Dice {
    seed: u64,
    rolled: u64,
}

impl Dice {
    pub fn new(seed: u64) -> Self {
        Self { seed, rolled: 0 }
    }

    /// A number in [0, 1).
    pub fn fraction(&mut self) -> f64 {
        self.rolled += 1;
        chance(&[self.seed, self.rolled])
    }

    pub fn happens(&mut self, probability: f64) -> bool {
        self.fraction() < probability
    }

    /// A number from `low` on and below `high`.
    pub fn between(&mut self, low: u64, high: u64) -> u64 {
        low + ((high - low) as f64 * self.fraction()) as u64
    }

    pub fn one_of<T: Clone>(&mut self, choices: &[T]) -> T {
        choices[self.between(0, choices.len() as u64) as usize].clone()
    }
}

/// Numbers by matter and occasion.
#[derive(Clone, Copy, Debug)]
pub(super) struct Odds(pub u64);

/// What is asked for; each has numbers of its own.
#[derive(Clone, Copy, Debug)]
pub(super) enum Matter {
    Dial,
    DialDelay,
    Login,
    LoginTime,
    Life,
    Deed,
    WhichError,
    ServiceTime,
    ParseFails,
    Cancel,
}

impl Odds {
    /// A number in [0, 1).
    pub fn of(self, what: Matter, of: usize, occasion: usize) -> f64 {
        chance(&[self.0, 1 + what as u64, of as u64, occasion as u64])
    }

    /// A number between two, the lesser ones being likelier.
    pub fn skewed(self, what: Matter, of: usize, occasion: usize, (low, high): (u64, u64)) -> u64 {
        low + ((high - low) as f64 * self.of(what, of, occasion).powi(3)) as u64
    }
}

#[test]
fn numbers_follow_from_the_seed_alone() {
    let rolls = |seed| {
        let mut dice = Dice::new(seed);
        (0..100).map(|_| dice.between(10, 20)).collect::<Vec<_>>()
    };
    assert_eq!(rolls(1), rolls(1));
    assert_ne!(rolls(1), rolls(2));
    assert!(rolls(3).iter().all(|number| (10..20).contains(number)));
    assert_ne!(Odds(1).of(Matter::Deed, 1, 2), Odds(1).of(Matter::Deed, 2, 1));
}
