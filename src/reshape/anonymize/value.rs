//! The mapping: each value to another one of its kind, the same wherever it stands.
//!
//! Takes a value as text and gives the text of another one; tells a watcher about every value inside it. Must not know
//! where values come from.

use std::collections::HashSet;

use super::alphabet::{self, Place};
use super::form::{self, Form, form};
use super::key::Key;
use super::number::Number;
use super::shuffle::{Symbol, shuffle, shuffle_bytes};
use super::structure::{self, Part};
use super::{calendar, integer};

/// What became of a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fate {
    Integer,
    Decimal,
    Text,
    Date,
    Uuid,
    Address,
    Bytes,
    /// Everything from here on keeps its value.
    Null,
    Word,
    Zero,
    /// Times of day and intervals.
    Span,
    /// Ranges of numbers, whose bounds must stay in order.
    NumberRange,
    /// The smallest smallint, integer and bigint, whatever their sign.
    Limit,
    /// Signs alone, or nothing.
    Plain,
    Allowed,
    /// All that it could have become is taken by values that are allowed.
    Alone,
    /// Kept for where it stands; the place says why.
    Place(&'static str),
}

impl Fate {
    /// Whether the value is another one now.
    pub fn is_mapped(self) -> bool {
        self < Self::Null
    }
}

/// Who is told what became of each value.
pub trait Watch {
    /// A value that was `original` is `image` now.
    fn value(&mut self, fate: Fate, original: &str, image: &str);
}

impl Watch for () {
    fn value(&mut self, _: Fate, _: &str, _: &str) {}
}

/// The mapping of one key.
#[derive(Clone, Debug)]
pub struct Mapping {
    pub(super) key: Key,
    /// Values that stay, in lower case as far as it is ASCII.
    pub(super) allowed: HashSet<String>,
    /// 0 where dates stay.
    pub(super) days_back: i32,
    /// Whether keys of JSON objects are mapped, too.
    pub(super) json_keys: bool,
}

impl Mapping {
    /// The mapping of a key under which the values of a list stay, whatever the case of their
    /// letters from A to Z.
    pub fn new(key: Key, allowed: impl IntoIterator<Item = String>) -> Self {
        let allowed = allowed.into_iter().map(|value| value.to_ascii_lowercase()).collect();
        Self { days_back: calendar::days_back(&key), key, allowed, json_keys: false }
    }

    /// Leaves dates and timestamps as they are.
    pub fn keep_dates(mut self) -> Self {
        self.days_back = 0;
        self
    }

    /// Maps the keys of JSON objects, too.
    pub fn map_json_keys(mut self) -> Self {
        self.json_keys = true;
        self
    }

    /// The value for a value.
    pub fn text(&self, text: &str, watch: &mut dyn Watch) -> String {
        let (before, core, behind) = form::trimmed(text);
        [before, &self.core(core, watch), behind].concat()
    }

    fn core(&self, text: &str, watch: &mut dyn Watch) -> String {
        let form = form(text);
        let kept = match form {
            Form::Plain => Some(Fate::Plain),
            _ if self.is_allowed(text) => Some(Fate::Allowed),
            Form::Word => Some(Fate::Word),
            Form::Zero => Some(Fate::Zero),
            Form::Span => Some(Fate::Span),
            Form::Date if self.days_back == 0 => Some(Fate::Place("dates, kept by --keep-dates")),
            _ => None,
        };
        if let Some(fate) = kept {
            watch.value(fate, text, text);
            return text.to_owned();
        }
        match form {
            Form::Json => self.parts(structure::json_parts(text), structure::json_string, watch),
            Form::Array => self.parts(structure::array_parts(text), structure::array_string, watch),
            Form::Tuple => self.parts(Some(structure::tuple_parts(text)), str::to_owned, watch),
            Form::Range => self.range(text, watch),
            Form::Multirange => {
                let ranges: Vec<String> =
                    structure::multirange_parts(text).into_iter().map(|range| self.range(range, watch)).collect();
                format!("{{{}}}", ranges.join(","))
            }
            Form::Email => {
                let (name, domain) = text.split_once('@').unwrap_or((text, ""));
                [&self.text(name, watch), "@", &self.text(domain, watch)].concat()
            }
            _ => self.single(form, text, watch),
        }
    }

