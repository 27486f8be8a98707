"""Who is where: a server and how to get in, a node of a cluster, and the clients that are connected."""

from pathlib import Path
from typing import Literal

from msgspec import Struct, field

from redis_oom_tui.models import timeouts


class Secret:
    """A string that no repr, traceback or log line gives away.

    >>> Secret("hunter2")
    Secret(***)
    >>> Secret("hunter2").reveal()
    'hunter2'
    """

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        """The string itself, for the moment in which it is sent."""
        return self._value

    def __repr__(self) -> str:
        return "Secret(***)"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other._value == self._value

    def __hash__(self) -> int:
        return hash(self._value)


_MASTER = "master "


class Address(Struct, frozen=True):
    """A TCP endpoint, or a unix socket when `socket_path` is set.

    >>> str(Address())
    '127.0.0.1:6379'
    >>> str(Address("::1", 7000))
    '[::1]:7000'
    >>> str(Address(socket_path="/run/redis.sock"))
    'unix:/run/redis.sock'
    >>> str(Address.of_master("orders"))
    'master orders'
    """

    host: str = "127.0.0.1"
    port: int = 6379
    socket_path: str | None = None

    @classmethod
    def of_master(cls, name: str) -> "Address":
        """Stands for the address that the Sentinels of this master were not asked for yet: no port is 0."""
        return cls(f"{_MASTER}{name}", 0)

    @property
    def master(self) -> str:
        """The master whose address it stands for, '' for an address."""
        return "" if self.port or self.socket_path is not None else self.host.removeprefix(_MASTER)

    def __str__(self) -> str:
        if self.socket_path is not None:
            return f"unix:{self.socket_path}"
        if self.master:
            return self.host
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"


class Tls(Struct, frozen=True):
    """How to speak TLS: files as redis-cli takes them; `verify=False` is `--insecure`."""

    ca_file: Path | None = None
    cert_file: Path | None = None
    key_file: Path | None = None
    server_name: str | None = None
    verify: bool = True


class Sentinel(Struct, frozen=True):
    """Sentinels to ask for the master called `master`; their user and password are their own, not the data's.

    `tls` is how to speak to them: as to the data where it is None, without TLS where it is False.
    """

    addresses: tuple[Address, ...]
    master: str
    username: str | None = None
    password: Secret | None = None
    tls: Tls | Literal[False] | None = None

    def tls_beside(self, data: Tls | None) -> Tls | None:
        """How to speak TLS to them where `data` is how to speak it to the servers; None for not at all."""
        return data if self.tls is None else self.tls or None


class Connection(Struct, frozen=True):
    """Everything that `store` needs to reach a server. Times are in seconds.

    `db` is None where all databases are meant, as they are for a scan without `-n`. `replica_reads` says READONLY to a
    replica of a cluster, which would else send every question about a key to its primary. `asking` says ASKING right
    before each command, to a node that takes over slots: it then answers for those of their keys that it has already.
    `stated_limit_bytes` is the operator's word for the maxmemory of a server that does not report one.
    """

    address: Address = field(default_factory=Address)
    username: str | None = None
    password: Secret | None = None
    db: int | None = None
    tls: Tls | None = None
    cluster: bool = False
    sentinel: Sentinel | None = None
    read_only: bool = False
    replica_reads: bool = False
    asking: bool = False
    stated_limit_bytes: int | None = None
    connect_timeout_seconds: float = timeouts.CONNECT
    read_timeout_seconds: float = timeouts.SILENCE


class ClusterNode(Struct, frozen=True):
    """A node as the cluster itself lists it; `name` is its address.

    `primary` is the name of the node that it copies, its own for a primary. `ranges` are the slots that it serves,
    both ends included. `failed` is the cluster's own opinion.
    """

    name: str
    id: str
    address: Address
    primary: str
    ranges: tuple[tuple[int, int], ...] = ()
    failed: bool = False

    @property
    def is_primary(self) -> bool:
        """Whether it is no copy of another."""
        return self.primary == self.name

    @property
    def serves(self) -> bool:
        """Whether keys are written here: a primary with slots. One that failed over keeps its name, not its slots."""
        return self.is_primary and bool(self.ranges)

    @property
    def slots(self) -> int:
        """How many slots it serves."""
        return sum(last - first + 1 for first, last in self.ranges)


class SlotStats(Struct, frozen=True):
    """A slot of a cluster by the server's own count; `memory_bytes` is None where the server counts only keys."""

    slot: int
    keys: int
    memory_bytes: int | None = None


class MovingSlot(Struct, frozen=True):
    """A slot that is marked as on its way from the node called `source` to the one called `target`, of that id.

    `left_keys` are those still on the first, `arrived_keys` those on the second. None for what is not told.
    """

    slot: int
    source: str | None
    target: str | None
    target_id: str | None = None
    left_keys: int | None = None
    arrived_keys: int | None = None


class ClientBuffer(Struct, frozen=True):
    """A line of CLIENT LIST: who holds how much outside the data. Sizes in bytes, ages in seconds.

    `node` names the server that it is connected to, in a cluster. `queued_bytes` are commands behind a MULTI, and
    `queued_commands` how many; `unread` says that a reply waits to be read.
    """

    id: int
    address: str
    name: bytes = b""
    library: bytes = b""
    user: bytes = b""
    command: bytes = b""
    flags: str = ""
    total_bytes: int = 0
    output_bytes: int = 0
    query_bytes: int = 0
    queued_bytes: int = 0
    queued_commands: int = 0
    unread: bool = False
    age_seconds: int = 0
    idle_seconds: int = 0
    subscriptions: int = 0
    node: str = ""


class LargeCommand(Struct, frozen=True):
    """A command that brought much to a server, as its logs tell: `size` in bytes, `at` in Unix seconds.

    Of its arguments only the key is kept: the others may be values. `node` names the server, in a cluster.
    """

    command: bytes
    key: bytes
    size: int
    at: float
    address: str = ""
    name: bytes = b""
    node: str = ""
