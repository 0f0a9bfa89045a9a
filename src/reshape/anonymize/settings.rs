//! Settings of a session: startup parameters, and what it had set when the capture began.
//!
//! Takes them by name and maps those that hold data or, where asked, names. Must not know when they are set.

use std::collections::BTreeMap;

use super::kept;
use super::syntax::{SetPlace, set_place};
use super::tally::Tally;
use super::value::Mapping;

/// Maps the values of an application's own settings, and of those that hold names where `names` is set.
pub(super) fn map(settings: &mut BTreeMap<String, String>, mapping: &Mapping, names: bool, tally: &mut Tally) {
    for (name, value) in settings {
        *value = match place_of(name) {
            _ if name == "options" => options(value, mapping, names, tally),
            SetPlace::Custom => mapping.text(value, tally),
            SetPlace::Name if names => mapping.text(value, tally),
            SetPlace::Name => kept(value, kept::NAME, tally),
            SetPlace::Own => kept(value, kept::SETTING, tally),
        };
    }
}

/// Whose a setting is, whatever case its name is written in.
pub(super) fn place_of(name: &str) -> SetPlace {
    set_place(&name.to_ascii_lowercase())
}

fn kept(value: &str, class: kept::Class, tally: &mut Tally) -> String {
    tally.keep(class);
    value.to_owned()
}

/// `-c name=value --name=value`: the startup parameter `options`.
fn options(text: &str, mapping: &Mapping, names: bool, tally: &mut Tally) -> String {
    let one = |part: &str| match part.split_once('=') {
        Some((name, value)) => {
            let bare = name.trim_start_matches("-c").trim_start_matches("--").trim();
            let is_mapped = match place_of(bare) {
                SetPlace::Custom => true,
                SetPlace::Name => names,
                SetPlace::Own => false,
            };
            if is_mapped { format!("{name}={}", mapping.text(value, tally)) } else { kept(part, kept::SETTING, tally) }
        }
        None => part.to_owned(),
    };
    text.split(' ').map(one).collect::<Vec<_>>().join(" ")
}
