//! Which characters are replaced, and by which: letters by letters of the same alphabet, digits by digits.
//!
//! Takes a character and gives its place in its alphabet. Must not know texts. Every alphabet's characters have as
//! many bytes, and capital letters are the small ones at a distance: so the case of a text stays, and texts that
//! differ in case alone are mapped to texts that differ in case alone.

/// Characters that replace each other: `size` of them from `first` on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Alphabet {
    pub(super) first: u32,
    pub(super) size: u32,
}

/// A character: its alphabet, its index there, and how far it lies behind the small letter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) alphabet: Alphabet,
    pub(super) index: u32,
    pub(super) case: i32,
}

/// First and last character, and the distance to the small letters where these are capital ones.
pub(super) const ALPHABETS: [(u32, u32, i32); 22] = [
    (0x30, 0x39, 0),     // digits
    (0x61, 0x7a, 0),     // a to z
    (0x41, 0x5a, -0x20), // A to Z
    (0xe0, 0xf6, 0),     // Latin-1
    (0xc0, 0xd6, -0x20),
    (0xf8, 0xfe, 0),
    (0xd8, 0xde, -0x20),
    (0x3b1, 0x3c1, 0), // Greek
    (0x391, 0x3a1, -0x20),
    (0x3c3, 0x3c9, 0),
    (0x3a3, 0x3a9, -0x20),
    (0x430, 0x44f, 0), // Cyrillic
    (0x410, 0x42f, -0x20),
    (0x5d0, 0x5ea, 0), // Hebrew
    (0x620, 0x63a, 0), // Arabic
    (0x641, 0x64a, 0),
    (0x905, 0x939, 0),   // Devanagari
    (0xe01, 0xe2e, 0),   // Thai
    (0x3041, 0x3096, 0), // Hiragana
    (0x30a1, 0x30fa, 0), // Katakana
    (0x4e00, 0x9fa5, 0), // Chinese characters
    (0xac00, 0xd7a3, 0), // Hangul
];

/// First and last character of signs, spaces and punctuation that stay, beside those below U+0100.
pub(super) const KEPT: [(u32, u32); 2] = [(0x2000, 0x206f), (0x3000, 0x303f)];

/// What is in no alphabet is replaced within its block of 64, whose characters begin with the same bytes.
pub(super) const BLOCK: u32 = 64;

/// The place of a character; none for one that stays.
pub(super) fn place(character: char) -> Option<Place> {
    let code = u32::from(character);
    for (first, last, case) in ALPHABETS {
        if (first..=last).contains(&code) {
            let alphabet = Alphabet { first: first.wrapping_add_signed(-case), size: last - first + 1 };
            return Some(Place { alphabet, index: code - first, case });
        }
    }
    let index = code % BLOCK;
    let block = Alphabet { first: code - index, size: BLOCK };
    (!stays_whole(block)).then_some(Place { alphabet: block, index, case: 0 })
}

/// Whether the characters of a block stay that are in no alphabet: in ASCII and Latin-1, among signs, and beside an
/// alphabet, into which they would be mapped otherwise.
fn stays_whole(block: Alphabet) -> bool {
    let meets = |first: u32, last: u32| first < block.first + block.size && block.first <= last;
    block.first < 0x100
        || KEPT.iter().any(|(first, last)| meets(*first, *last))
        || ALPHABETS.iter().any(|(first, last, _)| meets(*first, *last))
}

impl Place {
    /// The character at another index of the same alphabet, in the same case.
    pub(super) fn at(self, index: u32) -> char {
        // No alphabet and no block of 64 reaches into the surrogates.
        char::from_u32((self.alphabet.first + index).wrapping_add_signed(self.case)).unwrap_or('\u{fffd}')
    }

    /// The character that stands for the alphabet.
    pub(super) fn sign(self) -> char {
        char::from_u32(self.alphabet.first).unwrap_or('\u{fffd}')
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_character_is_replaced_by_one_of_its_length_and_case() {
        for character in '\0'..=char::MAX {
            let Some(place) = place(character) else { continue };
            assert_eq!(place.at(place.index), character);
            let other = place.at((place.index + 1) % place.alphabet.size);
            assert_eq!(other.len_utf8(), character.len_utf8(), "{character:?}");
            if character.is_ascii() {
                assert_eq!(other.is_ascii_uppercase(), character.is_ascii_uppercase());
                assert_eq!(other.is_ascii_digit(), character.is_ascii_digit());
            }
            assert_eq!(
                super::place(other).map(|other| other.alphabet),
                Some(place.alphabet),
                "{character:?} {other:?}"
            );
        }
    }

    #[test]
    fn signs_and_spaces_stay() {
        assert!(" \t\n%_.,;:-+/'\"\\{}[]()@#§×–“”、".chars().all(|character| place(character).is_none()));
    }
}
