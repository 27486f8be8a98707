"""Counters that went on after the preview: Redis shares small numbers, so nobody can see it; they are not lost."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import redis

from redis_oom_tui.models.action import BackupChoice
from redis_oom_tui.models.address import Connection, Secret
from redis_oom_tui.models.plan import Criteria, Operation, Outcome
from redis_oom_tui.models.structs import replace
from redis_oom_tui.server.mutations.scripts import CHANGED_WORDS, Reply
from tests.support.acting import NO_BACKUP, fill, operating, planned
from tests.support.servers import RunningServer

COUNTERS = Criteria(patterns=(b"count:*",))
NUMBERS = {b"count:%d" % n: n for n in range(7)}
# What a user may not do: the two ways of deletion, with and without what tells shared numbers. Redis 6.2 takes a whole
# command from a user, and gives back parts of it.
NO_REFCOUNT, NO_ENCODING = "-object", "-object|encoding"
OBJECT = (NO_REFCOUNT, "+object|idletime", "+object|freq")
REFUSED: dict[str, tuple[str, ...]] = {
    "script": (),
    "script, no REFCOUNT": (*OBJECT, "+object|encoding"),
    "script, no ENCODING": (*OBJECT, NO_ENCODING),
    "steps": ("-eval", "-evalsha"),
    "steps, no REFCOUNT": ("-eval", "-evalsha", *OBJECT, "+object|encoding"),
    "steps, no ENCODING": ("-eval", "-evalsha", *OBJECT, NO_ENCODING),
}


@pytest.fixture(params=REFUSED)
def rights(request: pytest.FixtureRequest) -> tuple[str, ...]:
    return REFUSED[request.param]


@pytest.fixture
async def counting(server: RunningServer, rights: tuple[str, ...]) -> AsyncIterator[tuple[redis.Redis, Connection]]:
    """Seven counters that nobody used for long, beside a text, and a user of these rights."""
    with server.client() as client:
        for name, number in NUMBERS.items():
            fill(client, [name], b"%d" % number)
        fill(client, [b"seven"], b"7")
        fill(client, [b"count:text"], b"of no number")
        granted = [one for one in rights if one != NO_ENCODING]
        client.execute_command("ACL", "SETUSER", "sre", "on", ">pw", "~*", "&*", "+@all", *granted)
        yield client, replace(server.connection, username="sre", password=Secret("pw"))


def shares(client: redis.Redis) -> bool:
    """Whether this server keeps one object for all keys that hold the same small number."""
    return int(client.object("refcount", b"seven")) > 1_000_000_000


def reason(client: redis.Redis, rights: tuple[str, ...]) -> str | None:
    """Why a counter is kept without a backup; None where it is not, as the server shows its own idle time."""
    if NO_REFCOUNT in rights:
        return CHANGED_WORDS[Reply.UNSURE]
    return CHANGED_WORDS[Reply.SHARED] if shares(client) else None


async def test_without_a_backup_what_cannot_be_seen_is_kept(
    counting: tuple[redis.Redis, Connection], rights: tuple[str, ...], tmp_path: Path
) -> None:
    client, connection = counting
    async with operating(connection, tmp_path) as operator:
        plan = await planned(operator, COUNTERS)
        assert any("two steps" in flag for flag in plan.flags) == ("-eval" in rights)
        assert client.incr(b"count:3") == 4
        run = operator.run(plan, backup=NO_BACKUP)
        await run.run()
        kept = {one.id.key: one.detail for one in run.outcomes(frozenset({Outcome.CHANGED}))}
    why = reason(client, rights)
    if why is None:
        assert kept == {b"count:3": CHANGED_WORDS[Reply.USED]}
    elif NO_ENCODING in rights:
        assert kept == dict.fromkeys((*NUMBERS, b"count:text"), why)
    else:
        assert kept == dict.fromkeys(NUMBERS, why)
    assert set(client.keys()) == {*kept, b"seven"}


async def test_with_a_backup_the_latest_number_is_in_it(
    counting: tuple[redis.Redis, Connection], rights: tuple[str, ...], tmp_path: Path
) -> None:
    client, connection = counting
    async with operating(connection, tmp_path) as operator:
        plan = await planned(operator, COUNTERS)
        assert client.incr(b"count:3") == 4
        run = operator.run(plan, backup=BackupChoice())
        view = await run.run()
        kept = {one.id.key: one.detail for one in run.outcomes(frozenset({Outcome.CHANGED}))}
        if reason(client, rights) is None:
            assert kept == {b"count:3": CHANGED_WORDS[Reply.USED]}
        else:
            assert kept == {}
        assert set(client.keys()) == {*kept, b"seven"}
        assert not (await operator.restore(Path(str(view.backup_path))).run()).failed
    latest = NUMBERS | {b"count:3": 4}
    assert client.mget([*latest, b"count:text"]) == [*(b"%d" % number for number in latest.values()), b"of no number"]


async def test_an_expiry_is_set_only_where_a_change_would_show(
    counting: tuple[redis.Redis, Connection], rights: tuple[str, ...], tmp_path: Path
) -> None:
    client, connection = counting
    async with operating(connection, tmp_path) as operator:
        plan = await planned(operator, COUNTERS, operation=Operation.EXPIRE, expire_seconds=1000)
        assert client.incr(b"count:3") == 4
        await operator.run(plan, backup=BackupChoice()).run()
    why = reason(client, rights)
    expiring = {name for name in set(client.keys()) if client.ttl(name) > 0}
    if why is None:
        assert expiring == {*NUMBERS, b"count:text"} - {b"count:3"}
    else:
        assert expiring == (set() if NO_ENCODING in rights else {b"count:text"})
