//! stub
/// A table or view as it was named.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct RelationName {
    /// As PostgreSQL folds it; none where the name was not qualified.
    pub schema: Option<String>,
    pub name: String,
}
/// Names.
pub fn relation_names(_text: &str) -> Vec<RelationName> {
    Vec::new()
}
