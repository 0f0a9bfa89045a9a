-- What is done to each column, and the values that the schema names.

-- How a column is mapped: an expression in which %s is the column; '' where its type's values stay, null where the type
-- is not known.
CREATE FUNCTION pgrehearse_anonymize.expression(type oid) RETURNS text
LANGUAGE plpgsql STABLE STRICT AS $$
DECLARE
    base pg_type;
    element text;
BEGIN
    SELECT * INTO base FROM pg_type WHERE oid = type;
    IF base.typtype = 'd' THEN
        RETURN pgrehearse_anonymize.expression(base.typbasetype);
    ELSIF base.oid IN ('smallint'::regtype, 'integer'::regtype, 'bigint'::regtype, 'numeric'::regtype, 'real'::regtype,
        'double precision'::regtype, 'uuid'::regtype, 'bytea'::regtype, 'date'::regtype, 'timestamp'::regtype,
        'timestamptz'::regtype, 'json'::regtype, 'jsonb'::regtype) THEN
        RETURN format('pgrehearse_anonymize.value(%%s::%s)', format_type(base.oid, NULL));
    ELSIF base.typtype = 'e' OR base.oid IN ('boolean'::regtype, 'time'::regtype, 'timetz'::regtype, 'interval'::regtype,
        'int4range'::regtype, 'int8range'::regtype, 'numrange'::regtype, 'oid'::regtype, 'xid'::regtype, '"char"'::regtype,
        'pg_lsn'::regtype) OR base.typname LIKE 'reg%' AND base.typnamespace = 'pg_catalog'::regnamespace THEN
        RETURN '';
    ELSIF base.typcategory = 'A' AND base.typelem <> 0 THEN
        element := pgrehearse_anonymize.expression(base.typelem);
        RETURN CASE WHEN element <> '' THEN format('pgrehearse_anonymize.value(%%s::text)::%s', format_type(base.oid, NULL))
                    ELSE element END;
    ELSIF base.typcategory = 'S' THEN
        -- Without a cast to the type, so that nothing is cut off silently.
        RETURN 'pgrehearse_anonymize.value(%s::text)';
    ELSIF base.oid IN ('point'::regtype, 'inet'::regtype, 'cidr'::regtype, 'macaddr'::regtype, 'macaddr8'::regtype,
        'daterange'::regtype, 'tsrange'::regtype, 'tstzrange'::regtype)
        OR base.typname IN ('datemultirange', 'tsmultirange', 'tstzmultirange') THEN
        RETURN format('pgrehearse_anonymize.value(%%s::text)::%s', format_type(base.oid, NULL));
    ELSIF base.typname IN ('int4multirange', 'int8multirange', 'nummultirange') THEN
        RETURN '';
    END IF;
    RETURN NULL;
END
$$;

-- What database() would do. `keep` names columns that stay as they are, and `blank` such as become null: table.column
-- or schema.table.column; without a column, all of a table. The action `refuse` must be settled so.
CREATE FUNCTION pgrehearse_anonymize.plan(keep text[] DEFAULT '{}', blank text[] DEFAULT '{}')
RETURNS TABLE (relation text, attribute text, type text, action text, reason text, estimated_rows bigint, mapped text)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    unknown text;
BEGIN
    SELECT string_agg(entry, ', ') INTO unknown FROM unnest(keep || blank) AS entry
    WHERE entry <> 'large objects' AND NOT EXISTS (
        SELECT FROM pgrehearse_anonymize.attributes() AS a
        WHERE entry IN (a.nspname || '.' || a.relname, a.relname, a.nspname || '.' || a.relname || '.' || a.attname,
            a.relname || '.' || a.attname));
    IF unknown IS NOT NULL THEN
        RAISE EXCEPTION 'no such table or column: %', unknown
            USING HINT = 'write table.column or schema.table.column, without quotes';
    END IF;
    RETURN QUERY
    SELECT a.oid::regclass::text, a.attname::text, format_type(a.atttypid, a.atttypmod),
        CASE WHEN a.names && keep OR a.relkind = 'f' THEN 'keep'
             WHEN a.is_generated THEN 'generated'
             WHEN a.names && blank THEN 'blank'
             WHEN e.expression = '' THEN 'keep'
             WHEN e.expression IS NULL THEN 'refuse'
             ELSE 'map' END,
        CASE WHEN a.names && keep THEN 'named by keep'
             WHEN a.relkind = 'f' THEN 'foreign table'
             WHEN a.is_generated THEN 'computed anew'
             WHEN a.names && blank THEN 'named by blank'
             WHEN e.expression = '' THEN 'values of this type stay'
             WHEN e.expression IS NULL THEN 'no mapping for this type: name it in keep or blank' END,
        a.rows, format(nullif(e.expression, ''), quote_ident(a.attname))
    FROM pgrehearse_anonymize.attributes() AS a
    CROSS JOIN LATERAL (SELECT pgrehearse_anonymize.expression(a.atttypid)) AS e (expression)
    ORDER BY a.oid, a.attnum;
    IF EXISTS (SELECT FROM pg_largeobject_metadata) THEN
        RETURN QUERY SELECT 'large objects', NULL, NULL, CASE WHEN 'large objects' = ANY (keep) THEN 'keep' ELSE 'refuse' END,
            'large objects are not mapped: remove them, or name them in keep', (SELECT count(*) FROM pg_largeobject_metadata), NULL;
    END IF;
