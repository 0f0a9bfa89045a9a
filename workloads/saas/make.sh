#!/bin/sh
# Makes ../saas.jsonl.zst again: starts a throwaway PostgreSQL 16 with csvlog, loads it, runs generate.py against it, and
# captures the log. Needs Python 3 with venv and pip; installs PostgreSQL into pgrehearse's cache unless it is given one.
#
#   ./make.sh                                   200 s at 340 statements a second
#   SECONDS_LONG=600 RATE=800 ./make.sh         longer and busier
#   EXTRA_CUSTOMERS=100 ./make.sh               more customers (give load.sql the same in the scenario)
#   PG_BIN=/usr/lib/postgresql/16/bin ./make.sh another server
#   KEEP_LOG=/tmp/saas.csv OUT=/tmp/saas.jsonl.zst ./make.sh
set -eu

here=$(cd "$(dirname "$0")" && pwd)
seconds=${SECONDS_LONG:-200}
rate=${RATE:-340}
extra=${EXTRA_CUSTOMERS:-0}
out=${OUT:-$here/../saas.jsonl.zst}
pgrehearse=${PGREHEARSE:-$here/../../target/release/pgrehearse}

[ -x "$pgrehearse" ] || (cd "$here/../.." && cargo build --release)
if [ -z "${PG_BIN:-}" ]; then
    PG_BIN=$("$pgrehearse" postgres install 16 | sed -n 's/^PostgreSQL 16 is in //p')
fi

work=$(mktemp -d /tmp/saas-make.XXXXXX)
data=$work/data
# PostgreSQL refuses to run as root.
as_owner=
if [ "$(id -u)" = 0 ]; then
    owner=nobody
    if id postgres >/dev/null 2>&1; then owner=postgres; fi
    chown "$owner" "$work"
    as_owner="setpriv --reuid=$owner --regid=$(id -g "$owner") --clear-groups"
fi
clean_up() {
    $as_owner "$PG_BIN/pg_ctl" -D "$data" -m immediate -w stop >/dev/null 2>&1 || true
    rm -rf "$work"
}
trap clean_up EXIT
trap 'exit 130' INT TERM

python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet 'psycopg[binary]==3.3.*'

$as_owner "$PG_BIN/initdb" -D "$data" -U postgres -A trust --locale=C -E UTF8 >/dev/null
port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
cat >>"$data/postgresql.conf" <<CONF
listen_addresses = '127.0.0.1'
port = $port
unix_socket_directories = '$work'
fsync = off
logging_collector = on
log_destination = csvlog
log_filename = 'postgresql-%Y%m%d%H%M%S.log'
log_rotation_size = 0
log_rotation_age = 0
log_timezone = UTC
log_connections = on
log_disconnections = on
log_min_duration_statement = 0
log_checkpoints = off
CONF
$as_owner "$PG_BIN/pg_ctl" -D "$data" -l "$work/start.log" -w start >/dev/null
for file in schema.sql load.sql; do
    "$PG_BIN/psql" -X -q -v ON_ERROR_STOP=1 -v extra_customers="$extra" -h 127.0.0.1 -p "$port" -U postgres -d postgres \
        -f "$here/$file"
done

# The log is rotated when the pools are warm: the capture begins in the middle of their sessions. File names count seconds,
# so it may take more than one try until there is another file.
ls "$data"/log/*.csv >"$work/before"
cat >"$work/rotate" <<ROTATE
until ls $data/log/*.csv | grep -qvxFf $work/before; do
    $as_owner $PG_BIN/pg_ctl -D $data logrotate >/dev/null
    sleep 0.2
done
ROTATE
"$work/venv/bin/python" "$here/generate.py" --port "$port" --seconds "$seconds" --rate "$rate" \
    --extra-customers "$extra" --when-warm "sh $work/rotate"
$as_owner "$PG_BIN/pg_ctl" -D "$data" -m fast -w stop >/dev/null

ls "$data"/log/*.csv | grep -vxFf "$work/before" | xargs cat >"$work/saas.csv"
if [ -n "${KEEP_LOG:-}" ]; then cp "$work/saas.csv" "$KEEP_LOG"; fi
"$pgrehearse" capture log "$work/saas.csv" -o "$out" --tenant-by tag:tenant --tenant-by schema
"$pgrehearse" workload info "$out"
