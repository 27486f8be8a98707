"""Keys of an application that none of its own lists names any more, such as reply queues without a binding."""

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
from redis_oom_tui.server.mutations.connections import ExclusiveConnection


async def orphans_of(deployment: Deployment, name: str, db: int) -> tuple[KeyId, ...]:
    """The keys of an application in a database that its own lists name no more.

    Raises BadInput where nothing is known of orphans of it, or nothing is here that would name the others.
    """
    application = finished.application_called(name)
    if not application.orphans:
        raise BadInput(f"Nothing is known of orphans of {application.name}")
    if deployment.clustered:
        raise BadInput("Orphans are searched on one server: connect to one node without -c")
    server, rights = deployment.node(Place(deployment.shown))
    known = await rights.learn()
    changing = not known.has(Feature.NO_TOUCH) and not server.connection.read_only
    channel = ExclusiveConnection(server, db, changing=changing)
    found: set[bytes] = set()
    try:
        async with throttled(server, scanning=True, probe=ExclusiveConnection(server)) as throttle:
            for rule in application.orphans:
                found |= await _of(channel, throttle, application, rule)
    finally:
        await channel.close()
    return tuple(KeyId(db, key) for key in sorted(found))


async def _of(
    channel: ExclusiveConnection, throttle: CallThrottle, application: Application, rule: Orphans
) -> set[bytes]:
    indexes = await _names(channel, throttle, application, rule.index)
    keys = await _names(channel, throttle, application, rule.keys)
    if keys and not indexes:
        kind = application.kind(rule.index)
        raise BadInput(f"No {kind.id} of {application.name} is here: so its orphans are not known")
    named: set[bytes | None] = set()
    for index, prefix in indexes.items():
        (kind_of,) = await lists.types_of(channel, [index])
        async for page in each_page(throttle, lists.members(channel, index, kind_of)):
            for member, _ in page:
                named.add(finished.named_by(rule, member, prefix))
    return {key for key in keys if key not in named}


async def _names(
    channel: ExclusiveConnection, throttle: CallThrottle, application: Application, kind_id: str
) -> dict[bytes, bytes]:
    """The keys of one kind, each with the prefix before its name."""
    kind, found = application.kind(kind_id), dict[bytes, bytes]()
    for glob in finished.globs(kind):
        for type_ in kind.types or (None,):
            async for page in each_page(throttle, lists.keys_like(channel, glob, type_)):
                for name in page:
                    place = finished.placed(kind, name)
                    if place is not None:
                        found[name] = place.get("prefix", b"")
    return found
