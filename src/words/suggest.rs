//! The name that was probably meant.
//!
//! Takes a name that is not known and those that are. Must not know what they name.

/// The known name nearest to `written`, if it is near enough to be what was meant: at most a third of its letters
/// differ, and at least one may. Upper and lower case are the same, and so are `-` and `_`.
pub fn nearest<'a>(written: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let written = folded(written);
    let allowed = (written.len() / 3).max(1);
    known
        .into_iter()
        .map(|name| (distance(&written, &folded(name)), name))
        .filter(|(distance, _)| *distance <= allowed)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, name)| name)
}

/// A hint: `did you mean "deadline"?`, else what there is.
pub fn hint(written: &str, known: &[&str]) -> String {
    match nearest(written, known.iter().copied()) {
        Some(name) => format!("did you mean \"{name}\"?"),
        None => format!("known here: {}", known.join(", ")),
    }
}

fn folded(name: &str) -> Vec<char> {
    name.chars().map(|c| if c == '-' { '_' } else { c.to_ascii_lowercase() }).collect()
}

/// Letters to insert, remove, change or swap with their neighbour (optimal string alignment).
fn distance(a: &[char], b: &[char]) -> usize {
    let mut before_last: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=b.len()).collect();
    for i in 1..=a.len() {
        let mut row = vec![i; b.len() + 1];
        for j in 1..=b.len() {
            let changed = last[j - 1] + usize::from(a[i - 1] != b[j - 1]);
            row[j] = changed.min(last[j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                row[j] = row[j].min(before_last[j - 2] + 1);
            }
        }
        before_last = std::mem::replace(&mut last, row);
    }
    last[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_of_the_finger_finds_its_name() {
        let known = ["deadline", "on_deadline", "abandon"];
        assert_eq!(nearest("dedline", known), Some("deadline"));
        assert_eq!(nearest("daedline", known), Some("deadline"));
        assert_eq!(nearest("on-deadline", known), Some("on_deadline"));
        assert_eq!(nearest("speed", known), None);
    }

    #[test]
    fn where_nothing_is_near_the_hint_lists_what_there_is() {
        assert_eq!(hint("colour", &["mode", "jobs"]), "known here: mode, jobs");
    }
}
