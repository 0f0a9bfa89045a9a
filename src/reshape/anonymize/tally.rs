//! What was changed and what was kept, counted as it happens.
//!
//! Takes each value's fate with its site; gives the counts. Must not keep a value.

use std::collections::BTreeMap;

use super::kept::Class;
use super::value::{Fate, Watch};

/// A kind of place in a workload.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Site {
    #[default]
    Literal,
    TextParameter,
    BinaryParameter,
    CopyField,
    ReturnedValue,
    StartupParameter,
    SetValue,
    CommentTag,
    Name,
}

impl Site {
    /// What the report calls it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Literal => "literals in statements",
            Self::TextParameter => "text parameters",
            Self::BinaryParameter => "binary parameters",
            Self::CopyField => "fields of COPY data",
            Self::ReturnedValue => "values of RETURNING",
            Self::StartupParameter => "startup parameters",
            Self::SetValue => "values of SET",
            Self::CommentTag => "tags in comments",
            Self::Name => "names",
        }
    }
}

/// Counts of values. A statement's literals count once, however often it is executed.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    pub(super) site: Site,
    /// Changed values, by site.
    pub changed: BTreeMap<Site, u64>,
    /// Changed values, by what they are.
    pub kinds: BTreeMap<&'static str, u64>,
    /// Values that stay, by why they do.
    pub kept: BTreeMap<&'static str, u64>,
    /// Values that became NULL, for their type is not known.
    pub nulled: u64,
    pub comments_dropped: u64,
    pub digests_dropped: u64,
    /// Values of RETURNING that were left out, for their type is not known.
    pub returned_dropped: u64,
}

impl Tally {
    /// Counts a value that stays for where it stands.
    pub(super) fn keep(&mut self, class: Class) {
        *self.kept.entry(class).or_default() += 1;
    }
}

impl Watch for Tally {
    fn value(&mut self, fate: Fate, _original: &str, _image: &str) {
        match fate.is_mapped() {
            true => {
                *self.changed.entry(self.site).or_default() += 1;
                *self.kinds.entry(name(fate)).or_default() += 1;
            }
            false => self.keep(name(fate)),
        }
    }
}

fn name(fate: Fate) -> &'static str {
    match fate {
        Fate::Integer => "whole numbers",
        Fate::Decimal => "other numbers",
        Fate::Text => "texts",
        Fate::Date => "dates",
        Fate::Uuid => "uuids",
        Fate::Address => "network addresses",
        Fate::Bytes => "bytes",
        Fate::Null => "NULL",
        Fate::Word => "words that PostgreSQL understands (true, now, infinity)",
        Fate::Zero => "zero",
        Fate::Span => "intervals and times of day",
        Fate::NumberRange => "ranges of numbers",
        Fate::Limit => "the smallest numbers of the integer types",
        Fate::Plain => "empty, or nothing but signs",
        Fate::Allowed => "allowed values",
        Fate::Alone => "values that no other can stand for",
        Fate::Place(class) => class,
    }
}
