//! Answers that are not the captured ones, and where the first of each statement stands.

use serde_json::json;

use super::stand_in::{Deed, StandIn};
use super::story::{CLIENTS, Story};
use crate::samples::sample::{Difference, ResultCheck};
use crate::sql::fingerprint;
use crate::timeline::What;

/// The stand-in inserts one row and finds none.
#[tokio::test]
async fn the_first_difference_of_each_statement_is_told_with_its_place() {
    let server = StandIn::new(|_, sql| if sql == "SELECT 1 / 0" { Deed::Error("22012") } else { Deed::Answer });
    let (insert, failing) = ("INSERT INTO t VALUES (1)", "SELECT 1 / 0");
    let story = Story::new(CLIENTS)
        .session(1)
        .query(0, 1, insert)
        .results(json!([{"rows": 1}]))
        .at(16)
        .query(1, 1, insert)
        .results(json!([{"rows": 3}]))
        .at(17)
        .query(2, 1, insert)
        .results(json!([{"rows": 2}]))
        .at(18)
        .query(3, 1, "SELECT 2")
        .at(19)
        .query(4, 1, failing)
        .results(json!([{"rows": 1}]));
    let replayed = story.replay(&server).await;
    let differs = |difference| ResultCheck::Differs(Some(difference));
    let results: Vec<ResultCheck> = replayed.requests(1).iter().map(|sample| sample.result).collect();
    let rows = differs(Difference::Rows);
    assert_eq!(results, [ResultCheck::Same, rows, rows, ResultCheck::Unknown, differs(Difference::Sqlstate)]);

    let told: Vec<&What> =
        replayed.events.iter().filter(|event| matches!(event, What::AnswerDiffered { .. })).collect();
    let first = |sql, request, file: Option<&str>, line| What::AnswerDiffered {
        fingerprint: fingerprint(sql),
        request,
        file: file.map(str::to_owned),
        line,
    };
    assert_eq!(told, [&first(insert, 1, Some("postgresql.csv"), Some(17)), &first(failing, 4, None, None)]);
}
