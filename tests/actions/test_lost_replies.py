"""A reply that was lost: the keys are read again, and nothing is guessed."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from redis_oom_tui.actions.operator import LiveOperator
from redis_oom_tui.models.action import BackupChoice
from redis_oom_tui.models.address import ClientBuffer
from redis_oom_tui.models.errors import ServerUnreachable
from redis_oom_tui.models.plan import Criteria, Operation, Outcome
from redis_oom_tui.server.mutations import connections as lines
from redis_oom_tui.server.mutations.connections import ExclusiveConnection
from tests.actions.test_interrupted import NAMES, agree
from tests.support.acting import NO_BACKUP, fill, operating, planned, stepped
from tests.support.proxy import lied_to
from tests.support.servers import RunningServer

pytestmark = pytest.mark.usefixtures("gives_up_soon")

CACHE = Criteria(patterns=(b"cache:*",))


class Deaf(ExclusiveConnection):
    """A connection on which the reply to the next deletion is lost, after the server carried it out."""

    deaf = 0

    async def replies(self, names: Sequence[str]) -> list[Any]:
        replies = await super().replies(names)
        if Deaf.deaf:
            Deaf.deaf -= 1
            await self.abandon()
            raise ServerUnreachable("the reply was lost")
        return replies


async def test_after_a_lost_reply_the_keys_are_read_again_and_not_guessed(
    server: RunningServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lines, "ExclusiveConnection", Deaf)
    monkeypatch.setattr(Deaf, "deaf", 1)
    with server.client() as client:
        fill(client, NAMES)
        async with operating(server.connection, tmp_path) as operator:
            plan = await planned(operator, CACHE)
            run = operator.run(plan, backup=NO_BACKUP)
            view = await run.run()
        assert not view.failed, view.ended
        gone = list(run.outcomes(frozenset({Outcome.IN_DOUBT})))
        assert gone
        assert {one.detail for one in gone} == {"the reply was lost; it is gone now, perhaps by this run"}
        assert f"{len(gone)} may have been deleted" in str(view.ended)
        assert "gone already" not in str(view.ended)
        assert view.counts[Outcome.DELETED] == len(NAMES) - len(gone)
        assert client.dbsize() == 0


async def test_two_lost_replies_in_a_row_end_the_run_with_what_is_not_known(
    server: RunningServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lines, "ExclusiveConnection", Deaf)
    with server.client() as client:
        fill(client, NAMES)
        async with operating(server.connection, tmp_path) as operator:
            plan = await planned(operator, CACHE)

            def lose(number: int) -> None:
                Deaf.deaf = 99
                client.set(b"cache:0", b"changed, so the second try meets it")

            monkeypatch.setattr(Deaf, "deaf", 0)
            run = await stepped(operator, plan, before=lose)
            view = await run.run()
        assert client.get(b"cache:0") is not None
        assert view.failed or view.counts.get(Outcome.CHANGED) == 1
        assert Outcome.FAILED not in view.counts
        assert Outcome.GONE not in view.counts
        agree(server, tmp_path, None)


async def test_a_lost_reply_to_an_expiry_is_read_back(
    server: RunningServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lines, "ExclusiveConnection", Deaf)
    with server.client() as client:
        fill(client, NAMES[:300])
        async with operating(server.connection, tmp_path) as operator:
            plan = await planned(operator, CACHE, operation=Operation.EXPIRE, expire_seconds=3600)
            monkeypatch.setattr(Deaf, "deaf", 1)
            view = await operator.run(plan, backup=BackupChoice()).run()
        assert dict(view.counts) == {Outcome.EXPIRING: 300}
        assert all(client.ttl(name) > 0 for name in NAMES[:300])  # type: ignore[operator]


async def test_what_has_run_is_no_failure_where_the_server_is_lost_then(server: RunningServer, tmp_path: Path) -> None:
    ran: list[tuple[bytes, ...]] = []

    def lie(words: tuple[bytes, ...]) -> bytes | None:
        if ran and words[0].upper() == b"INFO":
            raise ConnectionResetError
        # What finds out whether SCAN may be used asks for one key.
        if words[:2] == (b"MEMORY", b"PURGE") or (words[0] == b"SCAN" and words[-1] != b"1"):
            ran.append(words)
        return None

    with server.client() as client, lied_to(server.connection, {}) as liar:
        client.set("key", "x")
        liar.lie = lie
        for act, words in (
            (LiveOperator.purge, "MEMORY PURGE has run; what RSS is now is not known: "),
            (
                LiveOperator.reap,
                "All keys were scanned; how many expired ones that removed is not known: ",
            ),
        ):
            ran.clear()
            async with operating(liar.connection, tmp_path) as operator:
                done = await act(operator)
                assert done.ok
                assert done.sentence.startswith(words)
                assert operator.history()[0].ok


@pytest.mark.parametrize(
    ("killed", "read_back", "words"),
    [
        (True, True, "is gone now, perhaps by this; it "),
        (False, True, "is still there"),
        (True, False, "may have"),
    ],
    ids=["gone", "still there", "not known"],
)
async def test_a_lost_reply_to_client_kill_is_read_back(
    server: RunningServer, tmp_path: Path, killed: bool, read_back: bool, words: str
) -> None:
    lost: list[bytes] = []

    def lie(command: tuple[bytes, ...]) -> bytes | None:
        if command[:2] == (b"CLIENT", b"KILL"):
            lost.append(command[-1])
            if killed:
                client.client_kill_filter(_id=command[-1])
            raise ConnectionResetError
        if lost and not read_back and command[:2] == (b"CLIENT", b"LIST"):
            raise ConnectionResetError
        return None

    with server.client() as client, server.client() as victim, lied_to(server.connection, {}) as liar:
        shown = victim.client_info()
        liar.lie = lie
        async with operating(liar.connection, tmp_path) as operator:
            done = await operator.kill_client(ClientBuffer(int(shown["id"]), shown["addr"]))
            assert lost
            assert done.sentence.startswith("The reply to CLIENT KILL was lost: client ")
            assert words in done.sentence
            assert done.ok is operator.history()[0].ok is (killed and read_back)
