-- Numbers: what is keyed, and each whole number to another one of as many digits.

CREATE FUNCTION pgrehearse_anonymize.mac(message bytea) RETURNS bytea
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $$
    SELECT sha256('\x@OUTER@'::bytea || sha256('\x@INNER@'::bytea || message))
$$;

-- The first seven bytes as a number.
CREATE FUNCTION pgrehearse_anonymize.number(mac bytea) RETURNS bigint
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $$
    SELECT ('x' || encode(substr(mac, 1, 7), 'hex'))::bit(56)::bigint
$$;

-- Whether a value, in lower case and without its sign, is one of those that stay.
CREATE FUNCTION pgrehearse_anonymize.is_allowed(value text) RETURNS boolean
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $$
    SELECT @ALLOWED@
$$;

-- The magnitude for a magnitude, a Feistel network of three rounds over a range of `high * low` numbers.
CREATE FUNCTION pgrehearse_anonymize.magnitude(value bigint) RETURNS bigint
LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE AS $$
DECLARE
    image bigint := value;
    range int;
    start bigint;
    head bytea;
    highs bigint;
    lows bigint;
    high bigint;
    low bigint;
BEGIN
    IF value = 0 OR value IN (@KEPT@) OR pgrehearse_anonymize.is_allowed(value::text) THEN
        RETURN value;
    END IF;
    range := width_bucket(value, '{@FIRSTS@}'::bigint[]);
    start := ('{@FIRSTS@}'::bigint[])[range];
    highs := ('{@HIGHS@}'::bigint[])[range];
    lows := ('{@LOWS@}'::bigint[])[range];
    head := int8send(start);
    LOOP
        high := (image - start) / lows;
        low := (image - start) % lows;
        low := (low + pgrehearse_anonymize.number(pgrehearse_anonymize.mac('\x6901' || head || int8send(high))) % lows) % lows;
        high := (high + 1 + pgrehearse_anonymize.number(pgrehearse_anonymize.mac('\x6902' || head || int8send(low))) % (highs - 1))
            % highs;
        low := (low + pgrehearse_anonymize.number(pgrehearse_anonymize.mac('\x6903' || head || int8send(high))) % lows) % lows;
        image := start + high * lows + low;
        IF image = value OR image NOT IN (@KEPT@) AND NOT pgrehearse_anonymize.is_allowed(image::text) THEN
            RETURN image;
        END IF;
    END LOOP;
END
$$;

-- How many symbols an alphabet has, told by its first: those of letters, and all bytes, have `others`.
CREATE FUNCTION pgrehearse_anonymize.size(first int, others int) RETURNS int
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT CASE first WHEN 97 THEN others WHEN 0 THEN others WHEN 48 THEN 10 WHEN 49 THEN 9
                      WHEN 1 THEN 9 WHEN 10 THEN 90 ELSE 156 END
$$;

-- Each symbol to another one of its alphabet; `firsts` holds the first symbol of each one's. By pieces of 512, since each
-- replacement copies its piece.
CREATE FUNCTION pgrehearse_anonymize.shuffled(frame text, codes bytea, firsts bytea, others int) RETURNS bytea
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS $$
DECLARE
    count int := length(codes);
    middle int := (count + 1) / 2;
    head bytea := convert_to(frame, 'UTF8') || '\x00';
    image bytea := codes;
    start int;
    past int;
    changed bytea;
    piece bytea;
    first int;
    seed bytea;
    stream bytea;
