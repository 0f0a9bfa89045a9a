-- The mapping of a whole database, in one transaction: all of it, or nothing.
--
-- Each table is emptied and filled again by one statement: so unique and exclusion constraints hold at each moment, rows
-- find their partitions, and neither indexes nor constraints are dropped. Foreign keys, triggers and rules are silent
-- meanwhile (session_replication_role), and need no check: equal values get equal images on both sides.

-- Fills one table anew and gives the number of its rows.
CREATE FUNCTION pgrehearse_anonymize.fill(relation text, attributes text[], expressions text[]) RETURNS bigint
LANGUAGE plpgsql AS $$
DECLARE
    single constant text := CASE WHEN (SELECT relkind = 'r' FROM pg_class WHERE oid = relation::regclass) THEN 'ONLY' ELSE '' END;
    columns constant text := array_to_string(attributes, ', ');
    rows bigint;
    failure text;
    state text;
    named text;
BEGIN
    -- The sort ends the reading before the first row is written.
    EXECUTE format('WITH emptied AS (DELETE FROM %s %s AS pgrehearse RETURNING %s, tableoid AS "old tableoid", ctid AS "old ctid")'
        ' INSERT INTO %s (%s) OVERRIDING SYSTEM VALUE SELECT %s FROM emptied ORDER BY "old tableoid", "old ctid"',
        single, relation, columns, relation, columns, array_to_string(expressions, ', '));
    GET DIAGNOSTICS rows = ROW_COUNT;
    RETURN rows;
EXCEPTION
    WHEN integrity_constraint_violation OR data_exception THEN
        GET STACKED DIAGNOSTICS failure = MESSAGE_TEXT, state = RETURNED_SQLSTATE, named = CONSTRAINT_NAME;
        -- A bad value may be quoted behind the last colon.
        RAISE EXCEPTION 'could not map table %: %', relation,
            CASE WHEN state LIKE '22%' THEN regexp_replace(failure, ': ".*$', '') ELSE failure END
            USING ERRCODE = state, CONSTRAINT = named, HINT = CASE state
                WHEN '23505' THEN 'two values became equal as this type compares them: name the column in keep or blank'
                WHEN '23514' THEN 'give the values that the schema names, see pgrehearse_anonymize.labels(), to anonymize by '
                    '--allow-file, or name the column in keep; partitions by date may need anonymize --keep-dates'
                ELSE 'name the column in keep or blank' END;
END
$$;

-- Sets sequences behind the largest of the mapped values that they number.
CREATE FUNCTION pgrehearse_anonymize.advance_sequences(done text[]) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    owned record;
    largest bigint;
    last bigint;
BEGIN
    FOR owned IN
        SELECT DISTINCT s.seqrelid::regclass AS sequence, a.attrelid::regclass AS relation, a.attname, s.seqmax
        FROM pg_sequence AS s
        JOIN pg_depend AS d ON s.seqrelid IN (d.objid, d.refobjid) AND d.deptype IN ('a', 'i', 'n')
        LEFT JOIN pg_attrdef AS f ON d.classid = 'pg_attrdef'::regclass AND f.oid = d.objid
        JOIN pg_attribute AS a ON d.objid = s.seqrelid AND d.refclassid = 'pg_class'::regclass
                AND a.attrelid = d.refobjid AND a.attnum = d.refobjsubid AND d.refobjsubid > 0
            OR f.adrelid = a.attrelid AND f.adnum = a.attnum
        WHERE s.seqincrement > 0 AND a.attrelid::regclass::text || '.' || quote_ident(a.attname) = ANY (done)
    LOOP
        EXECUTE format('SELECT max(%I)::bigint FROM %s', owned.attname, owned.relation) INTO largest;
        EXECUTE format('SELECT last_value FROM %s', owned.sequence) INTO last;
        IF largest > owned.seqmax THEN
            RAISE WARNING 'sequence % ends at %, but % holds %', owned.sequence, owned.seqmax, owned.relation, largest;
        ELSIF largest > last THEN
            PERFORM setval(owned.sequence, largest);
        END IF;
    END LOOP;
END
$$;

-- Maps all tables; `keep` and `blank` as for plan().
CREATE FUNCTION pgrehearse_anonymize.database(keep text[] DEFAULT '{}', blank text[] DEFAULT '{}')
RETURNS TABLE (relation text, rows bigint, mapped bigint, kept bigint)
LANGUAGE plpgsql
SET session_replication_role = replica SET row_security = off SET search_path = pg_catalog, pg_temp
SET DateStyle = 'ISO, YMD' SET IntervalStyle = 'postgres' SET TimeZone = 'UTC' SET bytea_output = 'hex' AS $$
DECLARE
    planned record;
    listed text;
    done text[] := '{}';
    view regclass;
