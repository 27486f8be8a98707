"""A server in words: who it says it is, its limit (set, not set, not reported or stated), what is doubtful, and the
commands of this tool that lead to it."""

import re
import shlex
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from redis_oom_tui.formatting import pattern_text
from redis_oom_tui.formatting.sanitize import safe_text
from redis_oom_tui.formatting.sizes import percent_beside, share_of, size, typed_span
from redis_oom_tui.models.action import TARGET
from redis_oom_tui.models.address import Address
from redis_oom_tui.models.plan import TtlFilter
from redis_oom_tui.models.snapshot import LimitSource, Memory, Server, Snapshot
from redis_oom_tui.models.verdict import WORST_FIRST, Finding, Level, Remedy

if TYPE_CHECKING:
    from redis_oom_tui.formatting.documents.check import DoubtFields

# What does not count towards the limit is worth a word from this share of used_memory on.
_NOTICEABLE = 0.01


def limit_text(memory: Memory) -> str:
    """The limit, and whose word it is.

    >>> limit_text(Memory(5)), limit_text(Memory(5, limit_source=LimitSource.NOT_REPORTED))
    ('no limit', 'limit not reported')
    >>> limit_text(Memory(5, 2048)), limit_text(Memory(5, 2048, limit_source=LimitSource.OPERATOR))
    ('2.0 KiB', 'stated 2.0 KiB')
    """
    if memory.unlimited:
        return "no limit"
    if memory.maxmemory_bytes is None:
        return "limit not reported"
    stated = "stated " if memory.limit_source is LimitSource.OPERATOR else ""
    return f"{stated}{size(memory.maxmemory_bytes)}"


def share_of_limit(memory: Memory) -> str:
    """How full it is, for a line of figures; 100% only where the limit is reached.

    >>> share_of_limit(Memory(99_996, 100_000)), share_of_limit(Memory(5)), share_of_limit(Memory(None, 2048))
    ('99.99% of 97.7 KiB', 'no limit', '? of 2.0 KiB')
    >>> share_of_limit(Memory(1500, 1000, not_counted_bytes=560))
    'counted 940 B, 94.0% of 1000 B'
    >>> share_of_limit(Memory(312_000_000, 1))
    'over 100x the limit of 1 B'
    """
    if memory.maxmemory_bytes is None:
        return limit_text(memory)
    counted = ""
    if memory.used_bytes is not None and memory.not_counted_bytes >= _NOTICEABLE * memory.used_bytes > 0:
        counted = f"counted {size(memory.counted_bytes)}, "
    return counted + share_of(percent_beside(memory.pressure, (1.0,), 1), limit_text(memory))


def use_of_limit(memory: Memory, marks: Sequence[float] = (1.0,)) -> str:
    """What counts towards the limit, beside it; the share stands on its own side of each of `marks`.

    >>> use_of_limit(Memory(950, 1000)), use_of_limit(Memory(950)), use_of_limit(Memory(None))
    ('950 B of 1000 B (95%)', '950 B used, no limit', '? used, no limit')
    >>> use_of_limit(Memory(798, 1000), (0.8,))
    '798 B of 1000 B (79.8%)'
    """
    if memory.maxmemory_bytes is None:
        return f"{size(memory.used_bytes)} used, {limit_text(memory)}"
    share = "" if memory.pressure is None else f" ({percent_beside(memory.pressure, marks, 0)})"
    return f"{size(memory.counted_bytes)} of {limit_text(memory)}{share}"


# The fields that decide most come first.
_FIRST = ("used_memory", "maxmemory", "limit", "maxmemory_policy", "used_memory_rss", "used_memory_overhead")


def doubt_lines(snapshot: Snapshot, most: int) -> list[str]:
    """The figures that count as unknown, those that decide most first, and how many more there are."""
    ranked = sorted(snapshot.doubts, key=lambda doubt: doubt.field not in _FIRST)
    lines = [f"{doubt.field} {doubt.reason}" for doubt in ranked[:most]]
    more = len(ranked) - most
    return [*lines, f"and {more} more: --json names them"] if more > 0 else lines


