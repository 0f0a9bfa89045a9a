"""What an application on psycopg 3 does: one session, addresses from the environment."""

import datetime
import psycopg

with psycopg.connect(application_name="psycopg", autocommit=True) as connection:
    connection.execute("SELECT 1")
    for number in range(1, 8):
        # The sixth execution of the same text uses a prepared statement.
        connection.execute("SELECT owner, balance FROM account WHERE id = %s", (number,)).fetchone()
    with connection.transaction():
        connection.execute("UPDATE account SET balance = balance - %s WHERE id = %s", (5, 2))
        with connection.transaction():
            connection.execute(
                "INSERT INTO entry (account, amount, note) VALUES (%s, %s, %s) RETURNING id", (2, -5, "it's a 'note'")
            ).fetchone()
    binary = connection.cursor(binary=True)
    binary.execute("SELECT %b::int4, %b::text, %b::bytea, %b::date", (42, "text", b"\x00\xff", datetime.date(2024, 2, 29)))
    binary.fetchall()
    connection.execute("SELECT %s::text, %s::int", (None, None)).fetchone()
    with connection.pipeline():
        for number in (10, 11, 12):
            connection.execute("UPDATE account SET balance = balance + 1 WHERE id = %s", (number,))
    connection.cursor().executemany("INSERT INTO entry (account, amount) VALUES (%s, %s)", [(3, 1), (4, 2), (5, 3)])
    try:
        connection.execute("SELECT %s::int / 0", (1,))
    except psycopg.errors.DivisionByZero:
        pass
    try:
        connection.execute("INSERT INTO account VALUES (%s, %s, %s)", (1, "twice", 0))
    except psycopg.errors.UniqueViolation:
        pass
    with connection.cursor() as cursor:
        with cursor.copy("COPY entry (account, amount, note) FROM STDIN") as copy:
            for number in range(20):
                copy.write_row((number + 1, number, "copied\tin"))
        with cursor.copy("COPY (SELECT id, owner FROM account ORDER BY id) TO STDOUT") as copy:
            for _ in copy.rows():
                pass
    with connection.transaction():
        with connection.cursor(name="walk") as cursor:
            cursor.itersize = 40
            cursor.execute("SELECT id FROM account ORDER BY id")
            for _ in cursor:
                pass
