"""Who hears of a watch: hooks, metrics, a scan beside it, an armed cleanup; from options and configuration."""

import contextlib
import os
import shlex
import shutil
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from redis_oom_tui.cli.actions import acting
from redis_oom_tui.cli.connecting import parse_host_port
from redis_oom_tui.cli.context import Invocation
from redis_oom_tui.cli.options import KEPT_FILE, READ_FILE, plan_names
from redis_oom_tui.files.config.file import variables
from redis_oom_tui.files.plans import load_plan
from redis_oom_tui.formatting.sanitize import safe_text
from redis_oom_tui.formatting.server import command_line
from redis_oom_tui.models.address import Connection, Secret
from redis_oom_tui.models.config import HookSettings, NamedPlan, SecretKind, SecretSource, WebhookFormat
from redis_oom_tui.models.errors import BadInput
from redis_oom_tui.models.plan import Plan
from redis_oom_tui.models.scan import ScanView
from redis_oom_tui.models.structs import replace
from redis_oom_tui.monitor.clock import Clock
from redis_oom_tui.monitor.emergency import EmergencyJob, must_be_armed
from redis_oom_tui.monitor.hooks import FAREWELL_SECONDS, CommandHook, Hook, HookQueue, inherited
from redis_oom_tui.monitor.listeners import Scanning
from redis_oom_tui.monitor.output import Note
from redis_oom_tui.monitor.watch import Listener
from redis_oom_tui.monitor.webhook import Webhook
from redis_oom_tui.ports.operator import Operator
from redis_oom_tui.ports.source import Source
from redis_oom_tui.rules.alerts import AlertBook
from redis_oom_tui.server.open_source import source_for

if TYPE_CHECKING:  # it is an extra
    from redis_oom_tui.monitor.metrics import Metrics

_DEFAULT_PORT = 9121


def hook_settings(base: HookSettings, given: dict[str, Any]) -> HookSettings:
    """The file's hooks with the options over them. Raises BadInput for a command that cannot be read."""
    settings = base
    if given["exec_line"] is not None:
        try:
            argv = (given["exec_line"],) if given["exec_shell"] else tuple(shlex.split(given["exec_line"]))
        except ValueError as error:
            raise BadInput(f"--exec cannot be split into words ({error}): close its quotes") from None
        if not argv or not argv[0].strip():
            raise BadInput("--exec names no command")
        if not given["exec_shell"] and shutil.which(argv[0]) is None:
            raise BadInput(f"--exec: there is no program {safe_text(argv[0], 80)!r} here: give its path, or install it")
        settings = replace(settings, command=argv, shell=given["exec_shell"])
    elif given["exec_shell"]:
        raise BadInput("--exec-shell requires --exec: name a command there")
    if given["webhook"] is not None:
        settings = replace(settings, webhook=SecretSource(SecretKind.LITERAL, given["webhook"]))
    if given["slack"]:
        settings = replace(settings, webhook_format=WebhookFormat.SLACK)
    return settings


def hook_queues(
    settings: HookSettings,
    invocation: Invocation,
    clock: Clock,
    log: Callable[[Note], None],
    *,
    farewell_seconds: float = FAREWELL_SECONDS,
    ours: dict[str, str] | None = None,
) -> list[Listener]:
    """One queue for each hook. Raises BadInput where a hook cannot be used.

    `ours` is what a command has of our environment; without it, what holds no secret.
    """
    hooks: list[Hook] = []
    url = invocation.configuration.secret(settings.webhook, "the webhook's URL")
    if settings.command:
        hooks.append(CommandHook(settings, environment(invocation, settings, url) if ours is None else ours))
    if url is not None:
        hooks.append(Webhook(url, settings))
    return [HookQueue(hook, settings, clock, log, farewell_seconds=farewell_seconds) for hook in hooks]


def environment(invocation: Invocation, settings: HookSettings, url: Secret | None) -> dict[str, str]:
    """What a command is given of our environment: no secret that is known here."""
    names = set(variables(invocation.configuration.settings))
    if settings.webhook is not None and settings.webhook.kind is SecretKind.ENVIRONMENT:
        names.add(settings.webhook.place)
    secrets = secrets_of(invocation.connection)
    return inherited(os.environ, names, [*secrets, *([] if url is None else [url])])


def secrets_of(connection: Connection) -> list[Secret]:
    """The passwords of the server and of its Sentinels, as far as there are any."""
    sentinel = connection.sentinel
    return [*filter(None, (connection.password, None if sentinel is None else sentinel.password))]


def metrics(
    given: dict[str, Any], book: AlertBook, log: Callable[[Note], None], cleanup: contextlib.ExitStack
) -> tuple[list[Listener], Callable[[ScanView], None]]:
    """The metrics and whatever shows them, and who takes a scan into them; none unasked. Raises BadInput."""
    collectors, shown = metrics_of(given, [book], log, cleanup)
    if not collectors:
        return [], lambda _: None
    return [*collectors, *shown], collectors[0].scanned