BEGIN
    IF current_setting('server_encoding') <> 'UTF8' THEN
        RAISE EXCEPTION 'the database''s encoding is %, not UTF8', current_setting('server_encoding');
    END IF;
    -- The shortest text that is the number, which before PostgreSQL 12 is the one of 15 digits.
    PERFORM set_config('extra_float_digits', CASE WHEN current_setting('server_version_num')::int < 120000 THEN '0' ELSE '1' END, true);
    CREATE TEMPORARY TABLE pgrehearse_plan ON COMMIT DROP AS SELECT * FROM pgrehearse_anonymize.plan(keep, blank);
    SELECT string_agg(concat_ws(' ', concat_ws('.', p.relation, p.attribute), '(' || p.type || ')'), ', ') INTO listed
    FROM pg_temp.pgrehearse_plan AS p WHERE p.action = 'refuse';
    IF listed IS NOT NULL THEN
        RAISE EXCEPTION 'there is no mapping for %', listed
            USING HINT = 'name them in keep (they stay) or blank (they become null): database(keep => ''{table.column}'')';
    END IF;
    SELECT string_agg(format('%s of %s', c.conname, c.conrelid::regclass), ', ') INTO listed
    FROM pg_constraint AS c CROSS JOIN LATERAL unnest(c.conkey, c.confkey) AS k (own, other)
    JOIN pg_attribute AS a ON a.attrelid = c.conrelid AND a.attnum = k.own
    JOIN pg_attribute AS b ON b.attrelid = c.confrelid AND b.attnum = k.other
    JOIN pg_temp.pgrehearse_plan AS p ON p.relation = c.conrelid::regclass::text AND p.attribute = a.attname
    JOIN pg_temp.pgrehearse_plan AS q ON q.relation = c.confrelid::regclass::text AND q.attribute = b.attname
    WHERE c.contype = 'f' AND 'keep' IN (p.action, q.action) AND p.action <> q.action AND p.action <> 'blank';
    IF listed IS NOT NULL THEN
        RAISE EXCEPTION 'foreign keys join columns that stay with columns that are mapped: %', listed
            USING HINT = 'name both columns in keep';
    END IF;
    FOR planned IN
        SELECT p.relation, max(p.estimated_rows) AS estimated_rows,
            array_agg(quote_ident(p.attribute)) FILTER (WHERE p.action <> 'generated') AS attributes,
            array_agg(CASE p.action WHEN 'map' THEN p.mapped WHEN 'blank' THEN 'NULL' ELSE quote_ident(p.attribute) END)
                FILTER (WHERE p.action <> 'generated') AS expressions,
            array_agg(p.relation || '.' || quote_ident(p.attribute)) FILTER (WHERE p.action = 'map') AS mapped,
            count(*) FILTER (WHERE p.action IN ('map', 'blank')) AS changed, count(*) FILTER (WHERE p.action = 'keep') AS kept
        FROM pg_temp.pgrehearse_plan AS p WHERE p.attribute IS NOT NULL GROUP BY p.relation ORDER BY p.relation
    LOOP
        relation := planned.relation;
        rows := NULL;
        mapped := planned.changed;
        kept := planned.kept;
        IF planned.changed > 0 THEN
            RAISE NOTICE '%: % columns, % rows', relation, mapped,
                coalesce('about ' || planned.estimated_rows, 'a number not yet estimated of');
            rows := pgrehearse_anonymize.fill(relation, planned.attributes, planned.expressions);
            -- Statistics hold values, too.
            EXECUTE format('ANALYZE %s', relation);
        END IF;
        done := done || planned.mapped;
        RETURN NEXT;
    END LOOP;
    PERFORM pgrehearse_anonymize.advance_sequences(done);
    -- A view is older than those that read it.
    FOR view IN SELECT c.oid FROM pg_class AS c WHERE c.relkind = 'm' AND c.relispopulated ORDER BY c.oid LOOP
        RAISE NOTICE '%: refreshed', view;
        EXECUTE format('REFRESH MATERIALIZED VIEW %s', view);
        EXECUTE format('ANALYZE %s', view);
    END LOOP;
    DROP TABLE pg_temp.pgrehearse_plan;
    RAISE NOTICE 'now DROP SCHEMA pgrehearse_anonymize CASCADE, which holds the key, and VACUUM (FULL, ANALYZE): dead rows hold old values';
END
$$;

COMMIT;
