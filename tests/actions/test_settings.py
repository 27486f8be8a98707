"""Safety rule 6: a setting is changed with its old value in hand, read back, and can be taken back."""

from pathlib import Path

import pytest

from redis_oom_tui.models.address import Address, ClientBuffer
from redis_oom_tui.models.errors import BadInput
from redis_oom_tui.models.settings import Change
from redis_oom_tui.models.structs import replace
from tests.server.test_cluster_replicas import replicated
from tests.support.acting import fill, operating
from tests.support.proxy import lied_to
from tests.support.servers import RunningServer, available, started
from tests.support.waiting import until


async def test_the_limit_is_sent_in_bytes_read_back_and_taken_back(server: RunningServer, tmp_path: Path) -> None:
    with server.client() as client:
        async with operating(server.connection, tmp_path) as operator:
            change = await operator.settings.propose("maxmemory", "4GB")
            assert (change.old, change.new) == ("0", "4294967296")
            assert client.config_get("maxmemory") == {"maxmemory": "0"}
            result = await operator.settings.apply(change)
            assert (result.took, result.now) == (True, "4294967296")
            assert client.config_get("maxmemory") == {"maxmemory": "4294967296"}
            assert (await operator.settings.undo(result)).took
            assert client.config_get("maxmemory") == {"maxmemory": "0"}
            undone, done = operator.history()
            await operator.kill_client(ClientBuffer(1, "10.0.0.1:5"))
            # By it the same server is known under another address.
            run_id = client.info("server")["run_id"]
            assert [entry.run_id for entry in operator.history()] == [run_id] * 3
        assert (done.what, done.ok) == ("maxmemory: no limit (0) to 4.0 GiB (4,294,967,296 bytes)", True)
        assert done.result == "maxmemory is 4.0 GiB (4,294,967,296 bytes) now"
        assert undone.action == "undo"
        assert done.change is not None
        assert (done.change.change.old, done.change.now) == ("0", "4294967296")


async def test_every_policy_that_the_server_lists_can_be_set(server: RunningServer, tmp_path: Path) -> None:
    with server.client() as client:
        async with operating(server.connection, tmp_path) as operator:
            policies = [view.name for view in (await operator.settings.limits()).policies]
            assert "allkeys-lru" in policies
            for policy in policies:
                result = await operator.settings.apply(
                    await operator.settings.propose("maxmemory-policy", policy.upper())
                )
                assert result.took
                assert client.config_get("maxmemory-policy") == {"maxmemory-policy": policy}


@pytest.mark.parametrize("text", ["", " ", "0", "50%", "-1", "1tb", "17179869184gb"])
async def test_a_limit_that_cannot_be_meant_changes_nothing(valkey: RunningServer, tmp_path: Path, text: str) -> None:
    with valkey.client() as client:
        client.config_set("maxmemory", "100mb")
        async with operating(valkey.connection, tmp_path) as operator:
            with pytest.raises(BadInput):
                await operator.settings.propose("maxmemory", text)
        assert client.config_get("maxmemory") == {"maxmemory": "104857600"}


async def test_lifting_the_limit_is_possible_by_its_name(valkey: RunningServer, tmp_path: Path) -> None:
    with valkey.client() as client:
        client.config_set("maxmemory", "100mb")
        async with operating(valkey.connection, tmp_path) as operator:
            change = await operator.settings.propose("maxmemory", "unlimited")
            assert change.warnings
            assert (await operator.settings.apply(change)).took
        assert client.config_get("maxmemory") == {"maxmemory": "0"}


async def test_a_value_that_moved_since_it_was_shown_is_not_overwritten(server: RunningServer, tmp_path: Path) -> None:
    with server.client() as client:
        async with operating(server.connection, tmp_path) as operator:
            change = await operator.settings.propose("maxmemory", "100mb")
            client.config_set("maxmemory", "70mb")
            with pytest.raises(BadInput, match="check again"):
                await operator.settings.apply(change)
        assert client.config_get("maxmemory") == {"maxmemory": "73400320"}


