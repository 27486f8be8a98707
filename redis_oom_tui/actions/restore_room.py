"""Whether a server has room for the next records of a backup, and which of them need none."""

from collections.abc import Sequence

from redis_oom_tui.files.backup_lines import Record
from redis_oom_tui.formatting.sizes import percent, percent_beside, size
from redis_oom_tui.models.errors import OutOfMemory, ServerBusy
from redis_oom_tui.models.snapshot import Snapshot
from redis_oom_tui.rules.policies import NOEVICTION
from redis_oom_tui.rules.restoring import FILLED_TO, number_restored, restored_size, table_growth
from redis_oom_tui.server.mutations.connections import ExclusiveConnection

# Where no size was told: a large hash took 61 to 77 MB in memory and 24.6 MB in its DUMP.
_SWELLS = 3
_BUFFERS = 64 * 1024  # what the connections of a restore take: query and reply buffers of a few clients
_ELEMENT_MORE = 64  # bytes that an element takes beside its own


def must_have_room(snapshot: Snapshot, batch: Sequence[Record], operation: str, address: object) -> None:
    """Raise OutOfMemory before these, of a backup of `operation`, would bring the server to its limit again."""
    memory = snapshot.memory
    needed = _needed(snapshot, batch)
    if memory.maxmemory_bytes is None or memory.counted_bytes is None or not needed:
        return
    # While they arrive, the payloads lie in the query buffer as well, and that counts.
    arriving = sum(len(record.payload or b"") for record in batch) + _BUFFERS
    if memory.counted_bytes + needed + arriving <= FILLED_TO * memory.maxmemory_bytes:
        return
    pressure = memory.pressure or 0
    after = (memory.counted_bytes + needed + arriving) / memory.maxmemory_bytes
    now, then = (percent_beside(share, (FILLED_TO,)) for share in (pressure, after))
    keys = number_restored(operation, len(batch))
    full = (
        f"The next {keys} may need up to {size(needed + arriving)} while they arrive, which would take the server"
        f" from {now} to {then} of maxmemory: {percent(FILLED_TO)} or more is close to the limit"
    )
    if pressure >= 1:
        full = f"{address} is over maxmemory"
    elif pressure >= FILLED_TO:
        full = f"{address} is at {percent(pressure)} of maxmemory already, close to the limit"
    then = "would refuse writes" if memory.policy == NOEVICTION else "would evict other keys for them"
    raise OutOfMemory(f"{full}, where {memory.policy} {then}")


async def standing(channel: ExclusiveConnection, batch: Sequence[Record]) -> set[int]:
    """The positions of those whose key, or any key of whose job, exists: nothing of them is put back, whatever its
    value. Elements are not looked for. Raises ServerBusy, and ServerUnreachable where replies were lost.
    """
    names = [
        (at, name)
        for at, record in enumerate(batch)
        for name in ([key[0] for key in record.job.keys] if record.job else [record.key] if record.payload else [])
    ]
    replies = await channel.call([("EXISTS", name) for _, name in names])
    for reply in replies:
        if isinstance(reply, ServerBusy):
            raise reply
    return {at for (at, _), reply in zip(names, replies, strict=True) if reply == 1}


def _needed(snapshot: Snapshot, batch: Sequence[Record]) -> int:
    """What the keys of a batch take, with their places in the server's tables; nothing where none has a value."""
    elements = sum(sum(map(len, record.element)) + _ELEMENT_MORE for record in batch if record.element)
    elements += sum(_SWELLS * len(key[2]) + _ELEMENT_MORE for record in batch if record.job for key in record.job.keys)
    held = [record for record in batch if record.payload]
    if not held:
        return elements
    expiring = sum(1 for record in held if record.expires_ms is not None)
    sizes = sum(
        restored_size(
            record.type,
            max(record.size or _SWELLS * len(record.payload or b""), len(record.payload or b"")),
            expires=record.expires_ms is not None,
        )
        for record in held
    )
    return sizes + table_growth(snapshot.keys, len(held)) + table_growth(snapshot.expires, expiring)
