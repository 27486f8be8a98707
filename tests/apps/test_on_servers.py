"""On real servers: a scan, and a look at the values that prove whose they are, tell each application by its keys."""

from secrets import token_urlsafe

from redis_oom_tui.models.capabilities import Feature
from redis_oom_tui.models.scan import Pace, ScanOptions
from redis_oom_tui.rules.applications import recognize
from redis_oom_tui.server.live import LiveServer
from tests.apps import samples
from tests.support.servers import RunningServer, started

COOKIE = '{"cookie":{"originalMaxAge":86400000,"path":"/"},"user":1}'
BY_VALUES = {"connect_redis", "flask_session", "langchain_vectors", "spring_cache"}
"""Samples whose names prove nothing: their values are read where CLIENT NO-TOUCH keeps idle times."""


async def recognized(server: RunningServer) -> tuple[dict[int, set[str]], bool]:
    """The names of the applications in each database, and whether values were read."""
    live = LiveServer(server.connection)
    try:
        await live.open()
        view = await live.scan(ScanOptions(pace=Pace.FULL_SPEED)).run()
        found = recognize(view, await live.samples(view, applications_only=True)).found
        reads = (await live.capabilities()).has(Feature.NO_TOUCH)
    finally:
        await live.close()
    return {db: {one.application.name for one in found if one.db == db} for db in {one.db for one in found}}, reads


async def test_each_application_is_told_in_its_own_database(flavour: str) -> None:
    everything = [samples.load(name) for name in samples.names()]
    with started(flavour, f"databases {len(everything)}") as server:
        for db, sample in enumerate(everything):
            with server.client(db=db) as client:
                samples.write(client, sample.keys, b"shop:" if db % 2 else b"")
        found, reads = await recognized(server)
    named = {everything[db].name: names for db, names in found.items()}
    expected = {sample.name: {sample.application} for sample in everything if sample.application}
    assert named == {name: names for name, names in expected.items() if reads or name not in BY_VALUES}


async def test_sessions_are_connect_redis_where_their_values_have_a_cookie_object() -> None:
    with started("valkey") as server:
        for db, value in enumerate((COOKIE, '{"cookie":"abc","user":1}', '{"user":{"cookie":{}}}', "plain")):
            with server.client(db=db) as client:
                client.mset({f"sess:{number}": value for number in range(80)})
        with server.client(db=4) as client:
            client.mset({f"shop:sess:{token_urlsafe(24)}": COOKIE[:-1] + "x" * 9000 for _ in range(200)})
        with server.client(db=5) as client:
            client.mset({f"sess:{number}": COOKIE if number % 2 else "plain" for number in range(300)})
        assert await recognized(server) == ({0: {"connect-redis"}, 4: {"connect-redis"}}, True)


async def test_jobs_alone_are_bullmqs_by_a_field_that_bull_has_not() -> None:
    with started("valkey") as server, server.client() as client:
        for number in range(40):
            client.hset(f"immich_bull:thumbnails:{number}", mapping={"name": "x", "data": "{}", "opts": "{}"})
        assert await recognized(server) == ({0: {"Bull", "BullMQ"}}, True)
        for number in range(40):
            client.hset(f"immich_bull:thumbnails:{number}", "ats", 1)
        assert await recognized(server) == ({0: {"BullMQ"}}, True)
