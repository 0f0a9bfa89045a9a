//! Spans of time and their unions.
//!
//! Takes and gives half-open spans in microseconds of the run. Must not know what happened in them.

use std::collections::BTreeMap;

/// A stretch of time, from `start_us` up to and without `end_us`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Span {
    pub start_us: u64,
    pub end_us: u64,
}

impl Span {
    /// The span between two moments; empty at `start_us` when they are the wrong way round.
    pub fn new(start_us: u64, end_us: u64) -> Self {
        Self { start_us, end_us: end_us.max(start_us) }
    }

    /// Its length in microseconds.
    pub fn len_us(self) -> u64 {
        self.end_us - self.start_us
    }

    /// Whether both share a moment or meet in one.
    pub fn touches(self, other: Self) -> bool {
        self.start_us <= other.end_us && other.start_us <= self.end_us
    }
}

/// A union of spans, kept without overlaps, so that it does not depend on the order in which spans were added.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Spans {
    /// Start to end.
    ends: BTreeMap<u64, u64>,
}

impl Spans {
    /// Adds a span; an empty one adds nothing.
    pub fn add(&mut self, span: Span) {
        let Span { mut start_us, mut end_us } = span;
        if start_us == end_us {
            return;
        }
        while let Some((&start, &end)) = self.ends.range(..=end_us).next_back() {
            if end < start_us {
                break;
            }
            self.ends.remove(&start);
            start_us = start_us.min(start);
            end_us = end_us.max(end);
        }
        self.ends.insert(start_us, end_us);
    }

    /// The spans in order.
    pub fn iter(&self) -> impl Iterator<Item = Span> + '_ {
        self.ends.iter().map(|(&start_us, &end_us)| Span { start_us, end_us })
    }

    /// The length of the union in microseconds.
    pub fn len_us(&self) -> u64 {
        self.iter().map(Span::len_us).sum()
    }

    /// The length of the longest span.
    pub fn longest_us(&self) -> u64 {
        self.iter().map(Span::len_us).max().unwrap_or(0)
    }

    /// The end of the last span.
    pub fn end_us(&self) -> Option<u64> {
        self.ends.last_key_value().map(|(_, &end_us)| end_us)
    }

    /// The length of what is here and not in `other`.
    pub fn len_without_us(&self, other: &Self) -> u64 {
        self.iter().map(|span| span.len_us() - other.len_within_us(span)).sum()
    }

    /// The length of what lies within `span`.
    pub fn len_within_us(&self, span: Span) -> u64 {
        self.touching(span)
            .map(|found| found.end_us.min(span.end_us).saturating_sub(found.start_us.max(span.start_us)))
            .sum()
    }

    /// The spans that touch `span`, in order.
    pub fn touching(&self, span: Span) -> impl Iterator<Item = Span> + '_ {
        // Without overlaps, only the last span that starts at or before the start can reach into it.
        let first = self.ends.range(..=span.start_us).next_back().map_or(span.start_us, |(&start_us, _)| start_us);
        self.ends
            .range(first..=span.end_us)
            .map(|(&start_us, &end_us)| Span { start_us, end_us })
            .filter(move |found| found.touches(span))
    }

    /// Leaves out all that lies before `from_us`.
    pub fn cut_before(&mut self, from_us: u64) {
        let kept = self.ends.split_off(&from_us);
        let reaching_in = self.ends.last_key_value().map(|(_, &end_us)| end_us).filter(|&end_us| end_us > from_us);
        self.ends = kept;
        if let Some(end_us) = reaching_in {
            self.add(Span { start_us: from_us, end_us });
        }
    }
}

impl FromIterator<Span> for Spans {
    fn from_iter<T: IntoIterator<Item = Span>>(spans: T) -> Self {
        let mut union = Self::default();
        for span in spans {
            union.add(span);
        }
        union
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn union(spans: &[(u64, u64)]) -> Spans {
        spans.iter().map(|&(start_us, end_us)| Span { start_us, end_us }).collect()
    }

    #[test]
    fn spans_that_overlap_or_meet_become_one() {
        assert_eq!(union(&[(10, 20), (30, 40), (15, 30)]), union(&[(10, 40)]));
        assert_eq!(union(&[(10, 20), (30, 40)]).len_us(), 20);
        assert_eq!(union(&[(5, 5)]), Spans::default());
    }

    #[test]
    fn what_lies_outside_another_union_is_measured() {
        let held = union(&[(0, 10), (20, 30), (50, 60)]);
        assert_eq!(held.len_without_us(&union(&[(5, 25), (55, 100)])), 5 + 5 + 5);
        assert_eq!(held.len_without_us(&Spans::default()), 30);
    }

    #[test]
    fn warmup_is_cut_off() {
        let mut spans = union(&[(0, 10), (20, 30), (40, 50)]);
        spans.cut_before(25);
        assert_eq!(spans, union(&[(25, 30), (40, 50)]));
    }

    proptest::proptest! {
        #[test]
        fn the_order_of_adding_changes_nothing(mut spans in proptest::collection::vec((0..50_u64, 0..10_u64), 0..20)) {
            let as_spans = |spans: &[(u64, u64)]| spans.iter().map(|&(at, len)| Span::new(at, at + len)).collect::<Spans>();
            let forwards = as_spans(&spans);
            spans.reverse();
            proptest::prop_assert_eq!(&forwards, &as_spans(&spans));
            let covered = (0..60).filter(|&at| spans.iter().any(|&(from, len)| from <= at && at < from + len)).count();
            proptest::prop_assert_eq!(forwards.len_us(), covered as u64);
        }
    }
}
