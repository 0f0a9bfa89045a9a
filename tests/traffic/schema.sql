CREATE TABLE account (id int PRIMARY KEY, owner text NOT NULL, balance numeric(12, 2) NOT NULL, opened date);
CREATE TABLE entry (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, account int REFERENCES account, amount numeric(12, 2),
                    note text, payload bytea, made_at timestamptz DEFAULT now());
INSERT INTO account SELECT i, 'owner ' || i, i * 10, date '2024-01-01' + i FROM generate_series(1, 100) i;
