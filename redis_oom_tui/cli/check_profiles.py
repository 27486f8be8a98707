"""`check` of several profiles: all asked at the same time, one line each, the worst first."""

import importlib
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from msgspec import Struct

from redis_oom_tui.cli import check_answer
from redis_oom_tui.cli.check_answer import Answer
from redis_oom_tui.cli.context import Invocation
from redis_oom_tui.formatting import SCHEMA
from redis_oom_tui.formatting.check import check_document
from redis_oom_tui.formatting.sanitize import safe_text
from redis_oom_tui.formatting.server import count_levels
from redis_oom_tui.models.address import Address
from redis_oom_tui.models.errors import TriageError
from redis_oom_tui.models.structs import replace
from redis_oom_tui.models.verdict import WORST_FIRST, Verdict
from redis_oom_tui.rules.cluster import SameServer, profiles_of_servers, same_servers
from redis_oom_tui.rules.verdict import unknown
from redis_oom_tui.server.preflight import Preflight

if TYPE_CHECKING:
    from redis_oom_tui.formatting.documents.check import CheckAllDocument, CheckDocument

# Each waits for its server most of the time.
_AT_ONCE = 64
_GAP_SECONDS = 0.1
# What the threads would load. Python may give a thread a module that another has not loaded to its end.
_LOADED_BEFORE = (
    *("info_reader", "server_logs", "open_source", "replies", "values"),
    *("cluster.source", "scan.keyspace"),
)


class CheckedProfile(Struct, frozen=True):
    """A profile with its verdict; without an answer the verdict says why there is none.

    `same_as` tells which other profiles lead to its server.
    """

    name: str
    address: Address
    verdict: Verdict
    answer: Answer | None = None
    same_as: SameServer = SameServer()


def checked(invocation: Invocation, names: Sequence[str]) -> list[CheckedProfile]:
    """All of them, the worst first. It takes as long as the slowest, which its own timeouts bound."""
    for module in _LOADED_BEFORE:
        importlib.import_module(f"redis_oom_tui.server.{module}")
    with ThreadPoolExecutor(min(_AT_ONCE, len(names))) as pool:
        found = list(pool.map(lambda name: _checked(invocation, name), names))
    same = same_servers({each.name: each.answer.snapshot for each in found if each.answer is not None})
    found = [replace(each, same_as=same.get(each.name, each.same_as)) for each in found]
    return worst_first(found)


def worst_first(found: Sequence[CheckedProfile]) -> list[CheckedProfile]:
    """By level, pressure and name. A pressure is rounded: a few keys must not change places."""

    def rank(each: CheckedProfile) -> tuple[int, float, str]:
        return WORST_FIRST.index(each.verdict.level), -round(_pressure(each), 2), each.name

    return sorted(found, key=rank)


def _checked(invocation: Invocation, name: str) -> CheckedProfile:
    address = invocation.configuration.profile(name).address
    try:
        there = invocation.on_profile(name)
        suits = Preflight.suits(there.connection)
        preflight = Preflight(there.connection, again_after=_GAP_SECONDS) if suits else None
        answer = check_answer.examined(there, preflight, gap=_GAP_SECONDS)
    except TriageError as error:
        return CheckedProfile(name, address, unknown(str(error)))
    return CheckedProfile(name, address, answer.verdict, answer)


def _pressure(each: CheckedProfile) -> float:
    return (each.answer and each.answer.snapshot.memory.pressure) or 0.0


def lines(found: Sequence[CheckedProfile]) -> list[str]:
    """How many there are of each level, and a line for each."""
    width = min(32, max(len(safe_text(each.name)) for each in found))
    rows = (
        f"{each.verdict.level.value.upper():<8}  {safe_text(each.name, width):<{width}}"
        f"  {' '.join(filter(None, (each.verdict.reason, each.same_as.words)))}"
        for each in found
    )
    many = profiles_of_servers([(each.name, each.same_as) for each in found])
    return [f"{many}: {count_levels([each.verdict.level for each in found])}", *rows]


def document(found: Sequence[CheckedProfile]) -> "CheckAllDocument":
    """One document of all: the worst verdict, and what `check --json` says of each."""
    return {
        "schema": SCHEMA,
        "verdict": found[0].verdict.level.value,
        "profiles": [
            {"profile": each.name, "same_server_as": list(each.same_as.profiles), "check": _document(each)}
            for each in found
        ],
    }


def _document(each: CheckedProfile) -> "CheckDocument":
    if each.answer is not None:
        return check_answer.document(each.answer)
    return check_document(each.verdict, each.address)