END
$$;

-- The columns of all tables: partitions stand under their partitioned table, tables of extensions and temporary ones nowhere.
CREATE FUNCTION pgrehearse_anonymize.attributes()
RETURNS TABLE (oid oid, nspname name, relname name, relkind "char", attnum int2, attname name, atttypid oid, atttypmod int4,
    is_generated boolean, names text[], rows bigint)
LANGUAGE sql STABLE AS $$
    SELECT c.oid, n.nspname, c.relname, c.relkind, a.attnum, a.attname, a.atttypid, a.atttypmod,
        -- Generated columns came with PostgreSQL 12.
        coalesce(to_jsonb(a) ->> 'attgenerated', '') <> '',
        ARRAY[n.nspname || '.' || c.relname, c.relname, n.nspname || '.' || c.relname || '.' || a.attname,
            c.relname || '.' || a.attname],
        CASE WHEN c.reltuples > 0 THEN c.reltuples::bigint END
    FROM pg_class AS c
    JOIN pg_namespace AS n ON n.oid = c.relnamespace
    JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
    WHERE c.relkind IN ('r', 'p', 'f') AND NOT c.relispartition AND c.relpersistence <> 't'
        AND n.nspname NOT IN ('pg_catalog', 'information_schema', 'pgrehearse_anonymize') AND n.nspname !~ '^pg_toast'
        AND NOT EXISTS (SELECT FROM pg_depend AS d
            WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e')
$$;

-- Values that the schema names, which a mapped database and a mapped workload should both keep: labels of enumerations,
-- and texts in checks, defaults, conditions of indexes, policies and triggers, in bounds of partitions and in views.
CREATE FUNCTION pgrehearse_anonymize.labels() RETURNS SETOF text
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    WITH own AS (
        SELECT oid FROM pg_namespace
        WHERE nspname NOT IN ('pg_catalog', 'information_schema', 'pgrehearse_anonymize') AND nspname !~ '^pg_t'
    ), definitions (definition) AS (
        SELECT pg_get_constraintdef(oid) FROM pg_constraint WHERE contype = 'c' AND connamespace IN (SELECT oid FROM own)
        UNION ALL
        SELECT pg_get_expr(d.adbin, d.adrelid) FROM pg_attrdef AS d JOIN pg_class AS c ON c.oid = d.adrelid
        WHERE c.relnamespace IN (SELECT oid FROM own)
        UNION ALL
        SELECT pg_get_expr(i.indpred, i.indrelid) FROM pg_index AS i JOIN pg_class AS c ON c.oid = i.indexrelid
        WHERE c.relnamespace IN (SELECT oid FROM own)
        UNION ALL
        SELECT pg_get_expr(relpartbound, oid) FROM pg_class WHERE relispartition AND relnamespace IN (SELECT oid FROM own)
        UNION ALL
        SELECT concat(pg_get_expr(polqual, polrelid), ' ', pg_get_expr(polwithcheck, polrelid)) FROM pg_policy
        UNION ALL
        SELECT regexp_replace(pg_get_triggerdef(t.oid), '^.* WHEN \((.*)\) EXECUTE .*$|^.*$', '\1') FROM pg_trigger AS t
        WHERE NOT t.tgisinternal
        UNION ALL
        SELECT pg_get_viewdef(oid) FROM pg_class WHERE relkind IN ('v', 'm') AND relnamespace IN (SELECT oid FROM own)
    ), named (label) AS (
        SELECT enumlabel::text FROM pg_enum
        UNION
        SELECT replace(m[1], '''''', '''') FROM definitions,
            regexp_matches(definition, '''((?:[^'']|'''')*)''(?!::(?:regclass|interval|time))', 'g') AS m
        UNION
        SELECT m[1] FROM definitions, regexp_matches(substring(definition FROM '^FOR VALUES IN \((.*)\)$'), '[0-9.]+', 'g') AS m
    )
    SELECT label FROM named
    WHERE label !~ '[\n\r]' AND label !~ '^\s*$' AND pgrehearse_anonymize.form(label) NOT IN ('plain', 'word', 'zero', 'span', 'date')
    ORDER BY label COLLATE "C"
$$;

