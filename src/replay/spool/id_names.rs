//! What the names of columns say of ids: which look like one, and which refer to another table's.
//!
//! Takes names as PostgreSQL folds them. It goes by habits of naming (`order_id`, `orderId`, `order` for the id of `orders`), as no
//! schema is known. Pure.

/// Ends of names under which ids go.
const ID_ENDS: [&str; 10] = ["id", "no", "nr", "number", "key", "uuid", "guid", "nextval", "currval", "lastval"];

/// Whether a column of this name may hold an id.
pub(super) fn is_id_like(column: &str) -> bool {
    ID_ENDS.iter().any(|end| {
        let before = column.len().checked_sub(end.len()).filter(|at| column.is_char_boundary(*at));
        let Some((rest, tail)) = before.map(|at| column.split_at(at)) else { return false };
        let begins_word = rest.is_empty() || rest.ends_with('_') || tail.starts_with(char::is_uppercase);
        // Short ends stand for a word of their own: `piano` is no number, `paid` no id.
        tail.eq_ignore_ascii_case(end) && (begins_word || end.len() > 3)
    })
}

/// How well a column's name says that it refers to the column `id` of `table`: the less the better, none where it does not.
pub(super) fn refers_to(column: &str, table: &str, id: &str) -> Option<u8> {
    let (column, id) = (column.to_ascii_lowercase(), id.to_ascii_lowercase());
    for stem in stems(&table.to_ascii_lowercase()) {
        let joined = if id.starts_with(&stem) { id.clone() } else { format!("{stem}_{id}") };
        if plain(&column) == plain(&joined) || column == stem {
            return Some(1);
        }
        if column.ends_with(&format!("_{joined}")) {
            return Some(2);
        }
    }
    let is_own_name = id != "id" && (column == id || column.ends_with(&format!("_{id}")));
    is_own_name.then_some(3)
}

/// The table's name and what one of its rows may be called.
fn stems(table: &str) -> Vec<String> {
    let mut stems = vec![table.to_owned()];
    let endings = [("ies", "y"), ("sses", "ss"), ("xes", "x"), ("ches", "ch"), ("shes", "sh"), ("ses", "s"), ("s", "")];
    for (plural, singular) in endings {
        stems
            .extend(table.strip_suffix(plural).filter(|stem| !stem.is_empty()).map(|stem| format!("{stem}{singular}")));
    }
    // `shop_orders` and `order_id`.
    let behind_prefix: Vec<String> = stems.iter().filter_map(|stem| Some(stem.split_once('_')?.1.to_owned())).collect();
    stems.extend(behind_prefix.into_iter().filter(|stem| !stem.is_empty()));
    stems
}

fn plain(name: &str) -> String {
    name.replace('_', "")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn ids_are_told_by_the_ends_of_their_names() {
        for name in ["id", "order_id", "orderId", "invoice_no", "uuid", "nextval", "license_key", "ordernumber"] {
            assert!(is_id_like(name), "{name}");
        }
        for name in ["paid", "piano", "version", "balance", "monkey", "", "é"] {
            assert!(!is_id_like(name), "{name}");
        }
    }

    #[test]
    fn references_are_named_after_the_table() {
        for (column, table, id, rank) in [
            ("order_id", "orders", "id", Some(1)),
            ("orderId", "orders", "id", Some(1)),
            ("category_id", "categories", "id", Some(1)),
            ("address_id", "addresses", "id", Some(1)),
            ("order", "orders", "id", Some(1)),
            ("order_id", "shop_orders", "id", Some(1)),
            ("order_id", "orders", "order_id", Some(1)),
            ("parent_order_id", "orders", "id", Some(2)),
            ("order_no", "orders", "order_no", Some(1)),
            ("reference", "orders", "reference", Some(3)),
            ("customer_id", "orders", "id", None),
            ("id", "orders", "id", None),
            ("reorder_id", "orders", "id", None),
        ] {
            assert_eq!(refers_to(column, table, id), rank, "{column} {table} {id}");
        }
    }

    proptest! {
        #[test]
        fn any_names_can_be_looked_at(column in "\\PC*", table in "\\PC*", id in "\\PC*") {
            is_id_like(&column);
            refers_to(&column, &table, &id);
        }
    }
}