def doubt_fields(snapshot: Snapshot) -> "list[DoubtFields]":
    """The figures of INFO that count as unknown, each with the reason."""
    return [{"field": doubt.field, "reason": doubt.reason} for doubt in snapshot.doubts]


def server_text(server: Server) -> str:
    """Flavour and version; the product's own name where it is another.

    >>> from redis_oom_tui.models.address import Address
    >>> server_text(Server("redis", "7.0.15", "master", Address()))
    'redis 7.0.15'
    >>> server_text(Server("other", "df-v1.31.0", "master", Address(), product="Dragonfly"))
    'Dragonfly df-v1.31.0'
    >>> server_text(Server("redis", "7.2.4", "master", Address(), product="Amazon ElastiCache"))
    'redis 7.2.4 (Amazon ElastiCache)'
    """
    if not server.product:
        return f"{server.flavour} {server.version}"
    if server.is_foreign:
        return f"{server.product} {server.version}"
    return f"{server.flavour} {server.version} ({server.product})"


def count_levels(levels: Sequence[Level]) -> str:
    """How many servers there are of each level, the worst first.

    >>> count_levels([Level.OK, Level.OOM, Level.OK])
    '1 oom, 2 ok'
    """
    return ", ".join(f"{levels.count(level)} {level.value}" for level in WORST_FIRST if level in levels)


def role_text(role: str) -> str:
    """A role in the product's word for it; Redis itself reports `master`.

    >>> role_text("master"), role_text("replica")
    ('primary', 'replica')
    """
    return "primary" if role == "master" else role


def role_of(server: Server) -> str:
    """What the server is, and of a replica whose: harmless text.

    >>> role_of(Server("redis", "7.0.15", "replica", Address(), primary="10.0.0.2:6379"))
    'replica of 10.0.0.2:6379'
    """
    role = role_text(safe_text(server.role, 12))
    return f"{role} of {safe_text(server.primary, 60)}" if server.is_replica and server.primary else role


PROGRAM = "redis-oom-tui"


def command_line(connection_args: Sequence[str], *command: str) -> str:
    """A command of this tool that works when copied, quoted for a shell, as harmless text.

    >>> command_line(("-c", "-p", "7000"), "restore", "my backup")
    "redis-oom-tui -c -p 7000 restore 'my backup'"
    """
    return safe_text(shlex.join([PROGRAM, *connection_args, *command]))


_IN_A_SENTENCE = re.compile(f"`({PROGRAM} [^`]*)`")


def with_code(text: str, plain: Callable[[str], str], code: Callable[[str], str]) -> str:
    """`text` with the commands in it, which stand in backticks, as `code` writes them, and the rest as `plain` does.

    >>> with_code("To plan it: `redis-oom-tui cleanup --key a_b`.", str.upper, lambda line: f"<{line}>")
    'TO PLAN IT: <redis-oom-tui cleanup --key a_b>.'
    """
    parts = _IN_A_SENTENCE.split(text)
    return "".join(code(part) if at % 2 else plain(part) for at, part in enumerate(parts) if part)


def database_args(db: int | None) -> tuple[str, ...]:
    """The option that chooses a database."""
    return () if db is None else ("-n", str(db))


def cleanup_line(connection_args: Sequence[str], db: int, *options: str) -> str:
    """A command to copy that plans a cleanup in database `db`.

    >>> cleanup_line(("-p", "7000"), 0, "--orphans", "celery"), cleanup_line(("--profile", "cache"), 0)
    ('redis-oom-tui -p 7000 cleanup --orphans celery', 'redis-oom-tui --profile cache -n 0 cleanup')
    """
    # A URL and a profile may choose another database than the first.
    chosen = database_args(db) if db or {"-u", "--profile"}.intersection(connection_args) else ()
    # In a sentence the command stands in backticks: one in a name is written as the options read it, too.
    return command_line((*connection_args, *chosen), "cleanup", *(option.replace("`", "\\x60") for option in options))


