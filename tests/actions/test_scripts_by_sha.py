"""Scripts go whole once and by their SHA-1 from then on, whatever the server forgets and the user may call."""

from pathlib import Path

import pytest
import redis

from redis_oom_tui.actions.rights import probe_rights
from redis_oom_tui.models.action import BackupChoice
from redis_oom_tui.models.address import Secret
from redis_oom_tui.models.capabilities import Feature
from redis_oom_tui.models.plan import Criteria, Operation, Outcome
from redis_oom_tui.models.structs import replace
from redis_oom_tui.server.live import LiveServer
from tests.actions.test_cluster import OLD, _filled, _planned, acting
from tests.actions.test_least_rights import lines
from tests.support.acting import NO_BACKUP, calls, fill, operating, planned, stepped
from tests.support.cluster import clustered
from tests.support.servers import RunningServer, available, started

CACHE = Criteria(patterns=(b"cache:*",))
KEYS = 1000


def filled(client: redis.Redis) -> None:
    fill(client, [b"cache:%d" % n for n in range(KEYS)])


async def test_a_script_goes_whole_once_to_a_connection(server: RunningServer, tmp_path: Path) -> None:
    with server.client() as client:
        filled(client)
        async with operating(server.connection, tmp_path) as operator:
            plan = await planned(operator, CACHE)
            view = await operator.run(plan, backup=BackupChoice()).run()
        assert dict(view.counts) == {Outcome.DELETED: KEYS}
        # One to learn what may be done; then one for each script: one saves, one deletes, on two connections.
        assert calls(client, "eval") <= 5
        assert calls(client, "evalsha") >= 10


async def test_a_server_that_forgets_its_scripts_is_sent_them_again(server: RunningServer, tmp_path: Path) -> None:
    with server.client() as client:
        filled(client)
        async with operating(server.connection, tmp_path) as operator:
            plan = await planned(operator, CACHE)
            run = await stepped(operator, plan, before=lambda _: client.script_flush(), backup=BackupChoice())
            view = await run.run()
            assert dict(view.counts) == {Outcome.DELETED: KEYS}
            assert not (await operator.restore(Path(str(view.backup_path))).run()).failed
        assert client.dbsize() == KEYS
        assert calls(client, "evalsha") > calls(client, "eval") > 5


@pytest.mark.parametrize(
    ("rights", "scripted", "unused"),
    [
        ("+eval -evalsha", True, "evalsha"),
        ("-eval +evalsha +script|load", True, "eval"),
        ("-eval +evalsha -script", False, ""),
        ("-eval -evalsha -script", False, ""),
    ],
)
async def test_what_may_be_called_is_used(
    server: RunningServer, tmp_path: Path, rights: str, scripted: bool, unused: str
) -> None:
    with server.client() as client:
        filled(client)
        for words in lines("acl", "acl-act"):
            client.execute_command(*words)
        client.execute_command("ACL", "SETUSER", "sre", *rights.split())
        client.config_resetstat()
        connection = replace(server.connection, username="sre", password=Secret("PASSWORD"))
        live = LiveServer(connection)
        await live.open()
        known = await probe_rights(live, await live.capabilities())
        await live.close()
        assert known.has(Feature.SCRIPT) is scripted
        async with operating(connection, tmp_path) as operator:
            plan = await planned(operator, CACHE, operation=Operation.EXPIRE, expire_seconds=600)
            view = await operator.run(plan, backup=BackupChoice()).run()
            assert dict(view.counts) == {Outcome.EXPIRING: KEYS}
            assert not (await operator.restore(Path(str(view.backup_path))).run()).failed
            filled(client)
            plan = await planned(operator, CACHE)
            view = await operator.run(plan, backup=NO_BACKUP).run()
            assert dict(view.counts) == {Outcome.DELETED: KEYS}
        if scripted:
            used = int(client.info("commandstats")[f"cmdstat_{'eval' if unused == 'evalsha' else 'evalsha'}"]["calls"])
            assert used > 10
            # Refusals, some of them while several calls were on their way.
            assert calls(client, unused) <= 40


@pytest.mark.parametrize("flavour", available())
async def test_on_a_cluster_each_key_costs_a_sha(flavour: str, tmp_path: Path) -> None:
    with clustered(flavour=flavour) as cluster:
        _filled(cluster)
        async with acting(cluster, tmp_path) as (_, operator):
            view = await operator.run(await _planned(operator), backup=NO_BACKUP).run()
        assert dict(view.counts) == {Outcome.DELETED: OLD}
        for node in cluster.primaries:
            with node.server.client() as client:
                assert calls(client, "eval") <= 5


@pytest.mark.parametrize("renamed", ["EVAL", "EVALSHA"])
async def test_where_one_of_them_is_renamed_away_the_other_is_used(flavour: str, tmp_path: Path, renamed: str) -> None:
    with started(flavour, f'rename-command {renamed} ""') as server, server.client() as client:
        filled(client)
        async with operating(server.connection, tmp_path) as operator:
            plan = await planned(operator, CACHE)
            assert not any("two steps" in flag for flag in plan.flags)
            view = await operator.run(plan, backup=BackupChoice()).run()
        assert dict(view.counts) == {Outcome.DELETED: KEYS}
