"""`watch`: thresholds, alerts and their hooks, for as long as it is let."""

import asyncio
import contextlib
import os
import signal
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any

import click

from redis_oom_tui.cli.context import Invocation, chosen
from redis_oom_tui.cli.options import Number, given_options
from redis_oom_tui.cli.process import heeded, require_output
from redis_oom_tui.cli.watch_listeners import (
    arming_options,
    hook_queues,
    hook_settings,
    job_from,
    listener_options,
    metrics,
    scanning,
)
from redis_oom_tui.cli.watch_profiles import LAST_DELIVERY_SECONDS, ProfileWatches
from redis_oom_tui.files.audit import state_folder
from redis_oom_tui.files.ledger import Ledger
from redis_oom_tui.files.own_actions import OwnActions
from redis_oom_tui.formatting.sanitize import safe_text
from redis_oom_tui.formatting.sizes import duration, parse_duration
from redis_oom_tui.formatting.watch_lines import missing_line, missing_object
from redis_oom_tui.models.address import Address
from redis_oom_tui.models.config import HookSettings, WatchSettings
from redis_oom_tui.models.errors import BadInput
from redis_oom_tui.models.structs import replace
from redis_oom_tui.models.verdict import Thresholds
from redis_oom_tui.monitor.clock import Clock
from redis_oom_tui.monitor.emergency import EmergencyCleanup
from redis_oom_tui.monitor.listeners import Service
from redis_oom_tui.monitor.output import BufferedOutput, JsonLines, Note, TextLines, TickOutput
from redis_oom_tui.monitor.poller import Poller
from redis_oom_tui.monitor.watch import Listener, Monitor
from redis_oom_tui.rules.alerts import AlertBook
from redis_oom_tui.server.open_source import source_for

_SHORTEST_SCAN_SECONDS = 60.0
_PERCENT = Number(0, 100, fraction=True)


# What cannot be given where several profiles are watched, and why.
_NOT_OF_SEVERAL = {
    frozenset({"warn", "crit"}): "thresholds come from each profile",
    frozenset({"on_critical", "dry_run"}): "an unattended cleanup is armed for one server",
    frozenset({"scan_every"}): "scans of many servers at once load this host and the network",
}


