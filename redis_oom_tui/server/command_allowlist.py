"""Every command that the tool may send, in one place: what is not listed here cannot leave it.

The allowlist stands in the connection itself (`client.py`), below redis-py's own commands and pipelines.
"""

from collections.abc import Sequence

from redis_oom_tui.models.errors import NotAllowed, ReadOnlyMode

# Commands whose second word decides what they do.
_CONTAINERS = frozenset(
    {
        *("ACL", "CLIENT", "CLUSTER", "COMMANDLOG", "CONFIG", "HOTKEYS", "LATENCY"),
        *("MEMORY", "OBJECT", "SCRIPT", "SENTINEL", "SLOWLOG", "XINFO"),
    }
)

READS = frozenset(
    {
        # getting in, and being polite once there
        *("AUTH", "HELLO", "PING", "SELECT", "READONLY", "READWRITE"),
        *("CLIENT SETNAME", "CLIENT SETINFO", "CLIENT NO-EVICT", "CLIENT NO-TOUCH"),
        # holds for one command, and lets it see keys that this node has of a slot not yet its own
        "ASKING",
        # how the server is
        *("INFO", "TIME", "DBSIZE", "ROLE", "COMMAND", "ACL DRYRUN", "ACL WHOAMI", "CLIENT ID", "CLIENT LIST"),
        *("CONFIG GET", "MEMORY STATS", "LATENCY LATEST", "COMMANDLOG GET", "SLOWLOG GET", "SLOWLOG LEN"),
        # of a tracking that somebody else has started
        "HOTKEYS GET",
        *("CLUSTER INFO", "CLUSTER NODES", "CLUSTER SHARDS", "CLUSTER SLOTS", "CLUSTER MYID"),
        *("CLUSTER COUNTKEYSINSLOT", "CLUSTER SLOT-STATS"),
        *("SENTINEL GET-MASTER-ADDR-BY-NAME", "SENTINEL MASTER", "SENTINEL MASTERS"),
        *("SENTINEL SENTINELS", "SENTINEL SLAVES", "SENTINEL REPLICAS"),
        # how its keys are; none of these touches LRU or LFU evidence
        *("SCAN", "TYPE", "TTL", "PTTL", "EXISTS", "MEMORY USAGE"),
        *("OBJECT ENCODING", "OBJECT FREQ", "OBJECT IDLETIME"),
    }
)
"""What a diagnosis may send: it changes nothing and leaves no trace in idle times or frequencies."""

TOUCHING_READS = frozenset(
    {
        *("DUMP", "OBJECT REFCOUNT", "GETRANGE", "STRLEN", "LLEN", "LRANGE"),
        *("HEXISTS", "HLEN", "HMGET", "HSCAN", "SCARD", "SMISMEMBER", "SSCAN", "ZCARD", "ZCOUNT", "ZRANGE", "ZSCAN"),
        *("XINFO CONSUMERS", "XINFO GROUPS", "XINFO STREAM", "XLEN", "XPENDING", "XRANGE", "XREVRANGE"),
    }
)
"""Reads that reset the idle time of what they read: only where CLIENT NO-TOUCH holds, or on the way to a change.

OBJECT REFCOUNT resets nothing. Only the check before a change asks it, so who just looks needs no right to it.
"""

CHANGES = frozenset(
    {
        *("UNLINK", "PEXPIREAT", "PERSIST", "RESTORE", "EVAL", "EVALSHA", "SCRIPT LOAD"),
        *("CONFIG SET", "CONFIG REWRITE", "CLIENT KILL", "MEMORY PURGE"),
    }
)
"""What a confirmed action may send."""


def command_name(args: Sequence[object]) -> str:
    """The command that `args` would run, in upper case, with its second word where that decides.

    >>> command_name((b"get", b"k")), command_name(("CONFIG GET", "maxmemory")), command_name((b"config", b"set"))
    ('GET', 'CONFIG GET', 'CONFIG SET')
    """
    words = _text(args[0]).upper().split()
    if len(words) == 1 and words[0] in _CONTAINERS and len(args) > 1:
        words.append(_text(args[1]).upper())
    return " ".join(words[:2])


class CommandAllowlist:
    """Lets through what its holder may send. `changing` is a connection opened for a confirmed action."""

    def __init__(self, *, read_only: bool = False, changing: bool = False) -> None:
        self.read_only = read_only
        self.changing = changing

    def admit(self, args: Sequence[object], *, untouched: bool = False) -> None:
        """Return if `args` may be sent; `untouched` says that CLIENT NO-TOUCH holds on the connection.

        Raises ReadOnlyMode for a change under --read-only, NotAllowed for everything else that is not listed.
        """
        name = command_name(args)
        if name in READS or (name in TOUCHING_READS and (untouched or (self.changing and not self.read_only))):
            return
        if name in TOUCHING_READS:
            raise NotAllowed(f"{name} would reset the idle time of the key it reads, and this server has no NO-TOUCH")
        if name not in CHANGES:
            raise NotAllowed(f"{name} is not among the commands that this tool sends")
        if self.read_only:
            raise ReadOnlyMode(f"{name} was not sent: the tool runs with --read-only")
        if not self.changing:
            raise NotAllowed(f"{name} changes the server, and this connection only reads")


def _text(word: object) -> str:
    return word.decode("latin-1") if isinstance(word, bytes) else str(word)
