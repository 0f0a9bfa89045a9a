//! What the mapping promises, on values of every form.

use std::collections::HashSet;

use proptest::prelude::*;

use super::form::{form, trimmed};
use super::*;

fn mapping() -> Mapping {
    Mapping::new(Key::new([3; 32]), ["open".to_owned(), "done".to_owned(), "7".to_owned()])
}

fn map(text: &str) -> String {
    mapping().text(text, &mut ())
}

/// Values of every form.
pub(super) fn values() -> impl Strategy<Value = String> {
    prop_oneof![
        any::<i64>().prop_map(|number| number.to_string()),
        (any::<i64>(), 0_u32..63).prop_map(|(number, shift)| (number >> shift).to_string()),
        "-?(0|[1-9][0-9]{0,5})\\.[0-9]{1,6}",
        "-?[0-9]{18,40}",
        "-?[1-9]{1,3}(\\.[0-9]{1,3})?[eE][+-]?[0-9]{1,2}",
        "\\(-?[0-9]{1,4}(\\.[0-9]{1,4})?,([a-z]{1,5}|-?[0-9]{1,4})\\)",
        "\\{\\[2026-0[1-9]-0[1-9],2027-01-01\\),\\[2027-0[2-9]-0[1-9],infinity\\)\\}",
        "[a-z]{1,12}",
        "[A-Za-zäöüß0-9]{1,5}([ _.,/-][A-Za-z0-9é]{1,8}){0,5}",
        "[α-ωА-я漢字カナ한글🎉אب ]{1,8}",
        "[a-z]{1,8}(\\.[a-z0-9]{1,5})?@[a-z]{3,9}\\.(com|example)",
        "[0-9a-f]{8}-[0-9a-f]{4}-[1-7][0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}",
        "(19|20)[0-9]{2}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])([ T][012][0-9]:[0-5][0-9]:[0-5][0-9](\\.[0-9]{1,6})?(Z|[+-]0[0-9])?)?",
        "(0|[1-9][0-9]?|1[0-9]{2}|2[0-4][0-9])(\\.(0|[1-9][0-9]?|1[0-9]{2})){3}(/8|/24)?",
        "(10|192)\\.(168|1)\\.(0\\.0/1[67]|128\\.0/17|[1-9]\\.4/30)",
        "(2001|fe80|abcd):([0-9a-f]{1,4}:){0,3}:[0-9a-f]{1,4}",
        "([0-9a-f]{2}:){5}[0-9a-f]{2}",
        "\\\\x([0-9a-f]{2}){0,20}",
        "[0-9a-f]{32}",
        "%?[a-z ]{1,9}%",
        "\\{(\"[a-z]{1,4}\": ?(-?[1-9][0-9]{0,6}|\"[a-zA-Z é\\\\\\\\n]{0,9}\"|true|null|\\[1,2\\])(, ?\"[a-z]{5}\": ?[0-9.]{1}[1-9])?)?\\}",
        "\\{([a-z0-9]{1,5}|\"[a-z ,]{1,9}\"|NULL)(,([a-z0-9]{1,5}|\"[a-z ]{1,9}\"))*\\}",
        "[\\[(](|2026-0[1-9]-0[1-9]),(|2027-0[1-9]-0[1-9])[)\\]]",
    ]
}

/// What became of each value, in order.
struct Fates(Vec<Fate>);

impl Watch for Fates {
    fn value(&mut self, fate: Fate, _: &str, _: &str) {
        self.0.push(fate);
    }
}

#[test]
fn what_is_equal_stays_equal_wherever_it_stands() {
    let (ann, number) = (map("Ann Brown"), map("4711"));
    assert_eq!(map("{\"Ann Brown\",4711}"), format!("{{\"{ann}\",{number}}}"));
    assert_eq!(map("{\"a\": \"Ann Brown\", \"b\": [4711]}"), format!("{{\"a\": \"{ann}\", \"b\": [{number}]}}"));
    assert_eq!(map("4711.00"), format!("{number}.00"));
    assert_eq!(map("-4711"), format!("-{number}"));
    assert_eq!(map("004711"), format!("00{number}"));
    assert_eq!(map("Ann Brown%"), format!("{ann}%"));
    assert_eq!(map("Ann Brown   "), format!("{ann}   "));
    assert_eq!(map("ann@Brown"), format!("{}@{}", map("ann"), map("Brown")));
    assert_eq!(map("12.5"), map("12.50").trim_end_matches('0'));
    let point = map("(4711,-4711)");
    assert_eq!(point, format!("({number},-{number})"));
    for (written, stored) in
        [("1e5", "100000"), ("1.5e3", "1500"), ("2.50e1", "25"), ("125e-2", "1.25"), ("1e20", "100000000000000000000")]
    {
        let values = [written, stored].map(|text| map(text).parse::<f64>().unwrap_or_default());
        assert_eq!(values[0], values[1], "{written}");
    }
}

