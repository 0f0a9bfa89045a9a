"""What an application on asyncpg does: one session, addresses from the environment."""

import asyncio
import asyncpg


async def main():
    connection = await asyncpg.connect(server_settings={"application_name": "asyncpg"}, ssl=False)
    for number in range(1, 6):
        await connection.fetchrow("SELECT owner, balance, opened FROM account WHERE id = $1", number)
    async with connection.transaction():
        await connection.execute("UPDATE account SET balance = balance + $1 WHERE id = $2", 3, 9)
        await connection.fetchval(
            "INSERT INTO entry (account, amount, note, payload) VALUES ($1, $2, $3, $4) RETURNING id", 9, 3, "grüße", b"\x01\x00"
        )
    # One pipeline of many executions.
    await connection.executemany("INSERT INTO entry (account, amount) VALUES ($1, $2)", [(n, n) for n in range(1, 31)])
    async with connection.transaction():
        async for _ in connection.cursor("SELECT id FROM account ORDER BY id", prefetch=25):
            pass
    try:
        await connection.fetch("SELECT 1 / ($1::int - 1)", 1)
    except asyncpg.DivisionByZeroError:
        pass
    try:
        await connection.fetch("SELECT nothing FROM account")
    except asyncpg.UndefinedColumnError:
        pass
    await connection.copy_records_to_table("entry", records=[(n, n) for n in range(1, 11)], columns=["account", "amount"])
    await connection.fetch("SELECT count(*) FROM entry WHERE account = ANY($1::int[])", [1, 2, 3])
    await connection.close()


asyncio.run(main())
