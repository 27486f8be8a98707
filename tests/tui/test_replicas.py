"""The replicas of a single master in pane 1: asked seldom, beside the polls, and an unknown one told as unknown."""

import asyncio

import pytest

from redis_oom_tui.models.address import Address, ClusterNode
from redis_oom_tui.models.errors import ServerUnreachable
from redis_oom_tui.models.snapshot import NodeView, Snapshot
from redis_oom_tui.models.structs import replace
from redis_oom_tui.monitor.details import ReplicaPoll
from redis_oom_tui.rules.guarded import DEFECTS
from tests.support.scripted import ScriptedSource, a_snapshot
from tests.tui.support import an_app, screen_text, until

MIB = 2**20


class Replicated(ScriptedSource):
    """A master with a replica of its own mind, and one that does not answer."""

    def __init__(self) -> None:
        super().__init__([a_snapshot()])
        self.looks = 0
        self.answers = asyncio.Event()
        self.answers.set()
        self.error: Exception | None = None

    async def replicas(self) -> tuple[NodeView, ...]:
        self.looks += 1
        await self.answers.wait()
        if self.error is not None:
            raise self.error
        seen = a_snapshot(maxmemory=64 * MIB, policy="allkeys-lru")
        return (
            NodeView(ClusterNode("r:1", "r:1", Address("r", 1), "m:1"), seen),
            NodeView(ClusterNode("r:2", "r:2", Address("r", 2), "m:1"), error="r:2 did not answer in time"),
        )


def _at(seconds: float, **changes: object) -> Snapshot:
    return replace(a_snapshot(**changes), taken_monotonic=seconds)


async def _settled(replica_poll: ReplicaPoll) -> None:
    while replica_poll._asking is not None:
        await asyncio.sleep(0)


async def test_a_replica_that_would_evict_is_a_finding_and_one_unseen_is_said_to_be() -> None:
    app = an_app(Replicated())
    async with app.run_test(size=(110, 40)) as pilot:
        await until(pilot, lambda: "Replica r:1: if promoted, it would evict" in screen_text(app))
        await until(pilot, lambda: "The replica r:2 could not be reached from here" in screen_text(app))


async def test_they_are_asked_seldom() -> None:
    source = Replicated()
    replica_poll = ReplicaPoll(source)
    for second in range(100):
        replica_poll.seen(_at(1000.0 + second))
        await _settled(replica_poll)
    assert source.looks == 4
    assert len(replica_poll.seen(_at(1100.0))) == 2
    replica_poll.close()


async def test_a_poll_does_not_wait_for_them() -> None:
    source = Replicated()
    source.answers.clear()
    replica_poll = ReplicaPoll(source)
    for second in range(100):
        assert replica_poll.seen(_at(1000.0 + second)) == ()
        await asyncio.sleep(0)
    assert source.looks == 1
    source.answers.set()
    await _settled(replica_poll)
    assert len(replica_poll.seen(_at(1101.0))) == 2
    replica_poll.close()


async def test_a_master_without_replicas_is_not_asked() -> None:
    source = Replicated()
    replica_poll = ReplicaPoll(source)
    alone = replace(a_snapshot(), activity=replace(a_snapshot().activity, connected_replicas=0))
    assert replica_poll.seen(alone) == ()
    assert source.looks == 0


async def test_what_was_known_stays_when_the_master_does_not_answer() -> None:
    source = Replicated()
    replica_poll = ReplicaPoll(source)
    replica_poll.seen(_at(1000.0))
    await _settled(replica_poll)
    source.error = ServerUnreachable("gone")
    replica_poll.seen(_at(1031.0))
    await _settled(replica_poll)
    assert (source.looks, len(replica_poll.seen(_at(1032.0)))) == (2, 2)
    replica_poll.close()


@pytest.mark.defects
async def test_a_defect_is_kept_and_they_are_asked_again() -> None:
    source = Replicated()
    replica_poll = ReplicaPoll(source)
    replica_poll.seen(_at(1000.0))
    await _settled(replica_poll)
    source.error = KeyError("odd")
    replica_poll.seen(_at(1031.0))
    await _settled(replica_poll)
    assert replica_poll.seen(_at(1032.0)) == (), "what they said before is not told as what they say now"
    assert [fault.words for fault in DEFECTS.kept.values()] == [
        "what the replicas say is not judged: a defect of this tool (KeyError)"
    ]
    source.error = None
    replica_poll.seen(_at(1062.0))
    await _settled(replica_poll)
    assert len(replica_poll.seen(_at(1063.0))) == 2
    replica_poll.close()
