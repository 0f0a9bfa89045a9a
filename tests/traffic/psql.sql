SELECT id, owner FROM account WHERE id = 7;
SELECT count(*) FROM account \; SELECT 'it''s; two' AS both;
BEGIN;
UPDATE account SET balance = balance - 5 WHERE id = 1;
INSERT INTO entry (account, amount, note) VALUES (1, -5, 'line one
line two	with a tab') RETURNING id;
COMMIT;
SELECT 1 / 0;
SELECT * FROM no_such_table;
SELEC 1;
BEGIN;
INSERT INTO account VALUES (1, 'twice', 0);
SELECT 'not reached';
ROLLBACK;
BEGIN;
DECLARE walk CURSOR FOR SELECT id FROM account ORDER BY id;
FETCH 10 FROM walk;
FETCH 10 FROM walk;
CLOSE walk;
COMMIT;
SELECT owner FROM account WHERE id = $1 AND owner = $2 \bind 7 'owner 7' \g
SELECT $1::int / $2::int \bind 1 0 \g
\copy (SELECT id, owner FROM account ORDER BY id) TO 'out.tsv'
CREATE TABLE copied (id int, owner text);
\copy copied FROM 'out.tsv'
SELECT count(*) FROM copied;
DROP TABLE copied;
SET search_path = public;
PREPARE one (int) AS SELECT owner FROM account WHERE id = $1;
EXECUTE one (3);
DEALLOCATE one;
LISTEN news;
NOTIFY news, 'hello';
UNLISTEN *;
SELECT 'Zürich', E'tab\there', $$dollar ; quoted$$;
DO $$ BEGIN PERFORM 1; END $$;
