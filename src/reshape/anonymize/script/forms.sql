-- Forms: what a text is, told by how it is written; in the order of the tests.

CREATE FUNCTION pgrehearse_anonymize.place(code int, OUT first int, OUT size int, OUT distance int)
LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE AS $$
DECLARE
    firsts constant int[] := '{@ALPHABET_FIRSTS@}';
    lasts constant int[] := '{@ALPHABET_LASTS@}';
    distances constant int[] := '{@ALPHABET_CASES@}';
    block constant int := code - code % 64;
BEGIN
    -- Capital letters are the small ones at a distance.
    FOR at IN 1..@ALPHABETS@ LOOP
        IF code BETWEEN firsts[at] AND lasts[at] THEN
            first := firsts[at] - distances[at];
            size := lasts[at] - firsts[at] + 1;
            distance := distances[at];
            RETURN;
        END IF;
    END LOOP;
    FOR at IN 1..@ALPHABETS@ LOOP
        IF firsts[at] < block + 64 AND block <= lasts[at] THEN
            RETURN;
        END IF;
    END LOOP;
    IF block >= 256 AND NOT @SIGNS@ THEN
        first := block;
        size := 64;
        distance := 0;
    END IF;
END
$$;

-- Whether nothing in a text can be replaced.
CREATE FUNCTION pgrehearse_anonymize.is_plain(value text) RETURNS boolean
LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE AS $$
DECLARE
    one text;
BEGIN
    IF value ~ '[0-9A-Za-z]' THEN
        RETURN false;
    END IF;
    IF octet_length(value) = length(value) THEN
        RETURN true;
    END IF;
    FOREACH one IN ARRAY string_to_array(value, NULL) LOOP
        IF ascii(one) > 127 AND (pgrehearse_anonymize.place(ascii(one))).first IS NOT NULL THEN
            RETURN false;
        END IF;
    END LOOP;
    RETURN true;
END
$$;

-- Whether a text begins with a day that exists, and only a time of day follows.
CREATE FUNCTION pgrehearse_anonymize.is_date(value text) RETURNS boolean
LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE AS $$
DECLARE
    year int;
    month int;
    day int;
BEGIN
    IF value !~ '^[0-9]{4}-[0-9]{2}-[0-9]{2}([ T]@TIME@)?$' THEN
        RETURN false;
    END IF;
    year := substr(value, 1, 4);
    month := substr(value, 6, 2);
    day := substr(value, 9, 2);
    RETURN year > 0 AND month BETWEEN 1 AND 12 AND day BETWEEN 1 AND CASE
        WHEN month = 2 AND year % 4 = 0 AND (year % 100 <> 0 OR year % 400 = 0) THEN 29
        WHEN month = 2 THEN 28
        WHEN month IN (4, 6, 9, 11) THEN 30
        ELSE 31 END;
END
$$;

CREATE FUNCTION pgrehearse_anonymize.is_number(value text) RETURNS boolean
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $$
    SELECT value ~ '^[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]+)?$'
$$;

-- The two bounds of a range, without quotes; null where it is none.
CREATE FUNCTION pgrehearse_anonymize.range_bounds(value text) RETURNS text[]
LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE AS $$
DECLARE
    parts text[] := regexp_match(value, '^[[(]([^,]*),(.*)[])]$');
    bound text;
    numbers boolean := true;
    moments boolean := true;
BEGIN
    IF parts IS NULL THEN
        RETURN NULL;
    END IF;
    FOR at IN 1..2 LOOP
        IF parts[at] ~ '^".*"$' THEN
            parts[at] := substr(parts[at], 2, length(parts[at]) - 2);
        END IF;
        bound := parts[at];
        numbers := numbers AND (bound = '' OR pgrehearse_anonymize.is_number(bound));
        moments := moments AND (bound IN ('', 'infinity', '-infinity') OR pgrehearse_anonymize.is_date(bound));
    END LOOP;
    IF value LIKE '(%)' AND parts[1] <> '' AND parts[2] <> '' THEN
        numbers := false;
    END IF;
    RETURN CASE WHEN numbers OR moments THEN parts END;
END
$$;

CREATE FUNCTION pgrehearse_anonymize.is_multirange(value text) RETURNS boolean
LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE AS $$
DECLARE
    piece text;
BEGIN
    IF value !~ '^\{[[(][^])]*[])](,[[(][^])]*[])])*\}$' THEN
        RETURN false;
    END IF;
    FOR piece IN SELECT m[1] FROM regexp_matches(value, '[[(][^])]*[])]', 'g') AS m LOOP
        IF pgrehearse_anonymize.range_bounds(piece) IS NULL THEN
            RETURN false;
        END IF;
    END LOOP;
    RETURN true;
END
$$;

-- The pieces of a JSON text, strings whole; null where it is no JSON.
CREATE FUNCTION pgrehearse_anonymize.json_pieces(value text) RETURNS text[]
LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE AS $$
DECLARE
    pieces text[];
