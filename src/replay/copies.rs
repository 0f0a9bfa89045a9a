//! How often each session is replayed, and what each copy of it lies behind the captured times.
//!
//! Takes the scenario's choice; gives which requests a copy sends and offsets in microseconds of the workload, the same in
//! every run. Must not know when anything was captured.

use std::sync::Arc;
use std::time::Duration;

use super::unique::UniqueColumns;
use crate::words::chance::chance;

/// The copies of the sessions. Cheap to clone.
#[derive(Clone, Debug, PartialEq)]
pub struct Copies {
    /// Of what no tenant says otherwise.
    each: u16,
    /// How often each tenant's requests are sent, by the tenant's index; none where all are sent as often.
    tenants: Option<Arc<[f64]>>,
    /// The most copies of anything.
    most: u16,
    /// What each copy lies behind the one before.
    shift_us: u64,
    /// Each session of a copy lies behind it by its own part of this.
    jitter_us: u64,
    seed: u64,
    /// The columns whose values are others in each copy.
    unique: Option<Arc<UniqueColumns>>,
}

/// Whose a request is, where tenants have copies of their own: that of its whole transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Owner {
    /// The session's, which it makes ready: every copy needs it.
    Session,
    /// An index into the spool's tenants.
    Tenant(Option<u32>),
}

impl Owner {
    /// A number for it, small for the first tenants.
    pub fn code(self) -> u64 {
        match self {
            Self::Session => 0,
            Self::Tenant(None) => 1,
            Self::Tenant(Some(tenant)) => u64::from(tenant) + 2,
        }
    }

    /// The owner with this number.
    pub fn from_code(code: u64) -> Option<Self> {
        match code {
            0 => Some(Self::Session),
            1 => Some(Self::Tenant(None)),
            code => u32::try_from(code - 2).ok().map(|tenant| Self::Tenant(Some(tenant))),
        }
    }
}

/// What is left to chance; each has numbers of its own.
#[derive(Clone, Copy)]
enum Chance {
    Jitter,
    Part,
}

impl Copies {
    /// So many copies, at least one, spread evenly over a second of the workload, so that they do not arrive in the same
    /// microsecond.
    pub fn new(each: u16) -> Self {
        let each = each.max(1);
        Self { each, tenants: None, most: each, shift_us: shift_us(each), jitter_us: 0, seed: 0, unique: None }
    }

    /// Besides, each session of each copy but the first starts later by a part of `jitter` that it has for itself.
    pub fn with_jitter(self, jitter: Duration, seed: u64) -> Self {
        Self { jitter_us: u64::try_from(jitter.as_micros()).unwrap_or(u64::MAX), seed, ..self }
    }

    /// Each tenant's requests, by its index, are sent so often instead; of a fraction, so many of its sessions.
    pub fn with_tenants(self, times: Vec<f64>) -> Self {
        let most = times.iter().fold(f64::from(self.each), |most, times| most.max(times.ceil())) as u16;
        Self { tenants: Some(times.into()), most, shift_us: shift_us(most), ..self }
    }

    /// No two copies and rounds share a value of these columns.
    pub fn with_unique(self, unique: UniqueColumns) -> Self {
        Self { unique: Some(Arc::new(unique)), ..self }
    }

    /// The columns whose values are others in each variant; none for the first copy and round, which has the captured ones.
    pub fn unique(&self, copy: u16, round: u32) -> Option<(&UniqueColumns, u64)> {
        let variant = u64::from(round) * u64::from(self.most) + u64::from(copy);
        self.unique.as_deref().filter(|_| variant > 0).map(|unique| (unique, variant))
    }

    /// The most copies of anything.
    pub fn most(&self) -> u16 {
        self.most
    }

    /// Whether sessions differ in how often they are replayed.
    pub fn differ(&self) -> bool {
        self.tenants.is_some()
    }

    /// How often the session with this number sends what this tenant has in it.
    pub fn times(&self, number: u32, tenant: Option<u32>) -> u16 {
        let own = self.tenants.as_ref().zip(tenant).and_then(|(tenants, tenant)| tenants.get(tenant as usize));
        let (Some(times), Some(tenant)) = (own, tenant) else { return self.each };
        let is_in_part = self.chance(Chance::Part, number, u64::from(tenant)) < times.fract();
        times.floor() as u16 + u16::from(is_in_part)
    }

    /// Whether this copy of the session with this number sends what is this owner's.
    pub fn sends(&self, number: u32, copy: u16, owner: Owner) -> bool {
        match owner {
            Owner::Tenant(tenant) if self.differ() => copy < self.times(number, tenant),
            _ => true,
        }
    }

