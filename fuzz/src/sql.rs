//! Any text has tokens, a class, a fingerprint, tags and relations, and folding is stable.

use pgrehearse::sql;

pub fn fuzz(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let mut end = 0;
    for token in sql::tokens(&text) {
        assert!(token.start >= end && !token.text.is_empty());
        end = token.end();
    }
    for statement in sql::split(&text) {
        sql::session_effect(statement);
        sql::transaction_control(statement);
    }
    let folded = sql::fold(&text);
    assert_eq!(sql::fold(&folded), folded, "what is folded stays as it is");
    sql::classify(&text);
    sql::comment_tags(&text);
    sql::relation_names(&text);
}