async def test_an_undo_has_the_guard_of_a_change(server: RunningServer, tmp_path: Path) -> None:
    with server.client() as client:
        client.config_set("maxmemory", int(client.info("memory")["used_memory"]) // 2)
        async with operating(server.connection, tmp_path) as operator:
            result = await operator.settings.apply(await operator.settings.propose("maxmemory", "1gb"))
            back = await operator.settings.propose_back(result)
            assert (back.old, back.new) == (str(2**30), result.change.old)
            assert "every write is refused at once" in back.consequence
            assert "will be refused until" in back.warnings[0]
            client.config_set("maxmemory", "2gb")
            with pytest.raises(BadInput, match="by now"):
                await operator.settings.propose_back(result)
            with pytest.raises(BadInput, match="not readable"):
                await operator.settings.propose_back(replace(result, change=replace(result.change, old=None)))


async def test_what_nobody_may_type_can_still_be_put_back(valkey: RunningServer, tmp_path: Path) -> None:
    with valkey.client() as client:
        client.config_set("maxmemory-samples", "64")
        async with operating(valkey.connection, tmp_path) as operator:
            result = await operator.settings.apply(await operator.settings.propose("maxmemory-samples", "10"))
            odd = replace(result, change=replace(result.change, old="65"))
            assert (await operator.settings.propose_back(odd)).new == "65"


async def test_a_timed_change_stays_where_it_is_kept(valkey: RunningServer, tmp_path: Path) -> None:
    with valkey.client() as client:
        async with operating(valkey.connection, tmp_path) as operator:
            result = await operator.settings.apply(
                await operator.settings.propose("maxmemory-policy", "allkeys-lru"), revert_after=600
            )
            assert result.reverts_in_seconds == 600
            assert operator.settings.keep(result)
        assert client.config_get("maxmemory-policy") == {"maxmemory-policy": "allkeys-lru"}


async def test_leaving_without_saying_keep_brings_the_old_value_back(valkey: RunningServer, tmp_path: Path) -> None:
    with valkey.client() as client:
        async with operating(valkey.connection, tmp_path) as operator:
            await operator.settings.apply(
                await operator.settings.propose("maxmemory-policy", "allkeys-lru"), revert_after=60
            )
        assert client.config_get("maxmemory-policy") == {"maxmemory-policy": "noeviction"}


async def test_the_answer_of_config_rewrite_is_shown(flavour: str, tmp_path: Path) -> None:
    with started(flavour) as server, server.client() as client:
        async with operating(server.connection, tmp_path) as operator:
            result = await operator.settings.apply(await operator.settings.propose("maxmemory", "100mb"), persist=True)
            assert result.persisted == "OK"
            assert "maxmemory" in (server.folder / "server.conf").read_text()
            (server.folder / "server.conf").unlink()
            (server.folder / "server.conf").mkdir()
            result = await operator.settings.apply(await operator.settings.propose("maxmemory", "200mb"), persist=True)
            assert result.took
            assert result.persisted not in (None, "OK")
        assert client.config_get("maxmemory") == {"maxmemory": "209715200"}


async def test_a_server_that_says_ok_and_changes_nothing_is_found_out(valkey: RunningServer, tmp_path: Path) -> None:
    with lied_to(valkey.connection, {"CONFIG SET MAXMEMORY": b"+OK\r\n"}) as liar:
        async with operating(liar.connection, tmp_path) as operator:
            result = await operator.settings.apply(await operator.settings.propose("maxmemory", "100mb"))
    assert not result.took
    assert "answered OK and kept the old value" in result.detail


async def test_what_cannot_be_read_back_is_unknown_and_can_be_undone(server: RunningServer, tmp_path: Path) -> None:
    """The right to read was taken away after the question: nothing says that it took, nor that the undo did."""
    with server.client() as client:
        async with operating(server.connection, tmp_path) as operator:
            change = await operator.settings.propose("maxmemory-samples", "7")
            client.execute_command("ACL SETUSER", "default", "-config", "+config|set")
            result = await operator.settings.apply(change, persist=True)
            assert (result.took, result.unread, result.now, result.persisted) == (False, True, None, None)
            assert "could not be read back" in result.detail
            assert "CONFIG REWRITE was not sent" in result.detail
            (entry,) = operator.history()
            assert (entry.ok, entry.change and entry.change.unread) == (False, True)
            back = await operator.settings.undo(result)
            assert (back.took, back.unread) == (False, True)
            client.execute_command("ACL SETUSER", "default", "+@all")
            assert client.config_get("maxmemory-samples") == {"maxmemory-samples": change.old}


async def test_the_limit_of_scripts_is_offered_where_the_server_has_it(valkey: RunningServer, tmp_path: Path) -> None:
    # Written from the documentation of Valkey 9.2: no server at hand has the setting.
    replies = {"CONFIG GET MAXMEMORY-SCRIPTS": b"*2\r\n$17\r\nmaxmemory-scripts\r\n$7\r\n1048576\r\n"}
    with lied_to(valkey.connection, replies) as liar:
        async with operating(liar.connection, tmp_path) as operator:
            change = await operator.settings.propose("maxmemory-scripts", "2mb")
    assert (change.old, change.new) == ("1048576", "2097152")
    async with operating(valkey.connection, tmp_path) as operator:
        with pytest.raises(BadInput, match="has no setting 'maxmemory-scripts'"):
            await operator.settings.propose("maxmemory-scripts", "2mb")


# Redis 8.2 here was built with an allocator that can defragment.
@pytest.mark.parametrize("flavour", [flavour for flavour in available() if flavour != "redis8"])
async def test_what_the_server_refuses_is_told_in_its_words(server: RunningServer, tmp_path: Path) -> None:
    async with operating(server.connection, tmp_path) as operator:
        result = await operator.settings.apply(await operator.settings.propose("activedefrag", "yes"))
        assert not result.took
        assert "defragmentation" in result.detail
        assert operator.history()[0].ok is False


async def test_where_config_is_renamed_away_limits_still_show_and_say_what_to_do(flavour: str, tmp_path: Path) -> None:
    with started(flavour, 'rename-command CONFIG ""', "maxmemory 100mb") as server:
        async with operating(server.connection, tmp_path) as operator:
            limits = await operator.settings.limits()
            assert limits.maxmemory_bytes == 104857600
            assert "provider's console" in str(limits.refused)
            shown = {view.setting.name: view.setting.value for view in limits.settings}
            assert (shown["maxmemory"], shown["maxmemory-samples"]) == ("104857600", None)
            assert len(limits.policies) == 8


async def test_what_if_counts_what_is_there(server: RunningServer, tmp_path: Path) -> None:
    with server.client() as client:
        fill(client, [b"k%d" % n for n in range(100)])
        for n in range(40):
            client.expire(b"k%d" % n, 5000)
        client.config_set("maxmemory", "1mb")
        async with operating(server.connection, tmp_path) as operator:
            views = {view.name: view for view in (await operator.settings.limits()).policies}
    assert views["volatile-ttl"].evictable_keys == 40
    assert views["allkeys-lru"].evictable_keys == 100
    assert views["noeviction"].current


async def test_the_room_of_a_local_server_is_read(server: RunningServer, tmp_path: Path) -> None:
    async with operating(server.connection, tmp_path) as operator:
        host_memory = (await operator.settings.limits()).host_memory
    assert host_memory.limit_bytes
    assert host_memory.free_bytes


async def test_secrets_do_not_reach_the_audit_file(flavour: str, tmp_path: Path) -> None:
    """Safety rule 7, for what is written down."""
    from redis_oom_tui.models.address import Secret

    with started(flavour, "requirepass hunter2-secret") as server:
        connection = replace(server.connection, password=Secret("hunter2-secret"))
        async with operating(connection, tmp_path) as operator:
            await operator.settings.apply(await operator.settings.propose("maxmemory", "100mb"), persist=True)
            await operator.purge()
            with pytest.raises(BadInput):
                await operator.settings.apply(Change("maxmemory", "5", "7"))
    assert b"hunter2" not in (tmp_path / "audit.jsonl").read_bytes()


async def test_a_change_of_the_policy_to_lfu_and_back_flags_idle_plans(valkey: RunningServer, tmp_path: Path) -> None:
    from redis_oom_tui.models.plan import Criteria
    from tests.support.acting import planned

    with valkey.client() as client:
        fill(client, [b"k"])
        until(lambda: int(client.info("server")["uptime_in_seconds"]) >= 1, "a second")
        async with operating(valkey.connection, tmp_path) as operator:
            idle = Criteria(idle_over_seconds=10)
            assert not any("LFU" in flag for flag in (await planned(operator, idle)).flags)
            result = await operator.settings.apply(await operator.settings.propose("maxmemory-policy", "allkeys-lfu"))
            await operator.settings.undo(result)
            assert any("LFU" in flag for flag in (await planned(operator, idle)).flags)
        (tmp_path / "other").symlink_to(valkey.socket_path)
        other = replace(valkey.connection, address=Address(socket_path=str(tmp_path / "other")))
        async with operating(other, tmp_path) as operator:
            assert any("LFU" in flag for flag in (await planned(operator, idle)).flags)


async def test_what_config_rewrite_would_freeze_is_told_before(server: RunningServer, tmp_path: Path) -> None:
    with server.client() as client:
        client.config_set("maxmemory-policy", "allkeys-lru")
        async with operating(server.connection, tmp_path) as operator:
            await operator.settings.apply(await operator.settings.propose("maxmemory-samples", "9"))
            said = " ".join((await operator.settings.propose("maxmemory", "100mb")).freezes)
    assert (
        f"{server.folder / 'server.conf'}: maxmemory-policy allkeys-lru (not in the file), maxmemory-samples 9" in said
    )


async def test_what_replicas_keep_when_their_primary_is_set_is_told(tmp_path: Path) -> None:
    with replicated("valkey") as (_, replica, connection):
        async with operating(connection, tmp_path) as operator:
            change = await operator.settings.propose("maxmemory-policy", "allkeys-lru")
            (warning,) = change.warnings
            assert warning.startswith("Its replica keeps its own maxmemory-policy (")
            assert ": noeviction), also after a failover: CONFIG SET is not replicated. Set it there" in warning
            assert (await operator.settings.apply(change)).took
            with replica.client() as client:
                assert client.config_get("maxmemory-policy") == {"maxmemory-policy": "noeviction"}
                client.config_set("maxmemory-policy", "allkeys-random")
            assert not (await operator.settings.propose("maxmemory-policy", "allkeys-random")).warnings
            (warning,) = (await operator.settings.propose("maxmemory-samples", "10")).warnings
            assert warning.startswith("Its replica keeps its own maxmemory-samples, also after a failover")


async def test_a_replica_with_a_smaller_limit_is_told_of(tmp_path: Path) -> None:
    with replicated("valkey") as (_, replica, connection):
        with replica.client() as client:
            client.config_set("maxmemory", "50mb")
        async with operating(connection, tmp_path) as operator:
            change = await operator.settings.propose("maxmemory", "200mb")
    assert any("has a limit of 50.0 MiB: after a failover it would" in warning for warning in change.warnings)
