-- The mapping of typed values: what their text would become, the short way where there is one.

CREATE FUNCTION pgrehearse_anonymize.value(value bigint) RETURNS bigint
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $$
    SELECT CASE WHEN value > 0 THEN pgrehearse_anonymize.magnitude(value)
                WHEN value > -9223372036854775808 THEN -pgrehearse_anonymize.magnitude(-value)
                ELSE value END
$$;

CREATE FUNCTION pgrehearse_anonymize.value(value int) RETURNS int
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $$ SELECT pgrehearse_anonymize.value(value::bigint)::int $$;

CREATE FUNCTION pgrehearse_anonymize.value(value smallint) RETURNS smallint
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $$ SELECT pgrehearse_anonymize.value(value::bigint)::smallint $$;

CREATE FUNCTION pgrehearse_anonymize.value(value numeric) RETURNS numeric
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $$ SELECT pgrehearse_anonymize.value(value::text)::numeric $$;

CREATE FUNCTION pgrehearse_anonymize.value(value double precision) RETURNS double precision
LANGUAGE sql STABLE STRICT PARALLEL SAFE AS $$ SELECT pgrehearse_anonymize.value(value::text)::double precision $$;

CREATE FUNCTION pgrehearse_anonymize.value(value real) RETURNS real
LANGUAGE sql STABLE STRICT PARALLEL SAFE AS $$ SELECT pgrehearse_anonymize.value(value::text)::real $$;

CREATE FUNCTION pgrehearse_anonymize.value(value uuid) RETURNS uuid
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $$ SELECT pgrehearse_anonymize.value(value::text)::uuid $$;

CREATE FUNCTION pgrehearse_anonymize.value(value bytea) RETURNS bytea
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $$
    SELECT pgrehearse_anonymize.value('\x' || encode(value, 'hex'))::bytea
$$;

CREATE FUNCTION pgrehearse_anonymize.value(value date) RETURNS date
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $$
    SELECT CASE WHEN value < '0001-01-01' OR value > '9999-12-31' THEN value
                WHEN value - @DAYS_BACK@ < '0001-01-01' THEN value
                ELSE value - @DAYS_BACK@ END
$$;

CREATE FUNCTION pgrehearse_anonymize.value(value timestamp) RETURNS timestamp
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $$
    SELECT CASE WHEN value < '0001-01-01' OR value >= '10000-01-01' THEN value
                WHEN value - interval '@DAYS_BACK@ days' < '0001-01-01' THEN value
                ELSE value - interval '@DAYS_BACK@ days' END
$$;

-- As many times 24 hours, whatever the zone does.
CREATE FUNCTION pgrehearse_anonymize.value(value timestamptz) RETURNS timestamptz
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $$
    SELECT pgrehearse_anonymize.value(value AT TIME ZONE 'UTC') AT TIME ZONE 'UTC'
$$;

CREATE FUNCTION pgrehearse_anonymize.value(value json) RETURNS json
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $$ SELECT pgrehearse_anonymize.value(value::text)::json $$;

CREATE FUNCTION pgrehearse_anonymize.value(value jsonb) RETURNS jsonb
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $$ SELECT pgrehearse_anonymize.value(value::text)::jsonb $$;