BEGIN
    PERFORM value::json;
    pieces := ARRAY(SELECT m[1] FROM regexp_matches(value, '"(?:[^"\\]|\\.)*"|-?[0-9][0-9+.eE-]*|[^"0-9-]+', 'g') AS m);
    -- Zero characters and halves of surrogate pairs are no text.
    PERFORM piece::json #>> '{}' FROM unnest(pieces) AS piece WHERE piece LIKE '"%\\u%';
    RETURN pieces;
EXCEPTION
    WHEN data_exception OR program_limit_exceeded THEN
        RETURN NULL;
END
$$;

-- The pieces of an array, its bounds first; null where it is none.
CREATE FUNCTION pgrehearse_anonymize.array_pieces(value text) RETURNS text[]
LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE AS $$
DECLARE
    bounds text := coalesce(substring(value FROM '^\[[][0-9:+-]*='), '');
    pieces text[];
    piece text;
    last text := '';
    depth int := 0;
    expects boolean := true;
    total int := 0;
BEGIN
    IF value !~ '\}$' OR substr(value, length(bounds) + 1, 1) <> '{' THEN
        RETURN NULL;
    END IF;
    pieces := ARRAY(SELECT m[1] FROM regexp_matches(substr(value, length(bounds) + 1),
        '[{},]|"(?:[^"\\]|\\.)*"|[^{},"\\\t\n\r]+', 'g') AS m);
    FOREACH piece IN ARRAY pieces LOOP
        IF depth = 0 AND total > 0 THEN
            RETURN NULL;
        ELSIF piece = '{' AND expects THEN
            depth := depth + 1;
        ELSIF piece = '}' AND (NOT expects OR last = '{') THEN
            depth := depth - 1;
            expects := false;
        ELSIF piece = ',' AND NOT expects THEN
            expects := true;
        ELSIF expects AND depth > 0 AND piece NOT IN ('{', '}', ',') AND piece NOT LIKE ' %' AND piece NOT LIKE '% ' THEN
            expects := false;
        ELSE
            RETURN NULL;
        END IF;
        last := piece;
        total := total + length(piece);
    END LOOP;
    RETURN CASE WHEN depth = 0 AND total = length(value) - length(bounds) THEN bounds || pieces END;
END
$$;

CREATE FUNCTION pgrehearse_anonymize.form(value text) RETURNS text
LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE AS $$
BEGIN
    IF pgrehearse_anonymize.is_plain(value) THEN
        RETURN 'plain';
    ELSIF lower(value COLLATE "C") IN (@WORDS@) THEN
        RETURN 'word';
    ELSIF value !~ '[-0-9@:"{([\\]' THEN
        RETURN 'text';
    ELSIF pgrehearse_anonymize.is_number(value) THEN
        RETURN CASE WHEN value ~ '^[^eE]*[1-9]' THEN 'number' ELSE 'zero' END;
    ELSIF pgrehearse_anonymize.is_date(value) THEN
        RETURN 'date';
    ELSIF value ~ '^@TIME@$' OR lower(value COLLATE "C") ~ '@INTERVAL@' THEN
        RETURN 'span';
    ELSIF value ~ '^[0-9a-fA-F]{8}-([0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}$' THEN
        RETURN 'uuid';
    ELSIF value ~ '^@OCTET@(\.@OCTET@){3}(/[0-9]{1,2})?$' THEN
        RETURN 'ipv4';
    ELSIF value ~ '^[0-9a-fA-F]{0,4}(:[0-9a-fA-F]{0,4}){2,}(/[0-9]{1,3})?$' THEN
        RETURN 'colons';
    ELSIF value ~ '^\\x([0-9a-fA-F]{2})*$' THEN
        RETURN 'bytea';
    ELSIF value ~ '^["{[]' AND pgrehearse_anonymize.json_pieces(value) IS NOT NULL THEN
        RETURN 'json';
    ELSIF value LIKE '{%' AND pgrehearse_anonymize.is_multirange(value) THEN
        RETURN 'multirange';
    ELSIF value ~ '^[{[]' AND pgrehearse_anonymize.array_pieces(value) IS NOT NULL THEN
        RETURN 'array';
    ELSIF pgrehearse_anonymize.range_bounds(value) IS NOT NULL THEN
        RETURN 'range';
    ELSIF value ~ '^\([^"()\\ \t\n\r]*,[^"()\\ \t\n\r]*\)$' THEN
        RETURN 'tuple';
    ELSIF value ~ '^[^@ \t\n\r]+@[^@ \t\n\r]+$' THEN
        RETURN 'email';
    ELSIF length(value) >= @HEX_MIN@ AND value ~ '^([0-9a-f]+|[0-9A-F]+)$' AND value ~ '[0-9]' AND value ~ '[a-fA-F]' THEN
        RETURN 'hex';
    ELSE
        RETURN 'text';
    END IF;
END
$$;
