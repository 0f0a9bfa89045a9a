-- Texts: each to another one of its form.

-- Replaces characters that have an alphabet, in one permutation of all texts with the same characters at the places that
-- stay and the same alphabets at the others. Kinds: t text, h hexadecimal, x addresses with colons.
CREATE FUNCTION pgrehearse_anonymize.characters(kind text, value text) RETURNS text
LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE AS $$
DECLARE
    small constant text := translate(value, 'ABCDEFGHIJKLMNOPQRSTUVWXYZ', 'abcdefghijklmnopqrstuvwxyz');
    frame text;
    kept text := '[^0-9a-z]+';
    bytes bytea;
    image bytea;
    piece bytea;
    whole text := '';
    code int;
    next int := 0;
BEGIN
    IF octet_length(value) <> length(value) THEN
        RETURN pgrehearse_anonymize.wide_characters(value);
    END IF;
    IF kind = 'x' THEN
        frame := translate(small, '123456789abcdefghijklmnopqrstuvwxyz', '111111111aaaaaaaaaaaaaaaaaaaaaaaaaa');
        kept := '[^1-9a-z]+';
    ELSE
        frame := translate(small, '0123456789abcdefghijklmnopqrstuvwxyz', '0000000000aaaaaaaaaaaaaaaaaaaaaaaaaa');
    END IF;
    image := pgrehearse_anonymize.shuffled(kind || frame, convert_to(regexp_replace(small, kept, '', 'g'), 'UTF8'),
        convert_to(regexp_replace(frame, kept, '', 'g'), 'UTF8'), CASE kind WHEN 't' THEN 26 ELSE 6 END);
    IF length(image) = length(value) AND small = value THEN
        RETURN convert_from(image, 'UTF8');
    END IF;
    bytes := convert_to(value, 'UTF8');
    WHILE length(bytes) > 0 LOOP
        piece := substr(bytes, 1, 512);
        bytes := substr(bytes, 513);
        FOR at IN 0..length(piece) - 1 LOOP
            code := get_byte(piece, at);
            IF code BETWEEN 97 AND 122 OR code BETWEEN 49 AND 57 OR code = 48 AND kind <> 'x' THEN
                piece := set_byte(piece, at, get_byte(image, next));
                next := next + 1;
            ELSIF code BETWEEN 65 AND 90 THEN
                piece := set_byte(piece, at, get_byte(image, next) - 32);
                next := next + 1;
            END IF;
        END LOOP;
        whole := whole || convert_from(piece, 'UTF8');
    END LOOP;
    RETURN whole;
END
$$;

-- The same for texts that are more than ASCII; they are of kind t.
CREATE FUNCTION pgrehearse_anonymize.wide_characters(value text) RETURNS text
LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE AS $$
DECLARE
    pieces text[] := string_to_array(value, NULL);
    frames text[] := '{t}';
    frame bytea;
    places int[] := '{}';
    firsts int[] := '{}';
    sizes int[] := '{}';
    distances int[] := '{}';
    smalls text[] := '{}';
    found record;
    count int;
    middle int;
    start int;
    seed bytea;
    block bytea;
    step int;
BEGIN
    FOR at IN 1..cardinality(pieces) LOOP
        found := pgrehearse_anonymize.place(ascii(pieces[at]));
        IF found.first IS NULL THEN
            frames := frames || pieces[at];
        ELSE
            frames := frames || chr(found.first);
            places := places || at;
            firsts := firsts || found.first;
            sizes := sizes || found.size;
            distances := distances || found.distance;
            smalls := smalls || chr(ascii(pieces[at]) - found.distance);
        END IF;
    END LOOP;
    frame := convert_to(array_to_string(frames, ''), 'UTF8') || '\x00';
    count := cardinality(places);
    middle := (count + 1) / 2;
    FOR round IN 1..3 LOOP
        EXIT WHEN count = 0;
        start := CASE round WHEN 2 THEN 1 ELSE middle + 1 END;
        seed := pgrehearse_anonymize.mac(set_byte('\x7301', 1, round) || frame || convert_to(array_to_string(
            CASE round WHEN 2 THEN smalls[middle + 1:count] ELSE smalls[1:middle] END, ''), 'UTF8'));
        FOR at IN start..(CASE round WHEN 2 THEN middle ELSE count END) LOOP
            IF (at - start) % 16 = 0 THEN
                block := sha256(seed || int4send((at - start) / 16));
            END IF;
            step := get_byte(block, 2 * ((at - start) % 16)) * 256 + get_byte(block, 2 * ((at - start) % 16) + 1);
            IF round = 2 AND at = 1 THEN
                step := 1 + step % (sizes[at] - 1);
            END IF;
            smalls[at] := chr(firsts[at] + (ascii(smalls[at]) - firsts[at] + step) % sizes[at]);
        END LOOP;
    END LOOP;
    FOR at IN 1..count LOOP
        pieces[places[at]] := chr(ascii(smalls[at]) + distances[at]);
    END LOOP;
    RETURN array_to_string(pieces, '');
END
$$;

