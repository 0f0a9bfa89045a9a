//! The mapping as SQL: functions that map a database's values as the workload's are mapped.
//!
//! Takes a mapping and gives the text of a script for psql, which holds its key. The functions are written in the `.sql`
//! files beside this one; keys, tables and lists are put into them from the constants that the mapping itself uses, so
//! that the two cannot differ there. Must not know files or servers.

mod file;

pub use file::ScriptError;

use super::alphabet::ALPHABETS;
use super::{Mapping, alphabet, form, integer, number};

/// The script's parts, in order.
const PARTS: [&str; 7] = [
    include_str!("begin.sql"),
    include_str!("numbers.sql"),
    include_str!("forms.sql"),
    include_str!("texts.sql"),
    include_str!("types.sql"),
    include_str!("plan.sql"),
    include_str!("database.sql"),
];

/// A time of day, as [`super::calendar::is_time`] tells it.
const TIME: &str = r"[0-9]{2}:[0-9]{2}(:[0-9]{2})?(\.[0-9]+)?( ?(Z|UTC|GMT)| ?[+-][0-9]{2}(:?[0-9]{2})?(:?[0-9]{2})?)?";

const OCTET: &str = "([0-9]|[1-9][0-9]|1[0-9]{2}|2[0-4][0-9]|25[0-5])";

impl Mapping {
    /// The script that creates the mapping in a database.
    pub fn script(&self) -> String {
        let [inner, outer] = self.key.prefixes();
        let ranges = |part: fn(&integer::Range) -> u64| list(integer::RANGES.iter().map(part));
        let values = [
            ("@INNER@", inner),
            ("@OUTER@", outer),
            ("@KEPT@", list(integer::KEPT.iter().filter(|kept| **kept <= integer::MAX))),
            ("@FIRSTS@", ranges(|range| range.first)),
            ("@HIGHS@", ranges(|range| range.high)),
            ("@LOWS@", ranges(|range| range.low)),
            ("@WHOLE_DIGITS_MAX@", number::WHOLE_DIGITS_MAX.to_string()),
            ("@ALPHABETS@", ALPHABETS.len().to_string()),
            ("@ALPHABET_FIRSTS@", list(ALPHABETS.iter().map(|(first, _, _)| first))),
            ("@ALPHABET_LASTS@", list(ALPHABETS.iter().map(|(_, last, _)| last))),
            ("@ALPHABET_CASES@", list(ALPHABETS.iter().map(|(_, _, case)| case))),
            ("@SIGNS@", signs()),
            ("@WORDS@", list(form::WORDS.iter().map(|word| format!("'{word}'")))),
            ("@INTERVAL@", interval()),
            ("@TIME@", TIME.to_owned()),
            ("@OCTET@", OCTET.to_owned()),
            ("@HEX_MIN@", form::HEX_MIN.to_string()),
            ("@DAYS_BACK@", self.days_back.to_string()),
            ("@JSON_KEYS@", self.json_keys.to_string()),
        ];
        // The list of allowed values is the user's: it is put in last, so that nothing in it is taken for a place.
        let mut script = PARTS.concat();
        for (place, value) in &values {
            script = script.replace(place, value);
        }
        script.replace("@ALLOWED@", &self.allowed_test())
    }

    /// Whether `value` is allowed: a look-up in a JSON object.
    fn allowed_test(&self) -> String {
        if self.allowed.is_empty() {
            return "false".to_owned();
        }
        let mut allowed: Vec<&str> =
            self.allowed.iter().map(String::as_str).filter(|one| !one.contains('\0')).collect();
        allowed.sort_unstable();
        let object: serde_json::Map<String, serde_json::Value> =
            allowed.into_iter().map(|value| (value.to_owned(), 1.into())).collect();
        // The function's body is quoted by two dollar signs.
        let object = serde_json::Value::Object(object).to_string().replace('$', "\\u0024");
        format!("'{}'::jsonb ? value", object.replace('\'', "''"))
    }
}

fn list<T: ToString>(values: impl Iterator<Item = T>) -> String {
    values.map(|value| value.to_string()).collect::<Vec<_>>().join(", ")
}

/// Whether `block` is one of signs, which stay.
fn signs() -> String {
    let meets = |(first, last): &(u32, u32)| format!("{first} < block + {} AND block <= {last}", alphabet::BLOCK);
    let tests: Vec<String> = alphabet::KEPT.iter().map(meets).collect();
    format!("({})", tests.join(" OR "))
}

fn interval() -> String {
    let piece = format!(r"[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+) (({})s?|centuries)", form::UNITS.join("|"));
    let time = r"[+-]?[0-9]{2}:[0-9]{2}(:[0-9]{2})?(\.[0-9]+)?";
    format!("^{piece}( {piece})*( {time})?( ago)?$")
}

#[cfg(test)]
mod tests {
    use super::super::{Key, Mapping};

    #[test]
    fn every_place_is_filled_and_allowed_values_stay_within_their_quotes() {
        let allowed = ["it's", "a $$ body", "@INNER@", "back\\slash"].map(str::to_owned);
        let script = Mapping::new(Key::new([3; 32]), allowed).script();
        let object = r#"'{"@inner@":1,"a \u0024\u0024 body":1,"back\\slash":1,"it''s":1}'::jsonb ? value"#;
        assert!(script.contains(object), "{script}");
        let is_place =
            |word: &&str| word.len() > 2 && word.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'_');
        assert_eq!(script.split('@').find(is_place), None);
    }

    #[test]
    fn without_a_list_nothing_is_looked_up() {
        assert!(!Mapping::new(Key::new([3; 32]), []).script().contains("jsonb ?"));
    }
}
