//! Floor 1: SQL texts: splitting, classifying, folding, and the marks that name a tenant.
//!
//! Everything here takes `&str`, gives values, and never fails: a text that PostgreSQL would refuse still has tokens, a
//! class and a fingerprint.

mod by_shape;
mod classify;
mod column;
mod control;
mod effect;
mod fold;
mod lex;
mod literal;
mod named_values;
mod operand;
mod prepared;
mod relations;
mod rows;
mod shape;
mod split;
mod tags;
mod utility;
mod words;

pub use by_shape::ByShape;
pub use classify::{classify, copies_from_client};
pub use column::{ColumnName, NoColumnName, column_value};
pub use control::{TransactionControl, transaction_control};
pub use effect::{SessionEffect, search_path_schemas, session_effect};
pub use fold::{fingerprint, fold};
pub use lex::{Token, TokenKind, Tokens, tokens};
pub use literal::{first_element, string_value};
pub use named_values::{NamedValue, ValuePlace, named_values, written_table};
pub use operand::{Operand, OperandValue};
pub use prepared::{PreparedCall, prepared_body, prepared_call};
pub use relations::{RelationName, relation_names};
pub use rows::{RowAccess, TouchedRows, touched_rows};
pub use shape::shape;
pub use split::split;
pub use tags::{CommentPart, CommentTag, comment_parts, comment_tags};