    /// A value that has no values inside it.
    fn single(&self, form: Form, text: &str, watch: &mut dyn Watch) -> String {
        let (fate, step): (Fate, fn(&Self, &str) -> String) = match form {
            Form::Number if Number::read(text).is_whole => (Fate::Integer, Self::number),
            Form::Number => (Fate::Decimal, Self::number),
            Form::Date => (Fate::Date, Self::date),
            Form::Uuid => (Fate::Uuid, Self::uuid),
            Form::Ipv4 => (Fate::Address, Self::ipv4),
            Form::Colons => (Fate::Address, Self::colons),
            Form::Bytea => (Fate::Bytes, Self::bytea),
            Form::Hex => (Fate::Text, Self::hex),
            _ => (Fate::Text, Self::plain_text),
        };
        let mut image = step(self, text);
        // Images of another form, and those that only a kept value may have, are mapped on: no two values meet so.
        while image != text && (super::form::form(&image) != form || self.is_allowed(&image)) {
            image = step(self, &image);
        }
        let fate = match image == text {
            false => fate,
            true if form == Form::Bytea => Fate::Plain,
            true if form == Form::Number => self.fate_of_kept(text),
            true if is_zero_address(form, text) => Fate::Zero,
            true => Fate::Alone,
        };
        watch.value(fate, text, &image);
        image
    }

    fn is_allowed(&self, text: &str) -> bool {
        !self.allowed.is_empty() && self.allowed.contains(text.to_ascii_lowercase().trim_start_matches(['+', '-']))
    }

    fn number(&self, text: &str) -> String {
        let number = Number::read(text);
        let whole = number.digits.parse::<u64>().ok().filter(|whole| number.is_whole && *whole <= integer::MAX + 1);
        number.with(&match whole {
            Some(whole) => self.whole_number(whole).to_string(),
            None => self.digits(&number.digits, number.is_whole),
        })
    }

    /// Why a number stays: by its value it is one of a list, or in the rarest case all others are.
    fn fate_of_kept(&self, text: &str) -> Fate {
        let number = Number::read(text);
        match number.digits.parse::<u64>() {
            Ok(whole) if number.is_whole && integer::KEPT.contains(&whole) => Fate::Limit,
            Ok(whole) if number.is_whole && self.allowed.contains(&whole.to_string()) => Fate::Allowed,
            _ => Fate::Alone,
        }
    }

    /// The magnitude for a magnitude.
    pub(super) fn whole_number(&self, number: u64) -> u64 {
        let stays = |number: u64| {
            integer::KEPT.contains(&number) || !self.allowed.is_empty() && self.allowed.contains(&number.to_string())
        };
        if number == 0 || number > integer::MAX || stays(number) {
            return number;
        }
        let mut image = integer::permuted(&self.key, number);
        while image != number && stays(image) {
            image = integer::permuted(&self.key, image);
        }
        image
    }

    /// Digits from the first that is not zero to the last that counts.
    fn digits(&self, digits: &str, is_whole: bool) -> String {
        let last = digits.len() - 1;
        let first_of = |at: usize| if at == 0 || at == last && !is_whole { '1' } else { '0' };
        let frame: String = std::iter::once('n').chain((0..=last).map(first_of)).collect();
        let symbol = |(at, digit): (usize, char)| {
            let first = u32::from(first_of(at));
            Symbol { first, index: u32::from(digit) - first, size: u32::from('9') - first + 1 }
        };
        let mut symbols: Vec<Symbol> = digits.chars().enumerate().map(symbol).collect();
        shuffle(&self.key, &frame, &mut symbols);
        symbols.iter().filter_map(|symbol| char::from_u32(symbol.code())).collect()
    }

