"""What UNLINK would free in one go is freed in the background where that can be had, on every server, at its limit."""

from pathlib import Path

import pytest
import redis

from redis_oom_tui.models.address import Secret
from redis_oom_tui.models.plan import Criteria, Outcome
from redis_oom_tui.models.structs import replace
from redis_oom_tui.server.mutations import scripts
from tests.actions.test_least_rights import lines
from tests.support.acting import NO_BACKUP, fill_to_the_limit, operating, planned
from tests.support.servers import RunningServer
from tests.support.waiting import until

PENDING = 20_000
STREAMS = Criteria(types=("stream",))


def trimmed_stream(client: redis.Redis) -> None:
    """A stream of no entries, whose second group still waits for all that there were."""
    client.eval("for n = 1, tonumber(ARGV[1]) do redis.call('XADD', 'jobs', '*', 'n', n) end", 0, PENDING)
    client.xgroup_create("jobs", "idle", "$")
    client.xgroup_create("jobs", "stuck", "0")
    client.xreadgroup("stuck", "me", {"jobs": ">"}, count=PENDING)
    client.xtrim("jobs", maxlen=0, approximate=False)


def crowded_stream(client: redis.Redis) -> None:
    """A stream of no entries that has been read under a name of its own each time."""
    client.xgroup_create("jobs", "readers", "$", mkstream=True)
    client.eval(
        "for n = 1, tonumber(ARGV[1]) do"
        " redis.call('XREADGROUP', 'GROUP', 'readers', 'reader-' .. n, 'COUNT', 1, 'STREAMS', 'jobs', '0') end",
        0,
        PENDING,
    )


@pytest.mark.in_turn
@pytest.mark.parametrize("make", [trimmed_stream, crowded_stream])
@pytest.mark.parametrize("rights", [("acl", "acl-act", "acl-streams"), ("acl", "acl-act")], ids=["all", "least"])
async def test_a_stream_of_groups_is_freed_in_the_background_where_the_user_may(
    server: RunningServer, tmp_path: Path, make: object, rights: tuple[str, ...]
) -> None:
    with server.client() as client:
        assert callable(make)
        make(client)
        fill_to_the_limit(client)
        for words in lines(*rights):
            client.execute_command(*words)
        connection = replace(server.connection, username="sre", password=Secret("PASSWORD"))

        def freed() -> int:
            return int(client.info("memory")["lazyfreed_objects"])

        before = freed()
        async with operating(connection, tmp_path) as operator:
            plan = await planned(operator, STREAMS)
            view = await operator.run(plan, backup=NO_BACKUP).run()
            assert dict(view.counts) == {Outcome.DELETED: 1}, view.ended
        if "acl-streams" in rights:
            until(lambda: freed() == before + 1, "the background thread")
        else:
            assert freed() == before


async def test_a_stream_that_may_not_be_deleted_keeps_its_own_groups_and_no_others(server: RunningServer) -> None:
    with server.client() as client:
        trimmed_stream(client)
        groups = client.xinfo_groups("jobs")
        client.execute_command("ACL", "SETUSER", "sre", "on", ">p", "~*", "+@all", "-unlink")
        unchanged = scripts.WANTS.pack(3, -1, -1, -1, -1)
        with server.client(username="sre", password="p") as user:
            (said,) = user.eval(scripts.DELETE, 1, "jobs", unchanged, b"", b"stream")
        assert isinstance(said, bytes)
        assert client.xinfo_groups("jobs") == groups
