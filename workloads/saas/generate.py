#!/usr/bin/env python3
"""Traffic of the sample application: a project tracker with thirty customers, through psycopg 3.

Customers have Zipf-distributed shares. Those of app_eu and app_us share tables and pooled connections, and every
statement names its customer in a comment; those of ent_a and ent_b have a schema, a user and connections of their own.
Sessions of ent_a set search_path when they begin; ent_b's statements qualify their tables.

What is sent, and when, follows from the seed alone. A few statements fail on purpose: e-mail addresses that are taken,
divisions by zero. The last line of output says as JSON how many statements each customer sent.
"""

import argparse
import asyncio
import json
import random
import subprocess
import sys
import time
from collections import Counter
from dataclasses import dataclass
from datetime import date, timedelta

import psycopg

# By share, the largest first. A shared database numbers its customers (org_id) in the order of load.sql.
SCHEMA_DATABASES = {
    "polaris": "ent_a", "quill": "ent_a", "rowan": "ent_a",
    "sterling": "ent_b", "tundra": "ent_b", "vantage": "ent_b",
}
SHARED_DATABASES = {
    "app_eu": "aalto brunel cobalt delft eiger fjord gransol havel isar jura kestrel loire mosel".split(),
    "app_us": "alder bison cedar dakota elkhorn fargo gulfport hickory juniper laredo mesa".split(),
}
BY_SHARE = (
    "aalto polaris sterling quill alder brunel rowan tundra bison cobalt vantage cedar delft dakota eiger elkhorn "
    "fjord fargo gransol gulfport havel hickory isar juniper jura laredo kestrel mesa loire mosel"
).split()
ZIPF_EXPONENT = 0.85
USERS, PROJECTS = 50, 20
TODAY = date(2026, 11, 2)


@dataclass(frozen=True)
class Customer:
    name: str
    database: str
    org_id: int | None  # None: a schema of its own
    tasks: int
    share: float

    @property
    def sets_search_path(self):
        return self.database == "ent_a"

    def sql(self, template):
        """The statement as this customer's application writes it."""
        shared = self.org_id is not None
        text = template.format(
            s="" if shared or self.sets_search_path else f"{self.name}.",
            org="org_id = %(org)s AND " if shared else "",
            org_column="org_id, " if shared else "",
            org_value="%(org)s, " if shared else "",
        )
        return f"{text} /*tenant='{self.name}'*/" if shared else text

    def parameters(self, values):
        return {"org": self.org_id, **values} if self.org_id is not None else values

    def task(self, rng):
        """A task that was loaded; recent ones are looked at more often."""
        number = self.tasks - int((self.tasks - 1) * rng.random() ** 2)
        return (self.org_id or 1) * 1_000_000 + number


