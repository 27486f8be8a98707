"""A cluster's scan that broke off, as plain values (JSON's): where each node's scan stands, and all the counts."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from msgspec import Struct, field, to_builtins

from redis_oom_tui.formatting.typed import Number, converted
from redis_oom_tui.models.errors import BadInput
from redis_oom_tui.models.scan import Pace, ScanOptions, ScanState
from redis_oom_tui.server.cluster.node_scan import NodePlace, NodeScan, Slot
from redis_oom_tui.server.cluster.scan_view import ClusterScanProgress
from redis_oom_tui.server.live import LiveServer
from redis_oom_tui.server.scan.aggregates import ScanAggregates
from redis_oom_tui.server.scan.checkpoint import (
    DAMAGED,
    AggregatesValues,
    OptionsValues,
    RangeValues,
    aggregates_read,
    aggregates_written,
    earlier_keys,
    options_read,
    options_written,
    ranges_written,
    standing_read,
)


class _Node(Struct, kw_only=True):
    """Where the scan of one node stands."""

    node: str
    run_id: str | None
    slots: list[Slot]
    cursor_ranges: list[list[RangeValues]] = field(name="walks")
    place: NodePlace


class _Values(Struct, kw_only=True):
    """All that is kept of the scan."""

    elapsed: Number
    options: OptionsValues
    aggregates: AggregatesValues = field(name="tally")
    nodes: list[_Node]


class ClusterCheckpoint:
    """What an earlier process had come to: `options`, `aggregates`, `elapsed` seconds, and the scan of each node."""

    def __init__(self, progress: Mapping[str, Any], pace: Pace | None) -> None:
        """Read what `cluster_checkpoint_values` wrote, to resume at `pace`. Raises BadInput."""
        try:
            found = converted(progress, _Values)
            self.options = options_read(found.options, pace, None)
            self.aggregates = aggregates_read(found.aggregates, self.options)
            self._standings = [standing_read(node.cursor_ranges, node.run_id) for node in found.nodes]
        except (ValueError, IndexError):
            raise BadInput(DAMAGED) from None
        self.elapsed = found.elapsed
        self.values = progress
        self._nodes = found.nodes

    def standing(self) -> ClusterScanProgress:
        """The whole scan as it stood."""
        notes = {earlier_keys(self.aggregates.keys): None}
        return ClusterScanProgress(self.options.pace, state=ScanState.STOPPED, notes=notes)

    def scans(self, server_of: Callable[[str], LiveServer]) -> list[NodeScan]:
        """The scan of each node, to go on with. Raises one of `models.errors` where a node is not there any more."""
        scans = []
        for node, standing in zip(self._nodes, self._standings, strict=True):
            server, options = server_of(node.node), self.options
            scans.append(
                NodeScan(server, options, node.slots, self.aggregates, node.node, standing=standing, place=node.place)
            )
        return scans


def cluster_checkpoint_values(
    options: ScanOptions, aggregates: ScanAggregates, scans: Iterable[NodeScan], elapsed: float
) -> dict[str, Any] | None:
    """What `ClusterCheckpoint` needs; None where a node that was begun has no run id: nobody could tell whether it is
    the same server later, and its cursors mean nothing to another.
    """
    scans = list(scans)
    if any(scan.standing.cursor_ranges and scan.standing.run_id is None for scan in scans):
        return None
    for scan in scans:
        scan.view()  # what is on its way to the counts arrives there
    values = _Values(
        elapsed=elapsed,
        options=options_written(options),
        aggregates=aggregates_written(aggregates),
        nodes=[_written(scan) for scan in scans],
    )
    found: dict[str, Any] = to_builtins(values)
    return found


def _written(scan: NodeScan) -> _Node:
    return _Node(
        node=scan.node,
        run_id=scan.standing.run_id,
        slots=sorted(scan.slots),
        cursor_ranges=ranges_written(scan.standing),
        place=scan.place,
    )