    /// Microseconds of the workload that a copy of the session with this number lies behind the capture.
    pub fn offset_us(&self, number: u32, copy: u16) -> u64 {
        let shifted_us = self.shift_us.saturating_mul(u64::from(copy));
        if copy == 0 || self.jitter_us == 0 {
            return shifted_us;
        }
        let part = self.chance(Chance::Jitter, number, u64::from(copy));
        shifted_us.saturating_add((self.jitter_us as f64 * part) as u64)
    }

    fn chance(&self, what: Chance, number: u32, occasion: u64) -> f64 {
        chance(&[self.seed, what as u64, u64::from(number), occasion])
    }
}

fn shift_us(copies: u16) -> u64 {
    1_000_000 / u64::from(copies.max(1))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn sessions_of_a_copy_lie_behind_it_by_different_times() {
        let copies = |seed| Copies::new(3).with_jitter(Duration::from_millis(500), seed);
        let offsets = |seed| (0..100).map(|number| copies(seed).offset_us(number, 1)).collect::<Vec<_>>();
        let mut apart = offsets(1);
        assert_eq!(apart, offsets(1));
        assert_ne!(apart, offsets(2));
        assert_ne!(copies(1).offset_us(7, 1) + 333_333, copies(1).offset_us(7, 2), "each copy has its own");
        apart.sort_unstable();
        apart.dedup();
        assert_eq!(apart.len(), 100);
    }

    #[test]
    fn a_tenant_has_its_own_copies_and_all_others_the_common_ones() {
        let copies = Copies::new(2).with_tenants(vec![3.0, 0.0, 2.0]);
        assert_eq!(copies.most(), 3);
        let times = |owner| (0..3).filter(|copy| copies.sends(0, *copy, owner)).count();
        assert_eq!([Some(0), Some(1), Some(2), Some(9), None].map(|of| times(Owner::Tenant(of))), [3, 0, 2, 2, 2]);
        assert_eq!(times(Owner::Session), 3);
    }

    #[test]
    fn each_copy_of_each_round_is_a_variant_of_its_own() {
        let copies = Copies::new(3);
        assert!(copies.unique(1, 1).is_none());
        let copies = copies.with_unique(UniqueColumns::new([], 1));
        let variants: Vec<_> = (0..2).flat_map(|round| (0..3).map(move |copy| (copy, round))).collect();
        let variants: Vec<_> =
            variants.iter().map(|(copy, round)| copies.unique(*copy, *round).map(|(_, of)| of)).collect();
        assert_eq!(variants, [None, Some(1), Some(2), Some(3), Some(4), Some(5)]);
    }

    #[test]
    fn of_a_fraction_so_many_sessions_have_one_more() {
        let copies = Copies::new(1).with_tenants(vec![1.25, 0.5]);
        let sum = |tenant| (0..1_000).map(|number| u32::from(copies.times(number, Some(tenant)))).sum::<u32>();
        assert!((1_200..1_300).contains(&sum(0)) && (450..550).contains(&sum(1)), "{} {}", sum(0), sum(1));
    }

    proptest! {
        #[test]
        fn the_first_copy_is_the_capture_and_the_others_lie_within_the_jitter(
            count in 1..=100_u16, jitter_us in 0..10_000_000_u64, seed: u64, number: u32, copy in 0..100_u16,
        ) {
            let copies = Copies::new(count).with_jitter(Duration::from_micros(jitter_us), seed);
            let plain_us = Copies::new(count).offset_us(number, copy);
            let offset_us = copies.offset_us(number, copy);
            prop_assert_eq!(copies.offset_us(number, 0), 0);
            prop_assert!((plain_us..plain_us + jitter_us.max(1)).contains(&offset_us));
        }

        #[test]
        fn no_tenant_has_more_copies_than_there_are(
            each in 1..=100_u16, times in proptest::collection::vec(0.0..100.0_f64, 0..4), seed: u64, number: u32,
            tenant: Option<u32>,
        ) {
            let copies = Copies::new(each).with_jitter(Duration::ZERO, seed).with_tenants(times);
            let tenant = tenant.map(|tenant| tenant % 5);
            prop_assert!(copies.times(number, tenant) <= copies.most());
        }

        #[test]
        fn an_owner_survives_its_number(tenant: Option<u32>) {
            for owner in [Owner::Session, Owner::Tenant(tenant)] {
                prop_assert_eq!(Owner::from_code(owner.code()), Some(owner));
            }
        }
    }
}
