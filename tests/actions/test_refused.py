"""Safety rule 1: nothing is sent that may not be, each refusal has its reason, and weaker promises are said."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from redis_oom_tui.actions import admin_commands
from redis_oom_tui.formatting.plan import run_fields
from redis_oom_tui.models.action import Action, BackupChoice
from redis_oom_tui.models.address import ClientBuffer, Secret
from redis_oom_tui.models.config import NamedPlan
from redis_oom_tui.models.errors import BadInput, CommandMissing, ReadOnlyMode, TriageError
from redis_oom_tui.models.keys import KeyId
from redis_oom_tui.models.plan import Criteria, Operation, Outcome
from redis_oom_tui.models.settings import Change
from redis_oom_tui.models.structs import replace
from redis_oom_tui.server.call_throttle import CallThrottle
from tests.support.acting import NO_BACKUP, calls, fill, names_of, operating, planned
from tests.support.servers import NO_SCRIPTS, RunningServer, started
from tests.support.waiting import until

CACHE = Criteria(patterns=(b"cache:*",))
WRITES = (
    "eval",
    "unlink",
    "pexpireat",
    "restore",
    "dump",
    "config|set",
    "config|rewrite",
    "client|kill",
    "memory|purge",
)


async def test_read_only_sends_no_write_and_says_why(server: RunningServer, tmp_path: Path) -> None:
    with server.client() as client:
        fill(client, [b"cache:1"])
        before = calls(client, *WRITES)
        async with operating(replace(server.connection, read_only=True), tmp_path) as operator:
            plan = await planned(operator, CACHE)
            assert [key.id.key for key in plan.keys] == [b"cache:1"]
            assert (await operator.settings.limits()).refused is not None
            change = await operator.settings.propose("maxmemory", "100mb")
            for action in Action:
                assert "--read-only" in str(operator.why_not(action))
            with pytest.raises(ReadOnlyMode):
                operator.run(plan, backup=BackupChoice())
            with pytest.raises(ReadOnlyMode):
                operator.restore(tmp_path / "b")
            with pytest.raises(ReadOnlyMode):
                await operator.settings.apply(change)
            for refused in (operator.purge(), operator.reap(), operator.kill_client(ClientBuffer(1, "x"))):
                with pytest.raises(ReadOnlyMode):
                    await refused
        assert calls(client, *WRITES) == before
        assert not (tmp_path / "audit.jsonl").exists()
        assert client.get(b"cache:1") is not None


async def test_a_user_without_write_rights_is_told_and_writes_nothing(server: RunningServer, tmp_path: Path) -> None:
    with server.client() as client:
        fill(client, [b"cache:1"])
        rights = ["+@read", "+info", "+client", "+acl", "+eval"]
        client.execute_command("ACL", "SETUSER", "reader", "on", ">pw", "~*", *rights)
        connection = replace(server.connection, username="reader", password=Secret("pw"))
        async with operating(connection, tmp_path) as operator:
            plan = await planned(operator, CACHE)
            limits = await operator.settings.limits()
            assert "CONFIG SET is refused" in str(limits.refused)
            for action in (Action.DELETE, Action.EXPIRE, Action.SET):
                assert operator.why_not(action) is not None, action
            with pytest.raises(CommandMissing, match="UNLINK is refused here"):
                operator.run(plan, backup=NO_BACKUP)
            with pytest.raises(CommandMissing):
                await operator.settings.apply(Change("maxmemory", "0", "100"))
        stats = client.info("commandstats")
        assert not any(stats.get(f"cmdstat_{command}", {}).get("calls") for command in ("unlink", "pexpireat"))
        assert client.dbsize() == 1


async def test_keys_that_this_user_may_not_touch_fail_one_by_one(server: RunningServer, tmp_path: Path) -> None:
    with server.client() as client:
        fill(client, [b"cache:mine", b"cache:theirs", b"cache:mine too"])
        async with operating(server.connection, tmp_path) as operator:
            plan = await planned(operator, CACHE)
        client.execute_command("ACL", "SETUSER", "half", "on", ">pw", "~cache:mine*", "+@all")
        connection = replace(server.connection, username="half", password=Secret("pw"))
        async with operating(connection, tmp_path) as operator:
            run = operator.run(plan, backup=BackupChoice())
            view = await run.run()
        assert names_of(run, Outcome.DELETED) == {b"cache:mine", b"cache:mine too"}
        assert names_of(run, Outcome.FAILED) == {b"cache:theirs"}
        assert not view.failed


@pytest.mark.parametrize("backup", [False, True], ids=["no backup", "backup"])
async def test_where_scripts_are_refused_the_weaker_promise_is_said_and_kept(
    flavour: str, tmp_path: Path, backup: bool
) -> None:
    with started(flavour, *NO_SCRIPTS) as server, server.client() as client:
        fill(client, [b"cache:%d" % n for n in range(300)])
        client.expire(b"cache:7", 5000)
        async with operating(server.connection, tmp_path) as operator:
            plan = await planned(operator, CACHE)
            assert any("two steps" in flag for flag in plan.flags)
            client.append(b"cache:1", b"y" * 900)
            client.delete(b"cache:2")
            client.delete(b"cache:3")
            client.sadd(b"cache:3", b"x")
            client.persist(b"cache:7")
            run = operator.run(plan, backup=BackupChoice(wanted=backup))
            view = await run.run()
            assert names_of(run, Outcome.CHANGED) == {b"cache:1", b"cache:3", b"cache:7"}
            assert view.counts[Outcome.DELETED] == 296
            assert set(client.keys()) == {b"cache:1", b"cache:3", b"cache:7"}
            if backup:
                report = await operator.restore(Path(str(view.backup_path))).run()
                assert not report.failed
                assert client.dbsize() == 299


async def test_expiring_works_without_scripts(flavour: str, tmp_path: Path) -> None:
    """A key that expires sooner keeps its TTL."""
    with started(flavour, *NO_SCRIPTS) as server, server.client() as client:
        fill(client, [b"cache:1", b"cache:2"])
        client.expire(b"cache:2", 90)
        async with operating(server.connection, tmp_path) as operator:
            plan = await planned(operator, CACHE, operation=Operation.EXPIRE, expire_seconds=1000)
            view = await operator.run(plan, backup=BackupChoice()).run()
            assert dict(view.counts) == {Outcome.EXPIRING: 1, Outcome.CHANGED: 1}
            assert 0 < client.ttl(b"cache:2") <= 90  # type: ignore[operator]
            await operator.restore(Path(str(view.backup_path))).run()
        assert client.ttl(b"cache:1") == -1


async def test_a_replica_is_told_to_be_one(flavour: str, tmp_path: Path) -> None:
    with started(flavour) as server, server.client() as client:
        fill(client, [b"cache:1"])
        client.execute_command("REPLICAOF", "127.0.0.1", "1")
        async with operating(server.connection, tmp_path) as operator:
            plan = await planned(operator, CACHE)
            assert "replica" in str(operator.why_not(Action.DELETE))
            assert operator.why_not(Action.SET) is None
            with pytest.raises(TriageError, match="connect to its primary"):
                operator.run(plan, backup=NO_BACKUP)


async def test_without_a_writable_audit_file_nothing_is_done(valkey: RunningServer, tmp_path: Path) -> None:
    (tmp_path / "audit.jsonl").mkdir()
    with valkey.client() as client:
        fill(client, [b"cache:1"])
        async with operating(valkey.connection, tmp_path) as operator:
            view = await operator.run(await planned(operator, CACHE), backup=NO_BACKUP).run()
            assert "--audit" in str(view.ended)
            with pytest.raises(TriageError, match="--audit"):
                await operator.purge()
            with pytest.raises(TriageError, match="--audit"):
                await operator.settings.apply(await operator.settings.propose("maxmemory", "100mb"))
        assert client.dbsize() == 1
        assert client.config_get("maxmemory") == {"maxmemory": "0"}


async def test_an_emergency_needs_a_prepared_plan(valkey: RunningServer, tmp_path: Path) -> None:
    async with operating(valkey.connection, tmp_path) as operator:
        assert "No emergency cleanup is configured" in str(operator.why_not(Action.EMERGENCY))
        with pytest.raises(BadInput):
            operator.emergency()
    named = NamedPlan("cache", Criteria(patterns=(b"cache:*",), max_keys=2))
    with valkey.client() as client:
        fill(client, [b"cache:1", b"cache:2", b"cache:3"])
        async with operating(valkey.connection, tmp_path, emergency=named) as operator:
            assert operator.why_not(Action.EMERGENCY) is None
            view = await operator.emergency().run()
    assert view.plan is not None
    assert (len(view.plan.keys), view.plan.matched_keys) == (2, 3)


async def test_criteria_that_cannot_be_meant_are_refused_before_anything_is_sent(
    valkey: RunningServer, tmp_path: Path
) -> None:
    async with operating(valkey.connection, tmp_path) as operator:
        for criteria in (Criteria(), Criteria(patterns=(b"",))):
            with pytest.raises(BadInput):
                operator.plan(criteria)
        with pytest.raises(BadInput):
            operator.plan(CACHE, operation=Operation.EXPIRE)


async def test_a_client_is_closed_by_id_only_if_it_still_is_the_one_that_was_shown(
    server: RunningServer, tmp_path: Path
) -> None:
    with server.client() as client, server.client() as victim:
        victim.client_setname("victim")
        async with operating(server.connection, tmp_path) as operator:
            shown = next(one for one in client.client_list() if one["name"] == "victim")
            other = await operator.kill_client(ClientBuffer(int(shown["id"]), "10.0.0.1:5"))
            assert not other.ok
            done = await operator.kill_client(ClientBuffer(int(shown["id"]), shown["addr"], b"victim"))
            assert done.ok
            assert "victim" in done.sentence
            until(lambda: all(one["name"] != "victim" for one in client.client_list()), "the end of the victim")
            assert [entry.ok for entry in operator.history()] == [True, False]


async def test_reaping_is_braked_as_a_deletion_is(
    valkey: RunningServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []
    ready = CallThrottle.ready

    async def counted(pacer: CallThrottle) -> None:
        asked.append(pacer.per_call)
        await ready(pacer)

    monkeypatch.setattr(CallThrottle, "ready", counted)
    with valkey.client() as client:
        client.mset({f"key:{number}": "x" for number in range(3000)})
        async with operating(valkey.connection, tmp_path) as operator:
            assert (await operator.reap()).ok
        assert len(asked) > 5
        assert max(asked) <= 400


async def test_a_lever_that_is_cut_off_leaves_its_last_line(
    valkey: RunningServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    at_it = asyncio.Event()

    async def for_ever(*_: object) -> None:
        at_it.set()
        await asyncio.Event().wait()

    monkeypatch.setattr(admin_commands, "_scan_all", for_ever)
    with valkey.client() as client:
        client.set("key", "x")
        async with operating(valkey.connection, tmp_path) as operator:
            reaping = asyncio.create_task(operator.reap())
            await at_it.wait()
            reaping.cancel()
            with pytest.raises(asyncio.CancelledError):
                await reaping
            (entry,) = operator.history()
    assert (entry.ok, entry.result) == (False, "The tool ended while this ran")


async def test_reaping_drops_what_has_expired(server: RunningServer, tmp_path: Path) -> None:
    with server.client() as client:
        # The active expiry would get there first.
        if server.flavour != "valkey":
            client.config_set("hz", 1)
        pipeline = client.pipeline(transaction=False)
        for n in range(2000):
            pipeline.psetex(b"k%d" % n, 1, b"x")
        pipeline.execute()
        async with operating(server.connection, tmp_path) as operator:
            done = await operator.reap()
            again = await operator.reap()
        assert done.ok
        assert client.dbsize() == 0
        assert again.sentence.startswith("No expired key was left to remove; ")


async def test_reaping_does_not_say_what_a_reset_counter_cannot_tell(valkey: RunningServer, tmp_path: Path) -> None:
    with valkey.client() as client:
        client.psetex("k", 1, "x")
        until(lambda: client.pttl("k") == -2, "the key has expired")
        async with operating(valkey.connection, tmp_path) as operator:
            scanned = admin_commands._scan_all

            async def reset(*args: Any) -> None:
                await scanned(*args)
                client.config_resetstat()

            client.set("other", "x")
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(admin_commands, "_scan_all", reset)
                done = await operator.reap()
        assert done.figures["expired_keys"] is None
        assert done.sentence.startswith("How many expired keys were removed is not known: ")


async def test_purging_tells_what_it_gave_back(server: RunningServer, tmp_path: Path) -> None:
    async with operating(server.connection, tmp_path) as operator:
        done = await operator.purge()
    assert done.ok
    assert done.figures["rss_after_bytes"] is not None
    assert operator.history()[0].action == "purge"


async def test_a_database_of_the_connection_is_the_only_one_planned_for(valkey: RunningServer, tmp_path: Path) -> None:
    for db in (0, 2):
        with valkey.client(db=db) as client:
            fill(client, [b"cache:1"])
    async with operating(replace(valkey.connection, db=2), tmp_path) as operator:
        plan = await planned(operator, CACHE)
    assert [key.id for key in plan.keys] == [KeyId(2, b"cache:1")]


async def test_criteria_that_need_what_the_server_does_not_tell_are_refused(flavour: str, tmp_path: Path) -> None:
    with started(flavour, 'rename-command OBJECT ""', 'rename-command MEMORY ""') as server, server.client() as client:
        client.set(b"cache:1", b"x" * 100)
        async with operating(server.connection, tmp_path) as operator:
            for criteria, what in (
                (Criteria(idle_over_seconds=1), "idle times"),
                (Criteria(larger_than_bytes=1), "sizes"),
            ):
                view = await operator.plan(criteria).run()
                assert view.plan is None
                assert what in str(view.error)
            plan = await planned(operator, CACHE)
            assert plan.keys[0].size is None
            consent = operator.consent(plan, BackupChoice(room_bytes=2**20))
            assert any(sentence.startswith("Each key is written to the backup") for sentence in consent)
            view2 = await operator.run(plan, backup=BackupChoice()).run()
        assert dict(view2.counts) == {Outcome.DELETED: 1}
        assert run_fields(view2)["freed_bytes"] is None
        lines = [json.loads(line) for line in (tmp_path / "audit.jsonl").read_text().splitlines()]
        sizes = [line[name] for line in lines for name in ("bytes", "freed_bytes") if name in line]
        assert sizes == [None, None], "what nobody told is not 0"


async def test_a_plan_of_another_server_is_refused(flavour: str, tmp_path: Path) -> None:
    with started(flavour) as one, started(flavour) as other:
        for server in (one, other):
            with server.client() as client:
                fill(client, [b"cache:1"])
        async with operating(one.connection, tmp_path) as operator:
            plan = await planned(operator, CACHE)
        async with operating(other.connection, tmp_path) as operator:
            for wrong in (plan, replace(plan, run_id=None)):
                view = await operator.run(wrong, backup=NO_BACKUP).run()
                assert "not the server of this plan" in str(view.ended)
        with other.client() as client:
            assert client.dbsize() == 1