@click.command()
@click.option("--all", "all_profiles", is_flag=True, help="Watch the servers of all profiles, in one process.")
@click.option("--warn", type=_PERCENT, metavar="PERCENT", help="Warning threshold, % of maxmemory (80).")
@click.option("--crit", type=_PERCENT, metavar="PERCENT", help="Critical threshold, % of maxmemory (95).")
@click.option(
    "--interval", type=Number(0.5, 86400, fraction=True), metavar="SECONDS", help="Seconds between polls (default 5)."
)
@click.option("--hold", metavar="TIME", help="How long a level must persist before alerting (10s).")
@click.option("--scan-every", metavar="TIME", help="Also run a gentle scan this often: what uses the memory.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
@click.option(
    "--once", is_flag=True, help="One line, then exit as `check` does: 0 ok, 1 warning, 2 critical, 3 unknown."
)
@click.option("--bell", is_flag=True, help="Ring the terminal's bell at each alert.")
@click.option("--plain", is_flag=True, help="No colors.")
@listener_options
@arming_options
@click.pass_obj
def watch(invocation: Invocation, /, **given: Any) -> int:
    """Poll the server; report each change once.

    One line per poll on stdout, and a line for each event. Thresholds, hooks and the rest may be set in the
    configuration file; options override it. SIGTERM and Ctrl+C end it cleanly. With --all, or a glob
    as --profile, each line names its profile, and text has only the changes of level.
    """
    if given["all_profiles"] or invocation.profiles:
        names = chosen(invocation, given_options(), _NOT_OF_SEVERAL, all_profiles=given["all_profiles"])
        return asyncio.run(_watch_several(invocation, names, given))
    settings = watch_settings(invocation.profile.watch, given)
    return asyncio.run(_watch(invocation, settings, given))


def watch_settings(base: WatchSettings, given: dict[str, Any]) -> WatchSettings:
    """The file's settings with the options over them. Raises BadInput where they make no sense together."""
    thresholds = base.thresholds
    warn = thresholds.warn if given["warn"] is None else given["warn"] / 100
    crit = thresholds.crit if given["crit"] is None else given["crit"] / 100
    if not 0 < warn < crit:
        raise BadInput(f"--warn {warn * 100:g} must be above 0 and below --crit {crit * 100:g}")
    return replace(
        base,
        thresholds=Thresholds(warn, crit),
        interval_seconds=given["interval"] or base.interval_seconds,
        hold_seconds=base.hold_seconds if given["hold"] is None else float(parse_duration(given["hold"])),
        bell=given["bell"] or base.bell,
        scan_seconds=base.scan_seconds if given["scan_every"] is None else _scan_seconds(given["scan_every"]),
    )


def _scan_seconds(text: str) -> float:
    seconds = float(parse_duration(text))
    if seconds < _SHORTEST_SCAN_SECONDS:
        raise BadInput("--scan-every must be at least a minute: a scan loads the server")
    return seconds


async def _watch(invocation: Invocation, settings: WatchSettings, given: dict[str, Any]) -> int:
    stop = asyncio.Event()
    with contextlib.ExitStack() as resources:
        outputs = _outputs(invocation, settings.bell, given, resources)
        output = outputs(None, invocation.connection.address)
        _stop_on_signals(stop)
        return await _watch_until(stop, invocation, settings, given, output, resources)


async def _watch_several(invocation: Invocation, names: Sequence[str], given: dict[str, Any]) -> int:
    """A watch of each of these profiles, with its own settings."""
    stop = asyncio.Event()
    of = {name: invocation.configuration.profile(name).watch for name in names}
    settings = {name: replace(watch_settings(base, given), scan_seconds=None) for name, base in of.items()}
    if any(base.scan_seconds is not None for base in of.values()):
        click.echo("watch of several profiles: scan_every of the configuration is not used", err=True)
    began = time.monotonic()
    with contextlib.ExitStack() as resources:
        outputs = _outputs(invocation, any(each.bell for each in settings.values()), given, resources)
        watches = ProfileWatches(invocation, settings, given, outputs, resources)
        _stop_on_signals(stop)
        if given["once"]:
            return await watches.once()
        await watches.run(stop)
        if not given["as_json"]:
            text = f"stopped after {duration(time.monotonic() - began)} ({watches.words()})"
            outputs(None, invocation.connection.address).note(Note("end", text, time.time()))
    return 0


async def _watch_until(
    stop: asyncio.Event,
    invocation: Invocation,
    settings: WatchSettings,
    given: dict[str, Any],
    output: TickOutput,
    resources: contextlib.ExitStack,
) -> int:
    clock = Clock()
    source = source_for(invocation.connection)
    # A single look has no past to hold a level against: what it shows is told.
    alerting = replace(settings, hold_seconds=0.0, lost_seconds=0.0) if given["once"] else settings
    book = AlertBook(invocation.profile.name or str(source.address), alerting)

    def log(note: Note) -> None:
        # Where nobody reads any more, the next tick ends the watch; a delivery must not fail over it.
        with contextlib.suppress(BrokenPipeError, BadInput):
            output.note(note)

    job = job_from(invocation, given)
    hooks = hook_settings(invocation.profile.hooks, given)
    poller = Poller(source, settings, clock, book=book)
    poller.ours = OwnActions(invocation.audit_path).since_last
    loop = Monitor(poller, output, clock)
    cleanup = None if job is None else EmergencyCleanup(job, book, _ledger(), clock, log=log, tell=loop.tell)
    if given["once"]:
        for listener in _listeners_once(invocation, hooks, given, book, log, clock, resources):
            loop.add(listener)
        state = await loop.once()
        if cleanup is not None and state.answer is not None:
            await cleanup.clean(state.answer, state.verdict_now, stop)
        return state.verdict_now.level.exit_code
    shown, take = metrics(given, book, log, resources)
    listeners = [*hook_queues(hooks, invocation, clock, log), *shown]
    if settings.scan_seconds is not None:
        listeners.append(scanning(invocation, settings.scan_seconds, clock, log, take))
    for one in (*listeners, cleanup, Service.from_environment()):
        if one is not None:
            loop.add(one)
    await loop.run(stop)
    return 0


def _listeners_once(
    invocation: Invocation,
    hooks: HookSettings,
    given: dict[str, Any],
    book: AlertBook,
    log: Callable[[Note], None],
    clock: Clock,
    resources: contextlib.ExitStack,
) -> list[Listener]:
    """Who hears of a single poll. Raises BadInput for what only a watch that goes on can serve."""
    lasting = [f"--{name.replace('_', '-')}" for name in ("prometheus", "scan_every") if given[name] is not None]
    if lasting:
        raise BadInput(f"{' and '.join(lasting)} cannot be combined with --once, which ends after one poll")
    shown, _ = metrics(given, book, log, resources)
    listeners = hook_queues(hooks, invocation, clock, log, farewell_seconds=LAST_DELIVERY_SECONDS)
    return [*listeners, *shown]


def _ledger() -> Ledger:
    return Ledger(state_folder() / "emergency.json")


def _outputs(
    invocation: Invocation, rings: bool, given: dict[str, Any], resources: contextlib.ExitStack
) -> Callable[[str | None, Address], TickOutput]:
    """What makes the output of a server, by the profile that its lines name. Raises BadInput."""
    as_json: bool = given["as_json"]
    require_output()
    stream = BufferedOutput(
        sys.stdout.fileno(), encoding=sys.stdout.encoding, missing=missing_object if as_json else missing_line
    )
    resources.callback(stream.close)
    bell = None
    if rings and sys.stderr.isatty():
        bell = BufferedOutput(sys.stderr.fileno())
        resources.callback(bell.close)
    wanted = invocation.screen.color
    color = sys.stdout.isatty() and "NO_COLOR" not in os.environ if wanted is None else wanted
    plain = given["plain"] or invocation.screen.plain

    def output(profile: str | None, address: Address) -> TickOutput:
        if as_json:
            return JsonLines(stream, address=address, bell=bell, profile=profile)
        label = None if profile is None else safe_text(profile, 32)
        journal = "JOURNAL_STREAM" in os.environ
        return TextLines(stream, journal=journal, color=color and not plain, bell=bell, label=label)

    return output


def _stop_on_signals(stop: asyncio.Event) -> None:
    """The first signal ends the watch cleanly; a second one ends the process at once."""
    loop = asyncio.get_running_loop()

    def asked(number: signal.Signals) -> None:
        stop.set()
        loop.remove_signal_handler(number)

    for number in heeded((signal.SIGTERM, signal.SIGINT, signal.SIGHUP)):
        loop.add_signal_handler(number, asked, number)
