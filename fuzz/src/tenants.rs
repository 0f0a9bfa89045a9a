//! Any text is a rule or is refused, any file a mapping or is refused; and rules read any statement.
//!
//! The first line is a rule, the rest a statement and a tenants file.

use std::borrow::Cow;

use pgrehearse::tenant::{Attribution, Execution, Mapping, Rules, SessionStart, Statement, Value};

pub fn fuzz(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let (rule, rest) = text.split_once('\n').unwrap_or((&text, ""));
    if let Ok(rules) = Rules::parse([rule]) {
        let parameters = vec![Value::Text(Cow::Borrowed(rest.as_bytes())), Value::Binary(Cow::Borrowed(bytes))];
        let execution = Execution { sql: Cow::Borrowed(rest), parameters, ..Execution::default() };
        let statement = Statement { database: rest, executions: &[execution], ..Statement::default() };
        let mut attribution = Attribution::new(SessionStart { search_path: Some(rest), application_name: None });
        let (mut given, mut items) = (0, 0);
        for _ in 0..2 {
            let observed = attribution.observe(&rules, &statement);
            attribution.push(observed, (), |(), _| given += 1);
            items += 1;
        }
        attribution.finish(|(), _| given += 1);
        assert_eq!(given, items, "every request is given once");
    }
    let _ = Mapping::read(rest.as_bytes(), "tenants.csv");
}