    fn date(&self, text: &str) -> String {
        let Some(date) = calendar::date(text) else { return text.to_owned() };
        calendar::moved(date, self.days_back) + &text[10..]
    }

    fn uuid(&self, text: &str) -> String {
        let nibbles = || text.char_indices().filter(|(at, character)| *character != '-' && ![14, 19].contains(at));
        let mut symbols: Vec<Symbol> = nibbles()
            .map(|(_, character)| Symbol { first: 0, index: character.to_digit(16).unwrap_or_default(), size: 16 })
            .collect();
        let frame = format!("u{}{}", &text[14..15], &text[19..20]).to_ascii_lowercase();
        shuffle_bytes(&self.key, &frame, &mut symbols);
        let mut image: Vec<char> = text.chars().collect();
        for ((at, _), symbol) in nibbles().zip(&symbols) {
            image[at] = char::from_digit(symbol.index, 16).unwrap_or_default();
        }
        let image: String = image.into_iter().collect();
        if text.bytes().any(|byte| byte.is_ascii_uppercase()) {
            image.to_ascii_uppercase()
        } else {
            image.to_ascii_lowercase()
        }
    }

    /// Each part of an address stays a number of as many digits; a zero stays, and where all behind the mask is zero, so
    /// does the part that the mask divides: a network stays one.
    fn ipv4(&self, text: &str) -> String {
        let (address, mask) = form::address_and_mask(text);
        let octets: Vec<u32> = address.split('.').filter_map(|octet| octet.parse().ok()).collect();
        let divided = divided_octet(&octets, mask.get(1..).and_then(|bits| bits.parse().ok()));
        let first_and_size = |at: usize| match octets[at] {
            0 => None,
            _ if divided == Some(at) => None,
            1..10 => Some((1, 9)),
            10..100 => Some((10, 90)),
            _ => Some((100, 156)),
        };
        let places = 0..octets.len();
        let frames: Vec<String> = places
            .clone()
            .map(|at| match first_and_size(at) {
                Some((first, _)) => first.to_string(),
                None if octets[at] == 0 => "0".to_owned(),
                None => format!("={}", octets[at]),
            })
            .collect();
        let symbol =
            |at: usize| first_and_size(at).map(|(first, size)| Symbol { first, index: octets[at] - first, size });
        let mut symbols: Vec<Symbol> = places.clone().filter_map(symbol).collect();
        shuffle_bytes(&self.key, &format!("a{}{mask}", frames.join(".")), &mut symbols);
        let mut images = symbols.iter().map(|symbol| symbol.code());
        let image = places.map(|at| first_and_size(at).and_then(|_| images.next()).unwrap_or(octets[at]).to_string());
        image.collect::<Vec<_>>().join(".") + mask
    }

    /// The digits of an IPv6 or MAC address; zeros stay.
    fn colons(&self, text: &str) -> String {
        let (address, mask) = form::address_and_mask(text);
        let place = |character: char| match character {
            '1'..='9' => Some(Place {
                alphabet: alphabet::Alphabet { first: '1'.into(), size: 9 },
                index: u32::from(character) - u32::from('1'),
                case: 0,
            }),
            _ => hex_place(character).filter(|_| character.is_ascii_alphabetic()),
        };
        self.characters('x', address, place) + mask
    }

    fn bytea(&self, text: &str) -> String {
        let hex = &text[2..];
        let pairs = hex.as_bytes().chunks(2).map(|pair| std::str::from_utf8(pair).unwrap_or_default());
        let bytes: Vec<u8> = pairs.map(|pair| u8::from_str_radix(pair, 16).unwrap_or_default()).collect();
        let image: String = self.bytes(&bytes).iter().map(|byte| format!("{byte:02x}")).collect();
        let is_upper = hex.bytes().any(|byte| byte.is_ascii_uppercase());
        format!("\\x{}", if is_upper { image.to_ascii_uppercase() } else { image })
    }

