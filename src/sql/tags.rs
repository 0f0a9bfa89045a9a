//! stub
/// Tags.
pub fn comment_tags(_text: &str) -> Vec<(String, String)> {
    Vec::new()
}
