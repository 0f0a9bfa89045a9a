//! The texts of a run's cells, each made once: names and fingerprints come again in nearly every sample.
//!
//! Takes the run's names, gives cells that share their bytes. Bounded by the names and by [`FINGERPRINTS_MAX`]. Must not
//! know columns.

use parquet::data_type::ByteArray;
use rustc_hash::FxHashMap;

use super::sample::Names;
use crate::words::ids::Fingerprint;

/// Fingerprints whose texts are kept; beyond that all are made anew.
const FINGERPRINTS_MAX: usize = 16_384;

/// Cells that are ready to be written.
pub(super) struct Texts {
    pub tenants: Vec<ByteArray>,
    pub databases: Vec<ByteArray>,
    pub endpoints: Vec<ByteArray>,
    fingerprints: FxHashMap<Fingerprint, ByteArray>,
}

impl Texts {
    /// The cells of a run's names, at the names' own indices.
    pub fn new(names: &Names) -> Self {
        let cells = |names: &[String]| names.iter().map(|name| ByteArray::from(name.as_str())).collect();
        Self {
            tenants: cells(&names.tenants),
            databases: cells(&names.databases),
            endpoints: cells(&names.endpoints),
            fingerprints: FxHashMap::default(),
        }
    }

    /// The cell of a fingerprint: 16 hexadecimal digits.
    pub fn fingerprint(&mut self, fingerprint: Fingerprint) -> ByteArray {
        if self.fingerprints.len() >= FINGERPRINTS_MAX && !self.fingerprints.contains_key(&fingerprint) {
            self.fingerprints.clear();
        }
        let made = || ByteArray::from(fingerprint.to_string().into_bytes());
        self.fingerprints.entry(fingerprint).or_insert_with(made).clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fingerprint_has_one_text_and_no_more_than_the_limit_are_kept() {
        let mut texts = Texts::new(&Names::default());
        for number in 0..FINGERPRINTS_MAX as u64 + 5 {
            assert_eq!(texts.fingerprint(Fingerprint(number)).data(), format!("{number:016x}").as_bytes());
            assert!(texts.fingerprints.len() <= FINGERPRINTS_MAX);
        }
        assert_eq!(texts.fingerprint(Fingerprint(3)).data(), b"0000000000000003");
    }
}