    /// The bytes for a bytea's bytes.
    pub(super) fn bytes(&self, bytes: &[u8]) -> Vec<u8> {
        let symbol = |byte: &u8| Symbol { first: 0, index: u32::from(*byte), size: 256 };
        let mut symbols: Vec<Symbol> = bytes.iter().map(symbol).collect();
        shuffle_bytes(&self.key, &format!("b{}", bytes.len()), &mut symbols);
        symbols.iter().map(|symbol| symbol.index as u8).collect()
    }

    fn hex(&self, text: &str) -> String {
        self.characters('h', text, hex_place)
    }

    fn plain_text(&self, text: &str) -> String {
        self.characters('t', text, alphabet::place)
    }

    /// Replaces the characters that have a place, in one permutation of all texts with the same frame: the same
    /// characters at the places that stay, the same alphabets at the others.
    fn characters(&self, kind: char, text: &str, place: impl Fn(char) -> Option<Place>) -> String {
        let frame: String =
            std::iter::once(kind).chain(text.chars().map(|one| place(one).map_or(one, Place::sign))).collect();
        let mut symbols: Vec<Symbol> = text
            .chars()
            .filter_map(&place)
            .map(|place| Symbol { first: place.alphabet.first, index: place.index, size: place.alphabet.size })
            .collect();
        shuffle(&self.key, &frame, &mut symbols);
        let mut images = symbols.iter();
        text.chars()
            .map(|one| match place(one) {
                Some(place) => images.next().map_or(one, |symbol| place.at(symbol.index)),
                None => one,
            })
            .collect()
    }

    fn parts(&self, parts: Option<Vec<Part<'_>>>, quoted: fn(&str) -> String, watch: &mut dyn Watch) -> String {
        let write = |part| match part {
            Part::Fixed(text) => text.to_owned(),
            Part::Bare(text) => self.text(text, watch),
            Part::Quoted(value) => quoted(&self.text(&value, watch)),
            Part::Key(key) if self.json_keys => quoted(&self.text(&key, watch)),
            Part::Key(key) => {
                watch.value(Fate::Place("keys of JSON objects"), &key, &key);
                quoted(&key)
            }
        };
        parts.unwrap_or_default().into_iter().map(write).collect()
    }

    /// Dates move and stay in order. Numbers would not: a range of numbers stays.
    fn range(&self, text: &str, watch: &mut dyn Watch) -> String {
        let bounds = structure::range_bounds(text).unwrap_or_default();
        if bounds.iter().any(|bound| !bound.is_empty() && !structure::is_moment(bound)) || self.days_back == 0 {
            watch.value(Fate::NumberRange, text, text);
            return text.to_owned();
        }
        let [lower, upper] = bounds;
        let at = text.find(',').unwrap_or_default();
        let mut half = |written: &str, bound: &str| match bound {
            "" => written.to_owned(),
            _ => written.replace(bound, &self.core(bound, watch)),
        };
        half(&text[..at], lower) + &half(&text[at..], upper)
    }
}

/// The place of a hexadecimal digit: digits and letters are alphabets of their own.
fn hex_place(character: char) -> Option<Place> {
    let mut place = alphabet::place(character)?;
    place.alphabet.size = place.alphabet.size.min(if character.is_ascii_digit() { 10 } else { 6 });
    Some(place)
}

/// The octet of a network that its mask divides; none of an address within a network.
fn divided_octet(octets: &[u32], bits: Option<u32>) -> Option<usize> {
    let bits = bits.filter(|bits| *bits < 32 && !bits.is_multiple_of(8))?;
    let at = bits as usize / 8;
    let is_network = octets[at].is_multiple_of(1 << (8 - bits % 8)) && octets[at + 1..].iter().all(|octet| *octet == 0);
    is_network.then_some(at)
}

/// Whether an address has no digit that is mapped: `0.0.0.0`, `00:00:00:00:00:00`.
fn is_zero_address(form: Form, text: &str) -> bool {
    let (address, _) = form::address_and_mask(text);
    matches!(form, Form::Ipv4 | Form::Colons) && !address.bytes().any(|byte| byte != b'0' && byte.is_ascii_hexdigit())
}