def address_args(address: Address) -> tuple[str, ...]:
    """The options that lead to a server of which nothing but the address is known.

    >>> address_args(Address("cache-1", 7000)), address_args(Address(socket_path="/run/redis"))
    (('-h', 'cache-1', '-p', '7000'), ('-s', '/run/redis'))
    >>> address_args(Address.of_master("orders"))
    ('--sentinel', 'HOST:PORT', '--master', 'orders')
    """
    if address.socket_path is not None:
        return ("-s", address.socket_path)
    if address.master:
        return ("--sentinel", "HOST:PORT", "--master", address.master)
    return ("-h", address.host, "-p", str(address.port))


_COMMANDS = (
    ("(Hogs)", "(`{hogs}`)"),
    ("(Hogs, its details)", "(`{keys}`)"),
    ("(Cleanup)", "(`{cleanup}`)"),
    ("(Limits)", "(`{limits}`)"),
    ("(Triage)", "(`{report}`)"),
    ("such large values (Triage, c)", "such large values (CLIENT LIST)"),
    ("(Triage, c)", "(CLIENT KILL ID n)"),
    ("(Triage, c; ", "(CLIENT LIST; "),
    ("in Cleanup", "with `{cleanup}`"),
    ("in Limits", "with `{limits}`"),
)


def remedy_line(remedy: Remedy | None, connection_args: Sequence[str]) -> str:
    """The command that plans a cleanup of exactly the keys that a finding counts; '' where there is none.

    It plans what the finding advises: keys that are to get a TTL expire, and are not deleted.
    """
    if remedy is None or remedy.pattern is None or remedy.pane != "cleanup":
        return ""
    if remedy.jobs is not None or remedy.orphans_of is not None or remedy.key is not None:
        # Only some keys of the pattern go, or a part of one: the advice has the command.
        return ""
    options = list(pattern_text.cleanup_options(remedy.pattern))
    if not options:
        return ""
    options += ["--no-ttl"] if remedy.ttl is TtlFilter.WITHOUT else []
    for option, seconds in (("--idle-over", remedy.idle_over_seconds), ("--expire", remedy.expire_seconds)):
        options += [] if seconds is None else [option, typed_span(seconds)]
    return cleanup_line(connection_args, remedy.db or 0, *options)


def with_commands(
    step: str, connection_args: Sequence[str], client_id: int | None = None, cleanup: str | None = None
) -> str:
    """A first step or an advice that names commands where the screen has panes; `client_id` is of whom it speaks, and
    `cleanup` the command that stands for the pane of that name, where a closer one is known.

    >>> with_commands("Raise maxmemory in Limits, or cache less.", ("-p", "7000"))
    'Raise maxmemory with `redis-oom-tui -p 7000 limits`, or cache less.'
    """
    lines = {name: command_line(connection_args, name) for name in ("limits", "report")}
    lines["keys"] = command_line(connection_args, "hogs")
    lines["cleanup"] = cleanup or command_line(connection_args, "cleanup", "--free-to", f"{TARGET:.0%}")
    lines["hogs"] = command_line(connection_args, "hogs", "--patterns")
    for pane, command in _COMMANDS:
        step = step.replace(pane, command.format_map(lines))
    return step if client_id is None else step.replace("CLIENT KILL ID n", f"CLIENT KILL ID {client_id}")


def advice_with_commands(finding: Finding, connection_args: Sequence[str]) -> str:
    """What a finding advises, for a reader who has no screen."""
    client_id = finding.remedy.client_id if finding.remedy is not None else None
    plan = remedy_line(finding.remedy, connection_args)
    # A share of the limit is no target for the keys of one finding, nor where no limit is known.
    return with_commands(
        finding.advice, connection_args, client_id, plan or command_line(connection_args, "hogs", "--patterns")
    )
