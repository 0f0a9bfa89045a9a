//! Two values at one place, taken apart into the values inside them.
//!
//! Takes an old and a new value, and tells of each pair of values in them: leaves of JSON, elements of arrays, both sides of
//! an address. Must not judge them.

use serde_json::Value;

/// Who is told of each pair of values.
pub(super) type Told<'a> = dyn FnMut(&str, &str) + 'a;

/// Tells of each pair of values in a pair of texts. Texts whose shapes differ are one pair.
pub(super) fn pairs(left: &str, right: &str, told: &mut Told<'_>) {
    if let Some((left, right)) = json(left).zip(json(right))
        && is_same_shape(&left, &right)
    {
        return leaves(&left, &right, told);
    }
    let (elements, images) = (elements(left), elements(right));
    if left != right && json(left).is_none() && elements.len() > 1 && elements.len() == images.len() {
        return elements.iter().zip(&images).for_each(|(left, right)| pairs(left, right, told));
    }
    told(left, right);
    if let Some(((name, domain), (other_name, other_domain))) = left.split_once('@').zip(right.split_once('@'))
        && !left.contains(char::is_whitespace)
        && left.matches('@').count() == 1
    {
        told(name, other_name);
        told(domain, other_domain);
    }
}

fn json(text: &str) -> Option<Value> {
    let text = text.trim();
    text.starts_with(['{', '[', '"']).then(|| serde_json::from_str(text).ok()).flatten()
}

fn is_same_shape(left: &Value, right: &Value) -> bool {
    match (left, right) {
        (Value::Array(left), Value::Array(right)) => {
            left.len() == right.len() && left.iter().zip(right).all(|(left, right)| is_same_shape(left, right))
        }
        (Value::Object(left), Value::Object(right)) => {
            left.len() == right.len()
                && left.iter().all(|(key, left)| right.get(key).is_some_and(|right| is_same_shape(left, right)))
        }
        (Value::Array(_) | Value::Object(_), _) | (_, Value::Array(_) | Value::Object(_)) => false,
        _ => true,
    }
}

fn leaves(left: &Value, right: &Value, told: &mut Told<'_>) {
    match (left, right) {
        (Value::Array(left), Value::Array(right)) => {
            left.iter().zip(right).for_each(|(left, right)| leaves(left, right, told));
        }
        (Value::Object(left), Value::Object(right)) => {
            left.iter()
                .filter_map(|(key, left)| Some((left, right.get(key)?)))
                .for_each(|(left, right)| leaves(left, right, told));
        }
        (Value::String(left), Value::String(right)) => pairs(left, right, told),
        (left, right) => told(&left.to_string(), &right.to_string()),
    }
}

/// The elements of an array or tuple as PostgreSQL writes it, whatever its dimensions; one for every other text.
fn elements(text: &str) -> Vec<String> {
    let is_list = text.starts_with('{') && text.ends_with('}') || text.starts_with('(') && text.ends_with(')');
    if !is_list || text.len() < 3 {
        return vec![text.to_owned()];
    }
    let mut elements = vec![String::new()];
    let (mut in_quotes, mut is_escaped) = (false, false);
    for character in text.chars() {
        let Some(last) = elements.last_mut() else { break };
        match character {
            _ if is_escaped => {
                last.push(character);
                is_escaped = false;
                continue;
            }
            '\\' => is_escaped = true,
            '"' => in_quotes = !in_quotes,
            ',' if !in_quotes => elements.push(String::new()),
            '{' | '}' | '(' | ')' if !in_quotes => {}
            other => last.push(other),
        }
    }
    // One element between braces is one that differs from the text.
    if elements.len() == 1 {
        elements.push(String::new());
    }
    elements
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(left: &str, right: &str) -> Vec<(String, String)> {
        let mut all = Vec::new();
        pairs(left, right, &mut |left, right| all.push((left.to_owned(), right.to_owned())));
        all
    }

    #[test]
    fn values_inside_values_are_told_of() {
        let pair = |left: &str, right: &str| (left.to_owned(), right.to_owned());
        assert_eq!(told("{\"a\": [1, \"x\"]}", "{\"a\": [2, \"y\"]}"), [pair("1", "2"), pair("x", "y")]);
        assert_eq!(told("{a,\"b,c\"}", "{d,\"e,f\"}"), [pair("a", "d"), pair("b,c", "e,f")]);
        assert_eq!(told("{a}", "{b}")[0], pair("a", "b"));
        assert_eq!(told("a@b.c", "d@b.c"), [pair("a@b.c", "d@b.c"), pair("a", "d"), pair("b.c", "b.c")]);
        assert_eq!(told("{\"a\": 1}", "{\"b\": 1}").len(), 1, "another shape");
        assert_eq!(told("plain", "other"), [pair("plain", "other")]);
    }
}
