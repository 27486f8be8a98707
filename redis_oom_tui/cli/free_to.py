"""`cleanup --free-to`: a scan, and what may go by it."""

from typing import TYPE_CHECKING

from redis_oom_tui.cli.process import Ticker, stopping, when_free
from redis_oom_tui.formatting.hogs import progress
from redis_oom_tui.models.errors import BadInput, ServerUnreachable
from redis_oom_tui.models.proposal import Proposal
from redis_oom_tui.models.scan import ScanOptions
from redis_oom_tui.rules.clients import with_clients
from redis_oom_tui.rules.info_checks import with_settings
from redis_oom_tui.rules.proposals import needed_bytes, propose, why_in_vain
from redis_oom_tui.server.live import LiveServer

if TYPE_CHECKING:
    from redis_oom_tui.server.cluster.source import ClusterSource


def share_of(text: str) -> float:
    """A share of maxmemory, as people write it. Raises BadInput.

    >>> share_of("80%"), share_of("75")
    (0.8, 0.75)
    """
    number = text.strip().removesuffix("%")
    if not number.isascii() or not number.isdigit() or not 1 <= int(number) <= 99:
        raise BadInput(f"--free-to takes a share of maxmemory from 1% to 99%, not {text!r}")
    return int(number) / 100


async def proposed(server: "LiveServer | ClusterSource", target: float, db: int | None) -> Proposal:
    """What may go to reach `target`, by a scan of all keys; no scan where it is reached already, or no deletion helps.

    Raises BadInput without a limit and for a cluster, ServerUnreachable where the scan failed.
    """
    if not isinstance(server, LiveServer):
        raise BadInput("--free-to works on one server: in a cluster, each node has a limit of its own")
    snapshot, settings, clients, _ = await when_free(server.look_closely)
    snapshot = with_settings(with_clients(snapshot, clients), settings)
    needed = needed_bytes(snapshot, target)
    in_vain = why_in_vain(snapshot, clients)
    if not needed or in_vain:
        return Proposal(target, needed, snapshot.memory.pressure or 0.0, cause=in_vain if needed else "")
    scan = server.scan(ScanOptions(databases=None if db is None else (db,), idle=True))
    with stopping(scan.stop):
        async with Ticker(lambda: progress(scan.view())):
            view = await scan.run()
    if view.error is not None:
        raise ServerUnreachable(view.error)
    return propose(view, await when_free(server.snapshot), target, await server.samples(view))
