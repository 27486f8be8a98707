"""Keys of an application that none of its own lists names any more, such as reply queues without a binding."""

from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import NamedTuple

from redis_oom_tui.actions.context import patiently
from redis_oom_tui.actions.deployment import Deployment, Place
from redis_oom_tui.actions.shrink_planning import each_page
from redis_oom_tui.models.application import Application, Orphans
from redis_oom_tui.models.capabilities import Feature
from redis_oom_tui.models.errors import BadInput
from redis_oom_tui.models.keys import KeyId
from redis_oom_tui.rules import finished
from redis_oom_tui.server.call_throttle import CallThrottle
from redis_oom_tui.server.latency_monitor import throttled
from redis_oom_tui.server.mutations import finished as lists
from redis_oom_tui.server.mutations.connections import ExclusiveConnection, SearchConnection
from redis_oom_tui.server.tasks import together


class _Reader(NamedTuple):
    """A node that is read."""

    channel: ExclusiveConnection
    throttle: CallThrottle


async def orphans_of(deployment: Deployment, name: str, db: int) -> tuple[KeyId, ...]:
    """The keys of an application in a database that its own lists name no more, on any node.

    Raises BadInput where nothing is known of orphans of it, or nothing is here that would name the others; another of
    `models.errors` where one node cannot be read, as its lists might name keys of every other.
    """
    application = finished.application_called(name, with_orphans=True)
    await deployment.refresh()
    if not deployment.serves_all_slots:
        raise BadInput("No node serves some slots: a list there may name keys, so which are orphans is not known")
    found: set[bytes] = set()
    async with AsyncExitStack() as stack:
        readers = [await stack.enter_async_context(_reader(deployment, node, db)) for node in deployment.primaries]
        for rule in application.orphans:
            found |= await _of(readers, application, rule)
    return tuple(KeyId(db, key) for key in sorted(found))


@asynccontextmanager
async def _reader(deployment: Deployment, node: str, db: int) -> AsyncIterator[_Reader]:
    server, rights = deployment.node(Place(node))
    known, snapshot = await patiently(server, rights.learn), await patiently(server, server.snapshot)
    changing = not known.has(Feature.NO_TOUCH) and not server.connection.read_only
    async with (
        throttled(server, scanning=True, probe=ExclusiveConnection(server)) as throttle,
        SearchConnection(server, db, snapshot.server.run_id, lambda: throttle.stopping, changing=changing) as channel,
    ):
        yield _Reader(channel, throttle)


async def _of(readers: Sequence[_Reader], application: Application, rule: Orphans) -> set[bytes]:
    # Before the lists: a key that is made meanwhile is named before it is there, and must not look like an orphan.
    keys = {key for names in await _on_all(readers, application, rule.keys) for key in names}
    indexes = dict[bytes, tuple[_Reader, bytes]]()
    # A list that moves to a node that was read already is missed by one look; the second begins when all have moved.
    for _ in range(min(2, len(readers))):
        for reader, names in zip(readers, await _on_all(readers, application, rule.index), strict=True):
            indexes |= {index: (reader, prefix) for index, prefix in names.items()}
    if keys and not indexes:
        kind = application.kind(rule.index)
        raise BadInput(f"No {kind.id} of {application.name} is here: so its orphans are not known")
    named: set[bytes | None] = set()
    for index, (reader, prefix) in indexes.items():
        (kind_of,) = await lists.types_of(reader.channel, [index])
        async for page in each_page(reader.throttle, lists.members(reader.channel, index, kind_of)):
            for member, _ in page:
                named.add(finished.named_by(rule, member, prefix))
    return {key for key in keys if key not in named}


async def _on_all(readers: Sequence[_Reader], application: Application, kind_id: str) -> list[dict[bytes, bytes]]:
    return await together(_names(reader, application, kind_id) for reader in readers)


async def _names(reader: _Reader, application: Application, kind_id: str) -> dict[bytes, bytes]:
    """The keys of one kind on a node, each with the prefix before its name."""
    kind, found = application.kind(kind_id), dict[bytes, bytes]()
    for glob in finished.globs(kind):
        for type_ in kind.types or (None,):
            async for page in each_page(reader.throttle, lists.keys_like(reader.channel, glob, type_)):
                for name in page:
                    place = finished.placed(kind, name)
                    if place is not None:
                        found[name] = place.get("prefix", b"")
    return found