CREATE FUNCTION pgrehearse_anonymize.uuid_text(value text) RETURNS text
LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE AS $$
DECLARE
    digits constant text := lower(replace(value, '-', '') COLLATE "C");
    -- The version and the variant stay.
    mapped constant text := left(digits, 12) || substr(digits, 14, 3) || substr(digits, 18);
    nibbles bytea := decode(regexp_replace(mapped, '(.)', '0\1', 'g'), 'hex');
    image text;
BEGIN
    nibbles := pgrehearse_anonymize.shuffled('u' || substr(digits, 13, 1) || substr(digits, 17, 1), nibbles, decode(repeat('00', 30), 'hex'), 16);
    image := regexp_replace(encode(nibbles, 'hex'), '.(.)', '\1', 'g');
    image := left(image, 8) || '-' || substr(image, 9, 4) || '-' || substr(digits, 13, 1) || substr(image, 13, 3) || '-'
        || substr(digits, 17, 1) || substr(image, 16, 3) || '-' || substr(image, 19);
    RETURN CASE WHEN value ~ '[A-F]' THEN upper(image COLLATE "C") ELSE image END;
END
$$;

-- Each part of an address stays a number of as many digits; a zero stays, and where all behind the mask is zero, so does
-- the part that the mask divides.
CREATE FUNCTION pgrehearse_anonymize.ipv4_text(value text) RETURNS text
LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE AS $$
DECLARE
    octets text[] := string_to_array(split_part(value, '/', 1), '.');
    mask constant text := coalesce(substring(value FROM '/.*$'), '');
    bits constant int := CASE WHEN mask = '' THEN NULL WHEN substr(mask, 2)::int < 32 THEN substr(mask, 2)::int END;
    frames text[] := octets;
    codes bytea := '';
    firsts bytea := '';
    first int;
BEGIN
    IF bits % 8 <> 0 AND octets[bits / 8 + 1]::int % (1 << 8 - bits % 8) = 0
        AND array_to_string(octets[bits / 8 + 2:4], '') ~ '^0*$' THEN
        frames[bits / 8 + 1] := CASE octets[bits / 8 + 1] WHEN '0' THEN '0' ELSE '=' || octets[bits / 8 + 1] END;
    END IF;
    FOR at IN 1..4 LOOP
        CONTINUE WHEN frames[at] = '0' OR frames[at] LIKE '=%';
        first := CASE length(octets[at]) WHEN 1 THEN 1 WHEN 2 THEN 10 ELSE 100 END;
        frames[at] := first;
        codes := codes || set_byte('\x00', 0, octets[at]::int);
        firsts := firsts || set_byte('\x00', 0, first);
    END LOOP;
    codes := pgrehearse_anonymize.shuffled('a' || array_to_string(frames, '.') || mask, codes, firsts, 0);
    FOR at IN 1..4 LOOP
        CONTINUE WHEN frames[at] = '0' OR frames[at] LIKE '=%';
        octets[at] := get_byte(codes, 0);
        codes := substr(codes, 2);
    END LOOP;
    RETURN array_to_string(octets, '.') || mask;
END
$$;

CREATE FUNCTION pgrehearse_anonymize.bytes(value bytea) RETURNS bytea
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $$
    SELECT pgrehearse_anonymize.shuffled('b' || length(value), value, decode(repeat('00', length(value)), 'hex'), 256)
$$;

-- A value of one form that has no values inside it, mapped once.
CREATE FUNCTION pgrehearse_anonymize.step(form text, value text) RETURNS text
LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE AS $$
DECLARE
    day date;
BEGIN
    CASE form
        WHEN 'number' THEN
            RETURN pgrehearse_anonymize.number_text(value);
        WHEN 'date' THEN
            day := to_date(left(value, 10), 'YYYY-MM-DD') - @DAYS_BACK@;
            RETURN CASE WHEN day >= '0001-01-01' THEN to_char(day, 'YYYY-MM-DD') || substr(value, 11) ELSE value END;
        WHEN 'uuid' THEN
            RETURN pgrehearse_anonymize.uuid_text(value);
        WHEN 'ipv4' THEN
            RETURN pgrehearse_anonymize.ipv4_text(value);
        WHEN 'colons' THEN
            RETURN pgrehearse_anonymize.characters('x', split_part(value, '/', 1)) || coalesce(substring(value FROM '/.*$'), '');
        WHEN 'bytea' THEN
            RETURN CASE WHEN value ~ '[A-F]'
                THEN '\x' || upper(encode(pgrehearse_anonymize.bytes(decode(substr(value, 3), 'hex')), 'hex') COLLATE "C")
                ELSE '\x' || encode(pgrehearse_anonymize.bytes(decode(substr(value, 3), 'hex')), 'hex') END;
        WHEN 'hex' THEN
            RETURN pgrehearse_anonymize.characters('h', value);
        ELSE
            RETURN pgrehearse_anonymize.characters('t', value);
    END CASE;
END
$$;