#[test]
fn what_is_listed_stays() {
    for text in [
        "",
        "0",
        "0.00",
        "true",
        "NULL",
        "-infinity",
        "7",
        "Open",
        "done",
        "10:30",
        "7 days",
        "[1,10)",
        "--",
        "32768",
        "-9223372036854775808",
    ] {
        assert_eq!(map(text), text);
    }
    for address in ["0.0.0.0", "0.0.0.0/8", "00:00:00:00:00:00"] {
        let mut fates = Fates(Vec::new());
        assert_eq!(mapping().text(address, &mut fates), address);
        assert_eq!(fates.0, [Fate::Zero], "{address}");
    }
    for (number, fate) in [("-32768", Fate::Limit), ("2147483648.0", Fate::Limit), ("7.00", Fate::Allowed)] {
        let mut fates = Fates(Vec::new());
        assert_eq!(mapping().text(number, &mut fates), number);
        assert_eq!(fates.0, [fate], "{number}");
    }
    assert_eq!(mapping().keep_dates().text("2026-01-31", &mut ()), "2026-01-31");
}

#[test]
fn short_texts_and_numbers_are_permuted_around_those_that_are_allowed() {
    let letters: HashSet<String> = ('a'..='z').map(|letter| map(&letter.to_string())).collect();
    assert_eq!(letters.len(), 26);
    let pairs = (0..676).map(|pair| [b'a' + (pair / 26) as u8, b'a' + (pair % 26) as u8]);
    let images: HashSet<String> = pairs.map(|pair| map(std::str::from_utf8(&pair).unwrap_or_default())).collect();
    assert_eq!(images.len(), 676);
    let numbers: HashSet<String> = (1..100).map(|number| map(&number.to_string())).collect();
    assert_eq!(numbers.len(), 99);
    // Only 7 stays.
    assert_eq!((1..100).filter(|number| map(&number.to_string()) == number.to_string()).count(), 1);
}

#[test]
fn another_key_gives_other_values() {
    let other = Mapping::new(Key::new([4; 32]), []);
    assert_ne!(other.text("Ann Brown", &mut ()), map("Ann Brown"));
}

proptest! {
    #[test]
    fn a_value_keeps_its_form_and_length_and_is_another(text in values()) {
        let image = map(&text);
        prop_assert_eq!(map(&text), image.clone());
        prop_assert_eq!(form(trimmed(&image).1), form(trimmed(&text).1), "{}", image);
        // JSON strings are escaped anew, and `1e5` gets the digits of 100000.
        let has_other_length = match form(trimmed(&text).1) {
            form::Form::Json => true,
            form::Form::Number | form::Form::Array | form::Form::Tuple => text.contains(['e', 'E']),
            _ => false,
        };
        if !has_other_length {
            prop_assert_eq!(image.len(), text.len());
            prop_assert_eq!(image.chars().count(), text.chars().count());
        }
        struct Kept(bool);
        impl Watch for Kept {
            fn value(&mut self, fate: Fate, original: &str, image: &str) {
                assert_eq!(fate.is_mapped(), original != image, "{fate:?} {original:?} {image:?}");
                self.0 |= fate == Fate::Alone;
            }
        }
        let mut kept = Kept(false);
        mapping().text(&text, &mut kept);
        prop_assert!(!kept.0);
    }

    #[test]
    fn case_makes_no_difference(text in "[A-Za-zÀ-Öà-ö0-9 ]{1,20}") {
        prop_assert_eq!(map(&text).to_lowercase(), map(&text.to_lowercase()));
    }

    #[test]
    fn no_two_uuids_become_one(one in any::<u128>(), bit in 0..128_u32) {
        let uuid = |number: u128| {
            let hex = format!("{number:032x}");
            format!("{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..])
        };
        prop_assert_ne!(map(&uuid(one)), map(&uuid(one ^ 1 << bit)));
    }

    #[test]
    fn any_text_can_be_mapped(text in "\\PC{0,40}|[-0-9a-z{}\\[\\]()\",:\\\\ @%.]{0,30}") {
        let image = map(&text);
        prop_assert_eq!(map(&text), image);
    }
}
