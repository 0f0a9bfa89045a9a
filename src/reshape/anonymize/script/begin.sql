-- Maps the values of a database as `pgrehearse workload anonymize` maps those of a workload, under the same key.
--
-- THIS FILE HOLDS THE KEY: who has it can map values back. Keep it as the key itself. The functions hold it, too, where
-- everyone who may connect to the database can read it: drop the schema when done.
--
-- For a copy of production that becomes staging; PostgreSQL 11 and later, encoding UTF8, as a superuser:
--
--     psql -X -v ON_ERROR_STOP=1 -d staging -f this-file
--     psql -X -d staging -c "SELECT pgrehearse_anonymize.labels()" -At      values that the schema names, for --allow-file
--     psql -X -d staging -c "SELECT * FROM pgrehearse_anonymize.plan()"     what would be done to each column
--     psql -X -v ON_ERROR_STOP=1 -d staging -c "SELECT * FROM pgrehearse_anonymize.database()"
--     psql -X -d staging -c "DROP SCHEMA pgrehearse_anonymize CASCADE" -c "VACUUM (FULL, ANALYZE)"

\set ON_ERROR_STOP on
SET client_encoding = 'UTF8';
SET standard_conforming_strings = on;
-- The statements that follow hold the key: they stay out of the server's log.
SET log_statement = 'none';
SET log_min_duration_statement = -1;
SET log_min_error_statement = 'panic';
SET client_min_messages = 'warning';

BEGIN;
DROP SCHEMA IF EXISTS pgrehearse_anonymize CASCADE;
CREATE SCHEMA pgrehearse_anonymize;