def customers(extra):
    """Every customer with its share of the statements."""
    by_share = BY_SHARE + [f"{region}{n}" for n in range(1, extra + 1) for region in ("eu", "us")]
    weights = [rank ** -ZIPF_EXPONENT for rank in range(1, len(by_share) + 1)]
    org_ids = {}
    for database, names in SHARED_DATABASES.items():
        region = database.removeprefix("app_")
        for org_id, name in enumerate(names + [f"{region}{n}" for n in range(1, extra + 1)], 1):
            org_ids[name] = (database, org_id)
    for name, weight in zip(by_share, weights):
        database, org_id = org_ids.get(name, (SCHEMA_DATABASES.get(name), None))
        tasks = 3000 if org_id is None else max(8000 // org_id, 800)
        yield Customer(name, database, org_id, tasks, weight / sum(weights))


class Session:
    """A connection, and the customer that it works for at the moment."""

    def __init__(self, connection, sent):
        self.connection = connection
        self.sent = sent
        self.customer = None

    async def run(self, template, /, **values):
        """Sends a statement with its values as parameters."""
        self.sent[self.customer.name] += 1
        sql = self.customer.sql(template)
        return await self.connection.execute(sql, self.customer.parameters(values) or None)

    async def run_simple(self, template, /, **values):
        """Sends a statement as a simple query, with its values in the text."""
        self.sent[self.customer.name] += 1
        cursor = psycopg.AsyncClientCursor(self.connection)
        return await cursor.execute(self.customer.sql(template), self.customer.parameters(values))

    def transaction(self):
        self.sent[self.customer.name] += 2
        return self.connection.transaction()


# What people do: a weight, how many statements it sends, and what they are.
ACTIONS = []


def action(weight, statements):
    def register(function):
        ACTIONS.append((function, weight, statements))
        return function
    return register


@action(18, 1)
async def list_tasks(session, customer, rng):
    await session.run(
        "SELECT id, title, status, due_on FROM {s}tasks WHERE {org}project_id = %(project)s AND status = %(status)s "
        "ORDER BY due_on LIMIT 25",
        project=rng.randint(1, PROJECTS), status=rng.choice(["open", "doing", "done"]))


@action(14, 2)
async def view_task(session, customer, rng):
    task = customer.task(rng)
    await session.run("SELECT * FROM {s}tasks WHERE {org}id = %(task)s", task=task)
    await session.run(
        "SELECT c.id, c.body, c.created_at, u.name FROM {s}comments c JOIN {s}users u ON "
        + ("u.org_id = c.org_id AND " if customer.org_id is not None else "")
        + "u.id = c.author_id WHERE c.task_id = %(task)s ORDER BY c.created_at LIMIT 50", task=task)


@action(10, 1)
async def my_work(session, customer, rng):
    await session.run(
        "SELECT id, title, due_on FROM {s}tasks WHERE {org}assignee_id = %(user)s AND status <> 'done' "
        "ORDER BY due_on LIMIT 10",
        user=rng.randint(1, USERS))


@action(6, 1)
async def search(session, customer, rng):
    words = f"{rng.choice(['Fix', 'Write', 'Ship'])} the {rng.choice(['login', 'search', 'editor'])}, part {rng.randint(1, 99)}"
    await session.run("SELECT id, title FROM {s}tasks WHERE {org}title LIKE %(prefix)s LIMIT 10", prefix=words + "%")


@action(5, 1)
async def board(session, customer, rng):
    await session.run(
        "SELECT status, count(*), sum(points) FROM {s}tasks WHERE {org}project_id = %(project)s GROUP BY status",
        project=rng.randint(1, PROJECTS))


@action(5, 1)
async def names_of_people(session, customer, rng):
    people = sorted(rng.sample(range(1, USERS + 1), rng.randint(2, 8)))
    ids = ", ".join(map(str, people))
    await session.run_simple("SELECT id, name FROM {s}users WHERE {org}id IN (" + ids + ") ORDER BY id")


@action(6, 1)
async def recent_activity(session, customer, rng):
    await session.run(
        "SELECT user_id, verb, task_id, payload->>'status' FROM {s}activity WHERE {org}created_at < now() "
        "ORDER BY created_at DESC LIMIT 20")


@action(8, 1)
async def log_time(session, customer, rng):
    await session.run(
        "INSERT INTO {s}time_entries AS t ({org_column}user_id, worked_on, minutes) "
        "VALUES ({org_value}%(user)s, %(day)s, %(minutes)s) "
        "ON CONFLICT (" + ("org_id, " if customer.org_id is not None else "") + "user_id, worked_on) "
        "DO UPDATE SET minutes = t.minutes + excluded.minutes",
        user=rng.randint(1, USERS), day=TODAY - timedelta(days=rng.randint(0, 30)), minutes=rng.randint(1, 12) * 5)


@action(9, 1)
async def add_comment(session, customer, rng):
    await session.run(
        "INSERT INTO {s}comments ({org_column}task_id, author_id, body) VALUES ({org_value}%(task)s, %(user)s, %(body)s)",
        task=customer.task(rng), user=rng.randint(1, USERS), body=sentence(rng))


@action(6, 1)
async def save_draft(session, customer, rng):
    await session.run(
        "INSERT INTO {s}drafts ({org_column}user_id, task_id, body) VALUES ({org_value}%(user)s, %(task)s, %(body)s) "
        "ON CONFLICT (" + ("org_id, " if customer.org_id is not None else "") + "user_id, task_id) "
        "DO UPDATE SET body = excluded.body",
        user=rng.randint(1, USERS), task=customer.task(rng), body=sentence(rng))


@action(2, 1)
async def discard_drafts(session, customer, rng):
    await session.run("DELETE FROM {s}drafts WHERE {org}user_id = %(user)s", user=rng.randint(1, USERS))


@action(6, 5)
async def move_task(session, customer, rng):
    task = customer.task(rng)
    status = rng.choice(["open", "doing", "done"])
    async with session.transaction():
        await session.run("SELECT status, points FROM {s}tasks WHERE {org}id = %(task)s FOR UPDATE", task=task)
        await session.run(
            "UPDATE {s}tasks SET status = %(status)s, updated_at = now() WHERE {org}id = %(task)s", task=task, status=status)
        await session.run(
            "INSERT INTO {s}activity ({org_column}user_id, verb, task_id, payload) "
            "VALUES ({org_value}%(user)s, 'moved', %(task)s, jsonb_build_object('status', %(status)s::text))",
            user=rng.randint(1, USERS), task=task, status=status)


@action(4, 5)
async def create_task(session, customer, rng):
    project = rng.randint(1, PROJECTS)
    async with session.transaction():
        await session.run(
            "INSERT INTO {s}tasks ({org_column}project_id, assignee_id, title, due_on) "
            "VALUES ({org_value}%(project)s, %(user)s, %(title)s, %(due)s) RETURNING id",
            project=project, user=rng.randint(1, USERS), title=sentence(rng), due=TODAY + timedelta(days=rng.randint(1, 90)))
        await session.run(
            "INSERT INTO {s}activity ({org_column}user_id, verb) VALUES ({org_value}%(user)s, 'created')",
            user=rng.randint(1, USERS))
        await session.run(
            "UPDATE {s}projects SET tasks_created = tasks_created + 1 WHERE {org}id = %(project)s", project=project)


@action(3, 1)
async def reassign(session, customer, rng):
    await session.run(
        "WITH moved AS (UPDATE {s}tasks SET assignee_id = %(user)s WHERE {org}id = %(task)s RETURNING id) "
        "INSERT INTO {s}activity ({org_column}user_id, verb, task_id) SELECT {org_value}%(user)s, 'reassigned', id FROM moved",
        user=rng.randint(1, USERS), task=customer.task(rng))


@action(2, 2)
async def sign_in(session, customer, rng):
    user = rng.randint(1, USERS)
    await session.run(
        "SELECT id, name FROM {s}users WHERE {org}email = %(email)s", email=f"user{user}@{customer.name}.example")
    await session.run("UPDATE {s}users SET last_seen_at = now() WHERE {org}id = %(user)s", user=user)


@action(0.15, 1)
async def invite_again(session, customer, rng):
    """The address is taken: a unique violation."""
    user = rng.randint(1, USERS)
    try:
        await session.run(
            "INSERT INTO {s}users ({org_column}id, email, name) VALUES ({org_value}%(id)s, %(email)s, 'Somebody')",
            id=1000 + user, email=f"user{user}@{customer.name}.example")
    except psycopg.errors.UniqueViolation:
        pass


@action(0.15, 6)
async def import_people(session, customer, rng):
    """The same within a transaction that goes on behind a savepoint."""
    user = rng.randint(1, USERS)
    async with session.transaction():
        try:
            async with session.transaction():
                await session.run(
                    "INSERT INTO {s}users ({org_column}id, email, name) VALUES ({org_value}%(id)s, %(email)s, 'Somebody')",
                    id=1000 + user, email=f"user{user}@{customer.name}.example")
        except psycopg.errors.UniqueViolation:
            pass
        await session.run(
            "INSERT INTO {s}activity ({org_column}user_id, verb) VALUES ({org_value}%(user)s, 'imported')", user=user)


@action(0.15, 1)
async def velocity(session, customer, rng):
    """No days have passed yet: a division by zero."""
    try:
        await session.run(
            "SELECT sum(points) / %(days)s FROM {s}tasks WHERE {org}project_id = %(project)s",
            days=0, project=rng.randint(1, PROJECTS))
    except psycopg.errors.DivisionByZero:
        pass


def sentence(rng):
    words = "the a button page customer wants should not work on again twice slow missing done login invoice".split()
    return " ".join(rng.choices(words, k=rng.randint(3, 10))).capitalize()


STATEMENTS_PER_ACTION = sum(weight * count for _, weight, count in ACTIONS) / sum(weight for _, weight, _ in ACTIONS)


class Application:
    """All sessions of a run."""

    def __init__(self, options):
        self.options = options
        self.customers = list(customers(options.extra_customers))
        self.sent = Counter()
        self.failures = Counter()
        self.start = None

    async def connect(self, database, user, name):
        connection = await psycopg.AsyncConnection.connect(
            host=self.options.host, port=self.options.port, dbname=database, user=user,
            application_name=name, autocommit=True, connect_timeout=10)
        return Session(connection, self.sent)

    def pools(self):
        """(customers, user, connections): the larger ones work for many customers each."""
        for database in SHARED_DATABASES:
            pool = [customer for customer in self.customers if customer.database == database]
            yield pool, f"{database}_web", 14 if database == "app_eu" else 12
        for customer in self.customers:
            if customer.org_id is None:
                yield [customer], customer.name, 5 if customer.share > 0.06 else 4 if customer.share > 0.05 else 3

    async def run(self):
        workers = [
            (pool, user, f"{user}-{number}", self.options.rate * sum(customer.share for customer in pool) / size)
            for pool, user, size in self.pools() for number in range(1, size + 1)
        ]
        # Pools are warm before the capture begins, but for ent_a, whose sessions begin with a SET.
        sessions = {}
        for pool, user, name, _ in workers:
            if not pool[0].sets_search_path:
                sessions[name] = await self.open(pool, user, name)
                await self.warm(sessions[name], pool, name)
        if self.options.when_warm:
            await asyncio.to_thread(subprocess.run, self.options.when_warm, shell=True, check=True)
        self.sent.clear()
        self.start = time.monotonic() + 0.5
        tasks = [self.work(sessions.get(name), pool, user, name, rate) for pool, user, name, rate in workers]
        await asyncio.gather(*tasks, self.reports(), self.syncs())

    async def open(self, pool, user, name):
        session = await self.connect(pool[0].database, user, name)
        if pool[0].sets_search_path:
            session.customer = pool[0]
            await session.run("SET search_path TO " + pool[0].name)
        return session

    async def warm(self, session, pool, name):
        """Enough of one statement that the driver has prepared it."""
        rng = random.Random(f"{self.options.seed}/{name}/warm")
        session.customer = pool[0]
        for _ in range(7):
            await list_tasks(session, session.customer, rng)

    async def until(self, at):
        await asyncio.sleep(max(0.0, self.start + at - time.monotonic()))

    async def work(self, session, pool, user, name, rate):
        """One connection of a pool: actions at random times, open loop. Some connections are recycled on the way."""
        rng = random.Random(f"{self.options.seed}/{name}")
        seconds = self.options.seconds
        recycled_at = rng.uniform(0.2, 0.8) * seconds if rng.random() < 0.3 else None
        at = rng.expovariate(rate / STATEMENTS_PER_ACTION)
        if session is None:
            await self.until(min(at, 2.0) * rng.random())
            session = await self.open(pool, user, name)
        shares = [customer.share for customer in pool]
        functions, weights, _ = zip(*ACTIONS)
        while at < seconds:
            function = rng.choices(functions, weights)[0]
            customer = rng.choices(pool, shares)[0]
            await self.until(at)
            await self.act(session, function, customer, rng)
            at += rng.expovariate(rate / STATEMENTS_PER_ACTION)
            if recycled_at is not None and at > recycled_at:
                recycled_at = None
                await session.connection.close()
                session = await self.open(pool, user, name)
        await session.connection.close()

    async def act(self, session, function, customer, rng):
        session.customer = customer
        try:
            await function(session, customer, random.Random(rng.random()))
        except psycopg.Error as error:
            self.failures[f"{function.__name__}: {type(error).__name__}"] += 1

    async def reports(self):
        """Short sessions that connect, read for one customer in a transaction, and go."""
        rng = random.Random(f"{self.options.seed}/reports")
        pool = [customer for customer in self.customers if customer.org_id is not None]
        at = rng.uniform(1, 4)
        while at < self.options.seconds - 2:
            await self.until(at)
            customer = rng.choice(pool)
            session = await self.connect(customer.database, "reporting", "report")
            session.customer = customer
            await session.run_simple("SET statement_timeout = '10s'")
            async with session.transaction():
                await session.run_simple(
                    "SELECT project_id, status, count(*), sum(points) FROM tasks WHERE org_id = %(org)s GROUP BY 1, 2")
                await session.run_simple(
                    "SELECT verb, count(*) FROM activity WHERE {org}created_at >= %(since)s GROUP BY verb",
                    since=TODAY - timedelta(days=rng.randint(7, 90)))
            await session.connection.close()
            at += rng.uniform(2, 6)

    async def syncs(self):
        """Short sessions of customers with their own schema."""
        rng = random.Random(f"{self.options.seed}/syncs")
        pool = [customer for customer in self.customers if customer.org_id is None]
        at = rng.uniform(1, 4)
        while at < self.options.seconds - 2:
            await self.until(at)
            customer = rng.choice(pool)
            session = await self.open([customer], customer.name, "sync")
            for function in (my_work, recent_activity, log_time):
                await self.act(session, function, customer, rng)
            await session.connection.close()
            at += rng.uniform(4, 10)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=5432)
    parser.add_argument("--seconds", type=float, default=200, help="how long (default: %(default)s)")
    parser.add_argument("--rate", type=float, default=340, help="statements a second, BEGIN and COMMIT included (default: %(default)s)")
    parser.add_argument("--extra-customers", type=int, default=0, help="as given to load.sql: more customers in each shared database")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--when-warm", metavar="COMMAND", help="run by a shell when the pools are connected, before the traffic")
    options = parser.parse_args()
    application = Application(options)
    asyncio.run(application.run())
    for what, count in sorted(application.failures.items()):
        print(f"unexpected: {what} ({count} times)", file=sys.stderr)
    print(json.dumps({"sent": sum(application.sent.values()), "customers": dict(application.sent.most_common())}))
    return 1 if application.failures else 0


if __name__ == "__main__":
    sys.exit(main())
