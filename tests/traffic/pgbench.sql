\set id random(1, 100)
BEGIN;
UPDATE account SET balance = balance + 1 WHERE id = :id;
SELECT balance FROM account WHERE id = :id;
INSERT INTO entry (account, amount) VALUES (:id, 1);
END;
