//! Sets the sequences of a database that was loaded, so that replayed inserts get the ids that the capture saw.
//!
//! Takes one `[[staging.load]]` entry and a control session on its database. Must not know how the database was filled.

use tokio_postgres::Client;

use crate::scenario::resolved::Sequences;

/// Sets every sequence that belongs to an integer column to the last value of it in the sequence's own direction. A sequence
/// whose column is empty, or holds nothing within the sequence's bounds, stays as it is.
const FROM_TABLES: &str = "DO $$
DECLARE owned record; last bigint;
BEGIN
  FOR owned IN
    SELECT s.seqrelid::regclass AS sequence, s.seqmin, s.seqmax, d.refobjid::regclass AS relation, a.attname,
      CASE WHEN s.seqincrement > 0 THEN 'max' ELSE 'min' END AS edge
    FROM pg_sequence s
    JOIN pg_depend d ON d.classid = 'pg_class'::regclass AND d.objid = s.seqrelid
      AND d.refclassid = 'pg_class'::regclass AND d.deptype IN ('a', 'i')
    JOIN pg_attribute a ON a.attrelid = d.refobjid AND a.attnum = d.refobjsubid
    WHERE a.atttypid IN ('int2'::regtype, 'int4'::regtype, 'int8'::regtype)
  LOOP
    EXECUTE format('SELECT %s(%I) FROM %s', owned.edge, owned.attname, owned.relation) INTO last;
    IF last BETWEEN owned.seqmin AND owned.seqmax THEN PERFORM setval(owned.sequence, last); END IF;
  END LOOP;
END $$";

/// Why a sequence was not set.
#[derive(Debug, thiserror::Error)]
pub enum SequenceError {
    #[error("staging.load.sequences: could not set \"{name}\" to {value} in database \"{database}\": {said}")]
    One { name: String, value: i64, database: String, said: String },
    #[error("staging.load.sequences: could not set the sequences of database \"{database}\" from its tables: {said}")]
    FromTables { database: String, said: String },
}

/// Sets what `sequences` asks for in `database`, where `session` is.
///
/// # Errors
/// What the server said of the first sequence that it refused.
pub async fn set(sequences: &Sequences, database: &str, session: &Client) -> Result<(), SequenceError> {
    let said = |error: &tokio_postgres::Error| crate::server::control::explain(error).to_string();
    match sequences {
        Sequences::AsLoaded => Ok(()),
        Sequences::FromTables => {
            let failed = |error| SequenceError::FromTables { database: database.to_owned(), said: said(&error) };
            session.batch_execute(FROM_TABLES).await.map_err(failed)
        }
        Sequences::To(values) => {
            for (name, value) in values {
                // A text, since the name is written as SQL writes it: "Mixed"."Case", or with its schema.
                let set = "SELECT setval($1::text::regclass, $2)";
                session.execute(set, &[name, value]).await.map_err(|error| SequenceError::One {
                    name: name.clone(),
                    value: *value,
                    database: database.to_owned(),
                    said: said(&error),
                })?;
            }
            Ok(())
        }
    }
}
