"""A scan that broke off and was saved is gone on with by another process, on the same run of the same server alone."""

import json
from collections import Counter
from typing import Any

import pytest

from redis_oom_tui.models.errors import BadInput
from redis_oom_tui.models.scan import Pace, ScanOptions, ScanState, ScanView
from redis_oom_tui.server.live import LiveServer
from redis_oom_tui.server.scan.keyspace import KeyspaceScan
from tests.server.test_scan import fill
from tests.support.servers import RunningServer
from tests.support.sources import opened

KEYS = 8000


class Names:
    """Counts how often a scan comes to each key."""

    def __init__(self) -> None:
        self.seen: Counter[tuple[int, bytes]] = Counter()

    def of(self, scan: KeyspaceScan) -> KeyspaceScan:
        aggregates = scan._aggregates
        count = aggregates.page

        def counted(db: int, names: list[bytes], columns: Any) -> None:
            self.seen.update((db, name) for name in names)
            count(db, names, columns)

        aggregates.page = counted  # type: ignore[method-assign]
        return scan


async def broken_off(source: LiveServer, names: Names, keys: int, **options: Any) -> tuple[ScanView, dict[str, Any]]:
    """A scan that stopped after about so many keys, and what a file would have kept of it."""
    scan = names.of(source.scan(ScanOptions(sample=keys, pace=Pace.NORMAL, **options)))
    view = await scan.run()
    assert view.state is ScanState.SAMPLED
    progress = scan.progress()
    assert progress is not None
    kept: dict[str, Any] = json.loads(json.dumps(progress))
    return view, kept


@pytest.mark.in_turn
@pytest.mark.parametrize("keys", [500, 3_000, 7_500])
async def test_both_halves_together_are_the_whole(server: RunningServer, keys: int) -> None:
    fill(server, KEYS)
    fill(server, 300, db=3)
    names = Names()
    async with opened(server.connection) as source:
        whole = await source.scan(ScanOptions(pace=Pace.FULL_SPEED)).run()
        first, progress = await broken_off(source, names, keys)
    async with opened(server.connection) as source:
        resumed = names.of(source.resumed(progress))
        assert resumed.view().scanned_keys == first.scanned_keys
        view = await resumed.run()
        assert resumed.progress() is None
    assert view.state is ScanState.COMPLETE, view.error
    assert set(names.seen.values()) == {1}
    assert view.scanned_keys == whole.scanned_keys == sum(names.seen.values())
    assert (view.bytes_seen, view.volatile_keys, view.volatile_bytes) == (
        whole.bytes_seen,
        whole.volatile_keys,
        whole.volatile_bytes,
    )
    assert view.types == whole.types
    assert _patterns(view) == _patterns(whole)
    assert view.elapsed_seconds > first.elapsed_seconds
    assert any("earlier run" in note for note in view.notes)


def _patterns(view: ScanView) -> set[tuple[Any, ...]]:
    return {(row.db, row.pattern, row.keys, row.size, row.no_ttl_keys, row.types) for row in view.patterns}


async def test_what_closer_looks_changed_is_kept(server: RunningServer) -> None:
    fill(server, 3_000)
    with server.client() as client:
        for number in range(20):
            client.hset(f"uneven:{number}", mapping={f"f{n}": "x" * (50_000 if n == number else 9) for n in range(99)})
    async with opened(server.connection) as source:
        scan = source.scan(ScanOptions(sample=2_500, pace=Pace.NORMAL))
        await scan.run()
        found = dict(scan._aggregates.corrected)
        progress = json.loads(json.dumps(scan.progress()))
        assert found[b"hash"] != 0
        resumed = source.resumed(progress)
        assert resumed._aggregates.corrected == found
        del progress["tally"]["corrected"]
        assert source.resumed(progress)._aggregates.corrected == {}


async def test_it_asks_what_was_asked_when_it_began(valkey: RunningServer) -> None:
    fill(valkey, 5_000)
    async with opened(valkey.connection) as source:
        first, progress = await broken_off(source, Names(), 1_000, match=b"user:*", type="string", idle=True)
        assert 1_000 <= first.scanned_keys < 5_000
        view = await source.resumed(progress, pace=Pace.GENTLE, sample=2_000).run()
        assert (view.state, view.pace) == (ScanState.SAMPLED, Pace.GENTLE)
        view = await source.resumed(progress, pace=Pace.FULL_SPEED).run()
    assert (view.state, view.scanned_keys) == (ScanState.COMPLETE, 5_000)
    assert [row.type for row in view.types] == ["string"]
    assert all(row.idle_quantiles is not None for row in view.patterns)


async def test_a_server_that_was_started_again_is_another_one(valkey: RunningServer) -> None:
    fill(valkey, 5_000)
    async with opened(valkey.connection) as source:
        first, progress = await broken_off(source, Names(), 1_000)
    valkey.kill()
    valkey.start()
    fill(valkey, 5_000)
    async with opened(valkey.connection) as source:
        view = await source.resumed(progress).run()
    assert view.state is ScanState.FAILED
    assert view.error is not None
    assert "restarted or failed over" in view.error
    assert "start a new one" in view.error
    # What it had told is still there.
    assert view.scanned_keys == first.scanned_keys
    assert len(view.top) == len(first.top)
    # But of how many keys it was a part, nobody has said.
    assert (view.total_keys, view.estimated_bytes) == (0, None)


async def test_there_is_nothing_to_go_on_with_before_and_after(valkey: RunningServer) -> None:
    fill(valkey, 100)
    async with opened(valkey.connection) as source:
        scan = source.scan(ScanOptions())
        assert scan.progress() is None
        await scan.run()
        assert scan.progress() is None


@pytest.mark.parametrize("part", ["options", "walks", "tally", "elapsed", "run_id"])
async def test_what_is_damaged_is_refused_in_a_sentence(valkey: RunningServer, part: str) -> None:
    fill(valkey, 2_000)
    async with opened(valkey.connection) as source:
        _, progress = await broken_off(source, Names(), 1_000)
        for broken in (_without(progress, part), progress | {part: "x"}):
            if part == "run_id" and part in broken:
                assert (await source.resumed(broken).run()).state is ScanState.FAILED
                continue
            with pytest.raises(BadInput, match="damaged: start a new one"):
                source.resumed(broken)
        progress["tally"]["tree"][-1][3] = [1, 2]
        with pytest.raises(BadInput, match="damaged"):
            source.resumed(progress)


def _without(progress: dict[str, Any], part: str) -> dict[str, Any]:
    return {name: value for name, value in progress.items() if name != part}
