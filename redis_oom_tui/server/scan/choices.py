"""What to ask of each key on this server, how its databases may be walked, and what is done where INFO is refused."""

from collections.abc import Iterable, Mapping

from msgspec import Struct
from redis import exceptions

from redis_oom_tui.models.address import Connection
from redis_oom_tui.models.capabilities import Capabilities, Feature
from redis_oom_tui.models.scan import ScanOptions
from redis_oom_tui.models.snapshot import Server
from redis_oom_tui.rules.flavours import FLAVOURS
from redis_oom_tui.server.client import make_client
from redis_oom_tui.server.decode import page
from redis_oom_tui.server.decode import whole as integer
from redis_oom_tui.server.scan.connection import ScanConnection
from redis_oom_tui.server.scan.cursor_ranges import CursorRange, counts_in_reversed_bits, divided, whole
from redis_oom_tui.server.scan.packing import KeyQuestion, Walker

_ASKED = (
    (Feature.MEMORY_USAGE, KeyQuestion.SIZE, "sizes"),
    (Feature.TYPE, KeyQuestion.TYPE, "types"),
    (Feature.TTL, KeyQuestion.TTL, "TTLs"),
)
# Since then, in cluster mode, SCAN goes slot by slot.
_BY_SLOT_SINCE = (7, 4)
_FIRST_PAGE = 50


class Choice(Struct, frozen=True):
    """The columns asked of each key, the evidence that this server keeps of a key's use, and what is left out."""

    columns: tuple[KeyQuestion, ...]
    evidence: KeyQuestion | None
    notes: tuple[str, ...]


def choose(known: Capabilities, options: ScanOptions, policy: str, role: str = "master") -> Choice:
    """What can be asked here; `notes` are sentences on what cannot."""
    columns = []
    notes = []
    for feature, column, what in _ASKED:
        why = known.why_not(feature)
        if why is None:
            columns.append(column)
        else:
            notes.append(f"{what} are unknown here: {why}")
    lfu = policy.endswith("lfu")
    evidence: KeyQuestion | None = KeyQuestion.FREQUENCY if lfu else KeyQuestion.IDLE
    why = known.why_not(Feature.OBJECT_FREQ if lfu else Feature.OBJECT_IDLETIME)
    if why is not None:
        evidence = None
        notes.append(f"{'frequencies' if lfu else 'idle times'} are unknown here: {why}")
    if options.idle and evidence is not None:
        columns.append(evidence)
    if role == "replica":
        notes.append("this is a replica: it hides expired keys without freeing them")
        if options.idle and evidence is not None:
            notes.append("a replica knows nothing of reads on its master: a key that is idle here may be in use there")
    return Choice(tuple(columns), evidence, tuple(notes))


def version_of(server: Server) -> tuple[int, int]:
    """Major and minor; (0, 0) where the version is not two numbers.

    >>> from redis_oom_tui.models.address import Address
    >>> version_of(Server("redis", "7.0.15", "master", Address()))
    (7, 0)
    """
    parts = server.version.split(".")[:2]
    return (int(parts[0]), int(parts[1])) if len(parts) == 2 and all(part.isdigit() for part in parts) else (0, 0)


def fair(server: Server) -> bool:
    """Whether SCAN goes in the order of the hash, so that a part of it is a fair sample of all keys."""
    return server.mode != "cluster" or version_of(server) < _BY_SLOT_SINCE


def divisible(server: Server) -> bool:
    """Whether the cursor space may be walked in several parts: on the servers it was tried on, and not in a cluster."""
    flavour = FLAVOURS.get(server.flavour)
    if flavour is None or server.mode != "standalone":
        return False
    first, unknown = flavour.reversed_cursor
    return first <= version_of(server) < unknown


async def parted(connection: Connection, db: int, keys: int) -> list[CursorRange]:
    """The walks for a database of `keys` (0: not to be divided). One page is read first, to see how the cursor counts.

    Raises redis-py's errors.
    """
    walks = divided(db, keys)
    if len(walks) == 1:
        return walks
    lane = ScanConnection(connection, db, Walker())
    try:
        await lane.open()
        answer = (await lane.ask(Walker().packed(0, _FIRST_PAGE), 1))[0]
    finally:
        await lane.close()
    if isinstance(answer, Exception) or not counts_in_reversed_bits(page(answer)[0], _FIRST_PAGE, keys):
        return whole(db)
    return walks


# As many as servers have unless told otherwise; further ones can be named.
_DATABASES = range(16)


async def keys_held(connection: Connection, databases: Iterable[int] | None) -> Mapping[int, int]:
    """Keys by database, of those that hold any; of `databases`, where they are named. Raises redis-py's errors."""
    held: dict[int, int] = {}
    for db in _DATABASES if databases is None else databases:
        client = make_client(connection, db=db)
        try:
            keys = integer(await client.execute_command("DBSIZE"))
        except exceptions.ConnectionError:
            # Databases are numbered without a gap: the first that is not there was the last to ask.
            if not held and db == 0:
                raise
            break
        except exceptions.ResponseError:
            if db == 0 or databases is not None:
                raise
            break
        finally:
            await client.aclose()
        if keys or databases is not None:
            held[db] = keys
    return held


def note(refusal: Exception) -> str:
    """What the figures of such a scan leave out."""
    return f"{refusal}: so shares of used memory, idle times and what the scan costs are not told"
