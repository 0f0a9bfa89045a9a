-- 35 executions, sent by psql 18. A comment says how many executions follow it.
-- 1 that creates, 2 simple ones (the second of two statements), 3 in a transaction
create table t (id int primary key, v text);
select 'simple', 'statement: x', 'a
b';
select 1 \; select 2;
begin;
insert into t values (0, 'zero');
commit;
-- 4 with parameters, by the unnamed and a named statement; the last fails (23505)
select $1::text \bind 'it''s, $2 = ''x''' \g
insert into t values ($1, $2) \parse in/s
\bind_named in/s 1 'one' \g
\bind_named in/s 2 'two' \g
\bind_named in/s 1 'again' \g
-- 1 that fails in Bind (22P02), 1 in Parse (42P01), 1 in Bind while it is planned (22012)
\bind_named in/s x 'not a number' \g
select * from missing where id = $1 \bind 4 \g
select $1::int / 0 \bind 7 \g
-- 3 simple ones that fail: 42601, 42P01, 22012
selec 1;
select * from nope;
select 1/0;
-- 4 in a transaction that fails: 22012, 25P02
begin;
select 1/0;
select 2;
commit;
-- 2: a COPY FROM STDIN is an execution, though its data is in no log
copy t from stdin;
5	five
\.
copy t to stdout;
-- 2 with SQL's own PREPARE, 1 that renames the session
prepare p (int) as select $1 + 1;
execute p (3);
set application_name = 'renamed';
-- 1 that fails in a block (P0001), 1 that warns
do $$ begin raise exception 'boo'; end $$;
do $$ begin raise warning 'careful'; end $$;
-- 1 setting; 2 that run out of time (57014), simple and extended
set statement_timeout = '20ms';
select pg_sleep(1);
select pg_sleep($1) \bind 1 \g
-- 1 setting, 3 in a transaction by the extended protocol, 1 drop
reset statement_timeout;
BEGIN \bind \g
select 5 \bind \g
COMMIT \bind \g
drop table t;
