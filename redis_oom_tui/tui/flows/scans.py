"""Scans in files: keep the one on screen; open an earlier one, to go on with it or to see what grew since."""

import asyncio
import functools
from pathlib import Path

from redis_oom_tui.files.scans import load_scan, save_scan
from redis_oom_tui.formatting.sizes import ago, duration, number_of_keys, percent
from redis_oom_tui.models.action import PlanningView
from redis_oom_tui.models.errors import BadInput
from redis_oom_tui.models.scan import SavedScan, ScanState, ScanView
from redis_oom_tui.models.structs import replace
from redis_oom_tui.ports.source import ClusteredSource, GoesOn, SamplesValues
from redis_oom_tui.rules.compare import compare
from redis_oom_tui.tui.dialogs.answers import PathDialog
from redis_oom_tui.tui.dialogs.base import Dialog
from redis_oom_tui.tui.dialogs.questions import ConfirmDialog, Question, ReadDialog, growth_lines
from redis_oom_tui.tui.flows.controller import ActionController
from redis_oom_tui.tui.flows.state import CleanupState, ShardScan, Stage

_JUST_NOW_SECONDS = 10.0
_SAVING = (
    "Saves keys, patterns and totals for a later comparison. Contains key names, no values; readable by you only."
    " A stopped scan can be resumed from this file."
)
_OPENING = (
    "A scan that was saved here or by hogs --save. Shows growth since then; an unfinished scan of this server process"
    " can be resumed. Sends nothing to the server."
)

_BASELINE = "Loaded as baseline. Press r to scan; growth appears in the findings."
_NO_BASELINE = "That scan is no baseline: it did not see all the keys that a scan here sees. Press r to scan."


async def save(actions: ActionController) -> None:
    """Ask where, and write the scan on screen to a new file."""
    scan = _at_hand(actions)
    if scan is None:
        raise BadInput("There is no scan to save yet: start one with r")
    path = await actions.ask(PathDialog("Save the scan", _SAVING, actions.new_file("{}.scan"), act="Save", new=True))
    if path is not None:
        await asyncio.to_thread(save_scan, scan, path)
        actions.host.scanner.saved = True
        actions.host.tell(f"Scan saved to {path.absolute()}")


async def again(actions: ActionController, match: bytes | None = None) -> None:
    """Scan from the start; a scan that is in no file goes only after a question: it may have taken an hour."""
    scans, scan = actions.host.scanner, actions.host.scan
    wanted = scans.asked_for and not scans.saved
    if scan is not None and scan.scanned_keys and wanted and not _just_stopped(actions, scan):
        lines = (standing(scan), "A new scan replaces it on this screen. To keep it: Esc, then w saves it.")
        if not await actions.ask(ConfirmDialog(Question("Scan again?", lines, "Scan again", danger=False))):
            return
    if not (scans.active and scans.asked_for):
        actions.host.startup.then(lambda: scans.start(scans.options, match=match))


async def all_keys(actions: ActionController) -> ScanView | None:
    """The scan of all keys for a proposal, made first where there is none: its progress is on screen meanwhile.

    None where the user did not want it, or has turned to something else. Raises BadInput where it did not end.
    """
    scan, main, scanner = actions.scan, actions.app.main, actions.host.scanner
    if scan is not None and scan.complete and not scanner.scanned.filtered:
        return scan
    main.action_show_pane("hogs")
    if not scanner.active:
        await again(actions)
    if not scanner.active:
        return None
    actions.host.tell("All keys are scanned first; then what may go is proposed")
    scan = await scanner.ended()
    if scan is None:
        return None
    if scanner.scanned.filtered:
        raise BadInput("This scan was limited by a filter: press x again to scan all keys")
    if not scan.complete:
        raise BadInput(scan.error or "The scan was stopped: what may go is proposed after a scan of all keys")
    on_top: object = actions.app.screen
    if main.pane != "hogs" or on_top is not main:
        actions.host.tell("All keys are scanned: x in Triage proposes what may go")
        return None
    return scan


