"""An operator on a real server, with its files in a folder of the test, and hooks at each step of a run."""

import contextlib
import json
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import redis

from redis_oom_tui.actions.context import ActionContext
from redis_oom_tui.actions.deployment import Place, Standalone
from redis_oom_tui.actions.operator import LiveOperator
from redis_oom_tui.actions.run import Run
from redis_oom_tui.files.audit import AuditFile
from redis_oom_tui.models.action import BackupChoice
from redis_oom_tui.models.address import Connection
from redis_oom_tui.models.plan import Criteria, Outcome, Plan
from redis_oom_tui.models.structs import replace
from redis_oom_tui.server.live import LiveServer
from tests.support.waiting import kept_still, until

OLD_SECONDS = 1000
NO_BACKUP = BackupChoice(wanted=False)
ALL = Criteria(patterns=(b"*",))


@contextlib.asynccontextmanager
async def operating(connection: Connection, folder: Path, **options: Any) -> AsyncIterator[LiveOperator]:
    """A connected operator that writes into `folder`."""
    live = LiveServer(connection)
    operator = LiveOperator(Standalone(live), folder=folder, **options)
    try:
        await live.open()
        yield operator
    finally:
        await operator.close()
        await live.close()


def server_of(operator: LiveOperator) -> LiveServer:
    """The server that it acts on, where it is the only one."""
    return operator.deployment.node(Place("")).server


async def planned(operator: LiveOperator, criteria: Criteria, **options: Any) -> Plan:
    """The plan by `criteria`, which must be found whole."""
    view = await operator.plan(criteria, **options).run()
    assert view.error is None, view.error
    assert view.plan is not None
    return view.plan


def fill(client: redis.Redis, names: Iterable[bytes], value: bytes = b"x" * 100, idle: int = OLD_SECONDS) -> None:
    """Copies of the key `model` (a string, where there is none) that were last used `idle` seconds ago."""
    names = list(names)
    # On a node of a cluster, which has no slot for `model`, of the first of them.
    model = b"model" if not client.info("cluster")["cluster_enabled"] else names[0]
    client.set(model, value, nx=True)
    payload = client.dump(model)
    assert isinstance(payload, bytes)
    client.delete(model)
    pipeline = client.pipeline(transaction=False)
    for name in names:
        pipeline.restore(name, 0, payload, replace=True, idletime=idle)
    pipeline.execute()


def fill_to_the_limit(client: redis.Redis) -> None:
    """Set the limit below what is in use, buffers of connections that end later included: writes are refused."""
    client.config_set("maxmemory-policy", "noeviction")
    client.config_set("maxmemory", max(1, settled(client) - 400_000))
    try:
        client.set(b"one more", b"x" * 1000)
    except redis.OutOfMemoryError:
        return
    raise AssertionError("the server is not out of memory")


def settled(client: redis.Redis) -> int:
    """used_memory once nothing waits to be freed and it keeps still: closed connections give buffers back later."""
    until(lambda: not client.info("memory")["lazyfree_pending_objects"], "what was unlinked to be freed")
    return kept_still(lambda: int(client.info("memory")["used_memory"]), 10_000, 0.1)


class SteppedAudit(AuditFile):
    """An audit file that calls `before` and `after` with the number of each batch, before and after it is acted on."""

    before: Callable[[int], None] = staticmethod(lambda number: None)
    after: Callable[[int], None] = staticmethod(lambda number: None)

    def batch(self, action_id: str, number: int, names: Sequence[tuple[int, bytes]]) -> None:
        super().batch(action_id, number, names)
        self.before(number)

    def done(self, action_id: str, number: int, outcomes: Sequence[Any], details: Any) -> None:
        super().done(action_id, number, outcomes, details)
        self.after(number)


async def stepped(
    operator: LiveOperator,
    plan: Plan,
    *,
    before: Callable[[int], None] = lambda number: None,
    after: Callable[[int], None] = lambda number: None,
    backup: BackupChoice = NO_BACKUP,
) -> Run:
    """A run of `plan` that calls `before` and `after` around each of its batches."""
    await operator.learn()
    context: ActionContext = operator._context
    audit = SteppedAudit(context.audit.path, wall=context.wall)
    audit.before, audit.after = before, after
    return Run(replace(context, audit=audit), operator.deployment, plan, backup)


def audited(path: Path) -> tuple[dict[bytes, str], set[bytes]]:
    """What the audit file says of each key, by letter, and the keys of batches whose end was never written."""
    from redis_oom_tui.formatting.sanitize import unescape_exact

    said: dict[bytes, str] = {}
    open_batches: dict[tuple[str, int], list[bytes]] = {}
    for raw in path.read_bytes().splitlines():
        line = json.loads(raw)
        if line["phase"] == "batch":
            open_batches[line["id"], line["batch"]] = [unescape_exact(name) for _, name in line["keys"]]
        elif line["phase"] == "done":
            names = open_batches.pop((line["id"], line["batch"]))
            said.update(zip(names, line["outcomes"], strict=True))
    return said, {name for names in open_batches.values() for name in names}


def names_of(run: Run, outcome: Outcome) -> set[bytes]:
    """The keys that came to `outcome`."""
    return {one.id.key for one in run.outcomes(frozenset({outcome}))}


def calls(client: redis.Redis, *commands: str) -> int:
    """How often any of `commands` was sent to the server, carried out or refused."""
    stats = client.info("commandstats")
    total = 0
    for command in commands:
        found = stats.get(f"cmdstat_{command}", {})
        total += int(found.get("calls", 0)) + int(found.get("rejected_calls", 0))
    return total
