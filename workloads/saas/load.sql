-- The sample application's data: about 20 MB beside the empty databases, the same every time. Run by psql as a superuser, after schema.sql.

-- psql -v extra_customers=100 adds a hundred customers to each shared database.

\set ON_ERROR_STOP on
\if :{?extra_customers}
\else
    \set extra_customers 0
\endif
SET client_min_messages = warning;

-- For a shared database: customer number n of a list has about 1/n of the first one's tasks, at least a tenth.
SELECT $do$
DECLARE
    -- slugs
BEGIN
    PERFORM setseed(0.5);
    INSERT INTO orgs SELECT n, slug FROM unnest(slugs) WITH ORDINALITY AS o (slug, n);
    INSERT INTO users (org_id, id, email, name)
        SELECT o.id, u, format('user%s@%s.example', u, o.slug), format('User %s of %s', u, o.slug)
        FROM orgs o, generate_series(1, 50) u;
    INSERT INTO projects (org_id, id, name)
        SELECT o.id, p, format('Project %s', p) FROM orgs o, generate_series(1, 20) p;
    -- Task t of customer o is o * 1,000,000 + t; ids of new tasks begin behind them all.
    INSERT INTO tasks (id, org_id, project_id, assignee_id, title, status, due_on, points)
        SELECT o.id * 1000000 + t, o.id, 1 + t % 20, 1 + t % 50,
               format('%s the %s, part %s', (ARRAY['Fix', 'Write', 'Review', 'Ship', 'Test'])[1 + t % 5],
                      (ARRAY['login', 'invoice', 'importer', 'search', 'export', 'editor', 'mobile app'])[1 + t % 7], t),
               (ARRAY['open', 'open', 'doing', 'done'])[1 + t % 4], date '2026-01-01' + t % 365, 1 + t % 8
        FROM orgs o, generate_series(1, 8000) t
        WHERE t <= greatest(8000 / o.id, 800);
    PERFORM setval(pg_get_serial_sequence('tasks', 'id'), 100000000);
    INSERT INTO comments (org_id, task_id, author_id, body)
        SELECT org_id, id, 1 + (id % 50)::int, repeat(md5(id::text), 3) FROM tasks;
    INSERT INTO activity (org_id, user_id, verb, task_id, payload, created_at)
        SELECT org_id, 1 + (id % 50)::int, 'created', id, jsonb_build_object('status', status, 'points', points),
               timestamptz '2026-01-01 00:00:00Z' + random() * interval '300 days'
        FROM tasks;
END
$do$ AS shared_data \gset

\connect app_eu
SELECT replace(:'shared_data', '-- slugs', format($$slugs text[] := '{aalto,brunel,cobalt,delft,eiger,fjord,gransol,havel,isar,jura,kestrel,loire,mosel}'::text[]
    || ARRAY(SELECT 'eu' || n FROM generate_series(1, %s) n);$$, :extra_customers)) AS body \gset
DO :'body';
VACUUM ANALYZE;

\connect app_us
SELECT replace(:'shared_data', '-- slugs', format($$slugs text[] := '{alder,bison,cedar,dakota,elkhorn,fargo,gulfport,hickory,juniper,laredo,mesa}'::text[]
    || ARRAY(SELECT 'us' || n FROM generate_series(1, %s) n);$$, :extra_customers)) AS body \gset
DO :'body';
VACUUM ANALYZE;

SELECT $do$
DECLARE
    customer text;
BEGIN
    PERFORM setseed(0.5);
    FOR customer IN SELECT nspname FROM pg_namespace WHERE nspname !~ '^pg_|^public$|^information_schema$' ORDER BY 1 LOOP
        EXECUTE format('SET LOCAL search_path TO %I', customer);
        INSERT INTO users (id, email, name)
            SELECT u, format('user%s@%s.example', u, customer), format('User %s', u) FROM generate_series(1, 50) u;
        INSERT INTO projects (id, name) SELECT p, format('Project %s', p) FROM generate_series(1, 20) p;
        INSERT INTO tasks (id, project_id, assignee_id, title, status, due_on, points)
            SELECT 1000000 + t, 1 + t % 20, 1 + t % 50,
                   format('%s the %s, part %s', (ARRAY['Fix', 'Write', 'Review', 'Ship', 'Test'])[1 + t % 5],
                          (ARRAY['login', 'invoice', 'importer', 'search', 'export', 'editor', 'mobile app'])[1 + t % 7], t),
                   (ARRAY['open', 'open', 'doing', 'done'])[1 + t % 4], date '2026-01-01' + t % 365, 1 + t % 8
            FROM generate_series(1, 3000) t;
        PERFORM setval(pg_get_serial_sequence(format('%I.tasks', customer), 'id'), 100000000);
        INSERT INTO comments (task_id, author_id, body)
            SELECT id, 1 + (id % 50)::int, repeat(md5(id::text), 3) FROM tasks;
        INSERT INTO activity (user_id, verb, task_id, payload, created_at)
            SELECT 1 + (id % 50)::int, 'created', id, jsonb_build_object('status', status, 'points', points),
                   timestamptz '2026-01-01 00:00:00Z' + random() * interval '300 days'
            FROM tasks;
    END LOOP;
END
$do$ AS tenant_data \gset

\connect ent_a
DO :'tenant_data';
VACUUM ANALYZE;

\connect ent_b
DO :'tenant_data';
VACUUM ANALYZE;