async def shard_keys(actions: ActionController, name: str) -> ShardScan | None:
    """The scan of all keys of the primary called `name`, for a proposal: its progress is on screen meanwhile.

    None where the user has turned to something else. Raises BadInput where it did not end.
    """
    waiting, actions.shard_scan = actions.shard_scan, None
    if waiting is not None and waiting.name == name:
        return waiting
    source, main = actions.host.source, actions.app.main
    if not isinstance(source, ClusteredSource):
        raise BadInput("This is no cluster now: press x again")
    node = source.node(name)
    main.action_show_pane("cleanup")

    def publish(view: ScanView) -> None:
        planning = PlanningView(
            scanned_keys=view.scanned_keys, total_keys=view.total_keys, elapsed_seconds=view.elapsed_seconds
        )
        actions.show_cleanup(CleanupState(Stage.PLANNING, planning=planning, things=f"keys of {name}"))

    try:
        view = await actions.jobs.follow(node.scan(replace(actions.host.scanner.options, idle=True)), publish)
        values = await node.samples(view) if view.complete and isinstance(node, SamplesValues) else ()
    finally:
        actions.show_cleanup(CleanupState())
    if not view.complete:
        raise BadInput(view.error or "The scan was stopped: what may go is proposed after a scan of all keys")
    found, on_top = ShardScan(name, view, values), actions.app.screen
    if main.pane != "cleanup" or isinstance(on_top, Dialog):
        actions.shard_scan = found
        actions.host.tell(f"All keys of {name} are scanned: x in Triage proposes what may go")
        return None
    return found


def _just_stopped(actions: ActionController, scan: ScanView) -> bool:
    """Whether it was ended by hand a moment ago: who does that and presses r has said what is wanted."""
    age = actions.host.scanner.age
    return scan.state is ScanState.STOPPED and age is not None and age < _JUST_NOW_SECONDS


def standing(scan: ScanView | None) -> str:
    """How far a scan is, or has come, in a sentence."""
    if scan is None:
        return "A scan has begun."
    share = f" ({percent(scan.share_scanned)})" if scan.total_keys else ""
    took = duration(scan.elapsed_seconds)
    return f"The scan on screen has read {number_of_keys(scan.scanned_keys)}{share} in {took}."


async def open_saved(actions: ActionController) -> None:
    """Ask which; go on with it where it broke off, or else tell what grew since."""
    now = _at_hand(actions)
    newest = await asyncio.to_thread(_newest)
    path = await actions.ask(PathDialog("Open a saved scan", _OPENING, newest, act="Open", new=False))
    if path is None:
        return
    saved = await asyncio.to_thread(load_scan, path)
    if _can_go_on(actions, saved) and await actions.ask(ConfirmDialog(_going_on(actions, saved))):
        actions.host.scanner.go_on(saved)
    elif now is None:
        compared = actions.host.scanner.compare_with(saved)
        actions.host.tell(_BASELINE if compared else _NO_BASELINE)
    else:
        actions.host.scanner.compare_with(saved)
        await actions.ask(ReadDialog("What grew", functools.partial(growth_lines, compare(saved, now))))


def _at_hand(actions: ActionController) -> SavedScan | None:
    """The scan on screen as it would be saved. Raises BadInput while it runs: its figures are not at rest."""
    scans = actions.host.scanner
    if scans.active:
        raise BadInput("The scan has not ended: e stops it and keeps what it found")
    if actions.host.scan is None:
        return None
    snapshot = actions.snapshot
    return SavedScan(
        actions.host.scan,
        actions.host.clock.wall() if scans.ended_at is None else scans.ended_at,
        str(actions.host.source.address),
        None if snapshot is None else snapshot.server.run_id,
        scans.scanned.match,
        scans.scanned.type,
        scans.progress(),
        scans.scanned.pattern,
        scans.scanned.databases,
    )


def _can_go_on(actions: ActionController, saved: SavedScan) -> bool:
    snapshot, source = actions.snapshot, actions.host.source
    if saved.of_cluster:
        # Each node's scan looks itself whether that node is the one that it was.
        same = isinstance(source, ClusteredSource) and saved.server == str(source.address)
    else:
        same = snapshot is not None and snapshot.server.run_id == saved.run_id is not None
    return same and saved.progress is not None and not saved.view.complete and isinstance(source, GoesOn)


def _going_on(actions: ActionController, saved: SavedScan) -> Question:
    view = saved.view
    ended = ago(actions.host.clock.wall() - saved.taken_at)
    same = "same cluster" if saved.of_cluster else "same server process"
    lines = (
        f"Stopped {ended} at {percent(view.share_scanned)} of the keys; {same}.",
        "Resuming is read-only. It replaces the scan on screen.",
    )
    return Question("Resume this scan?", lines, "Resume", danger=False)


def _newest() -> Path | None:
    found = [(path.stat().st_mtime, path) for path in Path().glob("*.scan") if path.is_file()]
    return max(found)[1] if found else None