def metrics_of(
    given: dict[str, Any], books: Sequence[AlertBook], log: Callable[[Note], None], cleanup: contextlib.ExitStack
) -> tuple[list["Metrics"], list[Listener]]:
    """The metrics of each book, and whatever shows all of them; none unasked. Raises BadInput."""
    endpoint: str | None = given["prometheus"]
    file: Path | None = given["prometheus_file"]
    if endpoint is None and file is None:
        return [], []
    try:
        from redis_oom_tui.monitor.metrics import CombinedMetrics, Endpoint, Metrics, TextFile
    except ImportError:
        raise BadInput(
            "Prometheus metrics need one more package: in the checkout, pipx install --force '.[prometheus]'"
        ) from None
    collectors = [Metrics(book) for book in books]
    combined = CombinedMetrics(collectors)
    shown: list[Listener] = []
    if endpoint is not None:
        host, port = listening_address(endpoint)
        cleanup.callback(Endpoint(combined, host, port).close)
    if file is not None:
        shown.append(TextFile(combined, file, log))
    return collectors, shown


def scanning(
    invocation: Invocation,
    every_seconds: float,
    clock: Clock,
    log: Callable[[Note], None],
    take: Callable[[ScanView], None],
) -> Listener:
    """The scan beside the watch, on connections of its own."""

    @contextlib.asynccontextmanager
    async def connect() -> AsyncIterator[Source]:
        source = source_for(invocation.connection)
        try:
            await source.open()
            yield source
        finally:
            await source.close()

    db = invocation.connection.db
    return Scanning(connect, every_seconds, clock, databases=None if db is None else (db,), log=log, take=take)


def listening_address(text: str) -> tuple[str, int]:
    """Where to listen; loopback unless a host is named.

    >>> listening_address("9200"), listening_address(":9200"), listening_address("0.0.0.0")
    (('127.0.0.1', 9200), ('127.0.0.1', 9200), ('0.0.0.0', 9121))
    """
    if text.removeprefix(":").isdecimal():
        text = f"127.0.0.1:{text.removeprefix(':')}"
    address = parse_host_port(text, _DEFAULT_PORT)
    return address.host, address.port


def listener_options(function: Any) -> Any:
    """The options of whom to tell."""
    for option in reversed(
        (
            click.option("--exec", "exec_line", metavar="COMMAND", help="Run this at each event: JSON on its stdin."),
            click.option("--exec-shell", is_flag=True, help="Run --exec by /bin/sh."),
            click.option(
                "--webhook", metavar="URL", help="POST each event to this URL (better: webhook_env in the file)."
            ),
            click.option(
                "--slack", is_flag=True, help="Send the webhook the `text` that Slack-compatible receivers take."
            ),
            click.option(
                "--prometheus", metavar="[HOST:]PORT", help="Serve Prometheus metrics; on loopback by default."
            ),
            click.option(
                "--prometheus-file", type=KEPT_FILE, metavar="FILE", help="Write metrics to a file, for node_exporter."
            ),
        )
    ):
        function = option(function)
    return function


def arming_options(function: Any) -> Any:
    """The options of the armed cleanup."""
    plan = click.option(
        "--on-critical",
        "on_critical",
        metavar="PLAN",
        shell_complete=plan_names,
        help="Run this plan once the state has been critical for a while. The configuration must arm it as well.",
    )
    dry_run = click.option("--dry-run", is_flag=True, help="With --on-critical: only say what it would do.")
    return plan(dry_run(function))


def job_from(invocation: Invocation, given: dict[str, Any]) -> EmergencyJob | None:
    """What may be done unattended; None where nothing is asked for. Raises BadInput where it is not fully armed."""
    option: str | None = given["on_critical"]
    dry_run: bool = given["dry_run"]
    emergency = invocation.profile.emergency
    if option is None and dry_run:
        raise BadInput("--dry-run requires --on-critical: name a plan there")
    if option is None:
        return None
    plan = _plan(invocation, option)
    must_be_armed(option, emergency, dry_run=dry_run, read_only=invocation.connection.read_only)
    if given["once"] and not dry_run:
        raise BadInput("--once does not wait for anything to last: leave out --on-critical, or add --dry-run")
    if invocation.connection.cluster and isinstance(plan, Plan):
        raise BadInput("with -c, --on-critical takes a plan of the configuration: a saved one is no node's own")

    @contextlib.asynccontextmanager
    async def connect(node: str) -> AsyncIterator[Operator]:
        async with acting(invocation) as (_, operator):
            # Only the node that is critical gives up keys: the others have no need to.
            yield operator.on(node) if invocation.connection.cluster else operator

    def undo(path: str) -> str:
        return command_line(invocation.connection_args, "restore", path)

    return EmergencyJob(option, plan, emergency, connect, dry_run=dry_run, undo=undo)


def _plan(invocation: Invocation, option: str) -> NamedPlan | Plan:
    plans = invocation.configuration.settings.plans
    if option in plans:
        return plans[option]
    if "/" in option:
        try:
            return load_plan(READ_FILE.convert(option, None, None))
        except BadInput as error:
            raise BadInput(f"--on-critical: {error}") from None
    there = ", ".join(safe_text(name, 40) for name in sorted(plans)) or "none"
    raise BadInput(
        f"--on-critical: there is no plan {safe_text(option, 60)!r}; the configuration has {there}: name one of its"
        " [plans], or a saved plan (cleanup --save-plan) by its path, with a slash in it"
    )