BEGIN
    FOR round IN 1..3 LOOP
        IF round = 2 THEN
            start := 0;
            past := middle;
            seed := pgrehearse_anonymize.mac('\x7302' || head || substr(image, middle + 1));
        ELSE
            start := middle;
            past := count;
            seed := pgrehearse_anonymize.mac(set_byte('\x7301', 1, round) || head || substr(image, 1, middle));
        END IF;
        changed := '';
        WHILE start < past LOOP
            piece := substr(image, start + 1, least(512, past - start));
            stream := '';
            FOR block IN length(changed) / 16..(length(changed) + length(piece) - 1) / 16 LOOP
                stream := stream || sha256(seed || int4send(block));
            END LOOP;
            IF round = 2 AND start = 0 THEN
                -- The first symbol becomes another one for certain.
                first := get_byte(firsts, 0);
                stream := set_byte(set_byte(stream, 0, 0), 1,
                    1 + ((get_byte(stream, 0) << 8) + get_byte(stream, 1)) % (pgrehearse_anonymize.size(first, others) - 1));
            END IF;
            -- One statement a symbol: this is where the time goes.
            FOR at IN 0..length(piece) - 1 LOOP
                piece := set_byte(piece, at, get_byte(firsts, start + at) + (get_byte(piece, at) - get_byte(firsts, start + at)
                    + (get_byte(stream, 2 * at) << 8) + get_byte(stream, 2 * at + 1))
                    % pgrehearse_anonymize.size(get_byte(firsts, start + at), others));
            END LOOP;
            changed := changed || piece;
            start := start + length(piece);
        END LOOP;
        image := CASE round WHEN 2 THEN changed || substr(image, middle + 1) ELSE substr(image, 1, middle) || changed END;
    END LOOP;
    RETURN image;
END
$$;

-- A number as it is written, other than zero.
CREATE FUNCTION pgrehearse_anonymize.number_text(value text) RETURNS text
LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE AS $$
DECLARE
    parts text[] := regexp_match(value, '^([+-]?[0.]*)([0-9.]*)((?:[eE].*)?)$');
    exponent text := ltrim(substr(parts[3], 2), '+-0');
    written text := replace(parts[2], '.', '');
    point int := CASE WHEN strpos(parts[1], '.') > 0 THEN strpos(parts[1], '.') - length(parts[1])
                      WHEN strpos(parts[2], '.') > 0 THEN strpos(parts[2], '.') - 1
                      ELSE length(parts[2]) END;
    digits text := rtrim(written, '0');
    whole boolean;
    image text;
    place int := strpos(parts[2], '.');
BEGIN
    IF parts[3] <> '' THEN
        point := point + CASE WHEN parts[3] LIKE '_-%' THEN -1 ELSE 1 END
            * CASE WHEN length(exponent) > 6 THEN 999999 ELSE ('0' || exponent)::int END;
    END IF;
    whole := length(digits) <= point AND point <= @WHOLE_DIGITS_MAX@;
    IF whole THEN
        digits := rpad(digits, point, '0');
    END IF;
    IF whole AND (length(digits) < 19 OR length(digits) = 19 AND digits COLLATE "C" <= '9223372036854775807') THEN
        image := pgrehearse_anonymize.magnitude(digits::bigint)::text;
    ELSIF whole AND digits = '9223372036854775808' THEN
        image := digits;
    ELSE
        image := convert_from(pgrehearse_anonymize.shuffled(
            'n' || pgrehearse_anonymize.digit_firsts(length(digits), whole), convert_to(digits, 'UTF8'),
            convert_to(pgrehearse_anonymize.digit_firsts(length(digits), whole), 'UTF8'), 0), 'UTF8');
    END IF;
    -- The digits that the notation had no place for follow behind a point.
    image := image || substr(written, length(image) + 1);
    IF place > 0 THEN
        image := left(image, place - 1) || '.' || substr(image, place);
    ELSIF length(image) > length(written) AND strpos(parts[1], '.') = 0 THEN
        image := left(image, length(written)) || '.' || substr(image, length(written) + 1);
    END IF;
    RETURN parts[1] || image || parts[3];
END
$$;

-- The smallest digit at each place: neither the first one nor the last one behind a point is zero.
CREATE FUNCTION pgrehearse_anonymize.digit_firsts(count int, whole boolean) RETURNS text
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $$
    SELECT CASE count WHEN 1 THEN '1' ELSE '1' || repeat('0', count - 2) || CASE WHEN whole THEN '0' ELSE '1' END END
$$;