-- A value without the spaces and the `%` around it.
CREATE FUNCTION pgrehearse_anonymize.core(value text) RETURNS text
LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE AS $$
DECLARE
    form constant text := pgrehearse_anonymize.form(value);
    image text := '';
    piece text;
    pieces text[];
BEGIN
    IF form IN ('plain', 'word', 'zero', 'span') OR pgrehearse_anonymize.is_allowed(ltrim(lower(value COLLATE "C"), '+-'))
        OR form = 'date' AND @DAYS_BACK@ = 0 THEN
        RETURN value;
    END IF;
    CASE form
        WHEN 'json' THEN
            pieces := pgrehearse_anonymize.json_pieces(value);
            FOR at IN 1..cardinality(pieces) LOOP
                piece := pieces[at];
                IF piece LIKE '"%' AND NOT @JSON_KEYS@ AND ltrim(pieces[at + 1], E' \t\n\r') LIKE ':%' THEN
                    pieces[at] := to_json(piece::json #>> '{}')::text;
                ELSIF piece LIKE '"%' THEN
                    pieces[at] := to_json(pgrehearse_anonymize.value(piece::json #>> '{}'))::text;
                ELSIF piece ~ '^[-0-9]' THEN
                    pieces[at] := pgrehearse_anonymize.value(piece);
                END IF;
            END LOOP;
            image := array_to_string(pieces, '');
        WHEN 'array' THEN
            pieces := pgrehearse_anonymize.array_pieces(value);
            -- The first piece is the bounds.
            FOR at IN 2..cardinality(pieces) LOOP
                piece := pieces[at];
                IF piece LIKE '"%' THEN
                    piece := pgrehearse_anonymize.value(regexp_replace(substr(piece, 2, length(piece) - 2), '\\(.)', '\1', 'g'));
                    pieces[at] := '"' || replace(replace(piece, '\', '\\'), '"', '\"') || '"';
                ELSIF piece NOT IN ('{', '}', ',') AND lower(piece COLLATE "C") <> 'null' THEN
                    pieces[at] := pgrehearse_anonymize.value(piece);
                END IF;
            END LOOP;
            image := array_to_string(pieces, '');
        WHEN 'range' THEN
            image := pgrehearse_anonymize.range_text(value);
        WHEN 'multirange' THEN
            SELECT '{' || string_agg(pgrehearse_anonymize.range_text(m[1]), ',' ORDER BY at) || '}' INTO image
            FROM regexp_matches(value, '[[(][^])]*[])]', 'g') WITH ORDINALITY AS pieces (m, at);
        WHEN 'tuple' THEN
            FOR piece IN SELECT m[1] FROM regexp_matches(value, '[(),]|[^(),]+', 'g') AS m LOOP
                image := image || CASE WHEN piece IN ('(', ',', ')') THEN piece ELSE pgrehearse_anonymize.value(piece) END;
            END LOOP;
        WHEN 'email' THEN
            image := pgrehearse_anonymize.value(split_part(value, '@', 1)) || '@'
                || pgrehearse_anonymize.value(split_part(value, '@', 2));
        ELSE
            image := pgrehearse_anonymize.step(form, value);
            -- Images of another form, and those that only a kept value may have, are mapped on: no two values meet so.
            WHILE image <> value AND (form NOT IN ('number', 'uuid') AND pgrehearse_anonymize.form(image) <> form
                OR pgrehearse_anonymize.is_allowed(ltrim(lower(image COLLATE "C"), '+-'))) LOOP
                image := pgrehearse_anonymize.step(form, image);
            END LOOP;
    END CASE;
    RETURN image;
END
$$;

-- Dates move and stay in order. Numbers would not: a range of numbers stays.
CREATE FUNCTION pgrehearse_anonymize.range_text(value text) RETURNS text
LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE AS $$
DECLARE
    bounds constant text[] := pgrehearse_anonymize.range_bounds(value);
    lower text := left(value, strpos(value, ',') - 1);
    upper text := substr(value, strpos(value, ','));
BEGIN
    IF @DAYS_BACK@ = 0 THEN
        RETURN value;
    END IF;
    IF pgrehearse_anonymize.is_date(bounds[1]) THEN
        lower := replace(lower, bounds[1], pgrehearse_anonymize.core(bounds[1]));
    END IF;
    IF pgrehearse_anonymize.is_date(bounds[2]) THEN
        upper := replace(upper, bounds[2], pgrehearse_anonymize.core(bounds[2]));
    END IF;
    RETURN lower || upper;
END
$$;

-- The value for a value, as text.
CREATE FUNCTION pgrehearse_anonymize.value(value text) RETURNS text
LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE AS $$
DECLARE
    core constant text := btrim(value, E' \t\n\r%');
    before int;
BEGIN
    IF core = '' THEN
        RETURN value;
    END IF;
    IF length(core) = length(value) THEN
        RETURN pgrehearse_anonymize.core(core);
    END IF;
    before := length(value) - length(ltrim(value, E' \t\n\r%'));
    RETURN left(value, before) || pgrehearse_anonymize.core(core) || substr(value, before + length(core) + 1);
END
$$;
