"""Servers that have less than a server should: renamed commands, users with few rights, proxies that lie or break.

Each is a server at its limit, filled with `PATTERNS`; `reached` gives the command line's words to reach it.
"""

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

import redis

from redis_oom_tui.models.address import Connection
from tests.support.proxy import Faults, lied_to, unknown, wired
from tests.support.servers import RunningServer, started

PATTERNS: Mapping[str, int] = MappingProxyType({"cache:v1": 120, "session": 60, "cart": 20})
KEYS = sum(PATTERNS.values())
USER, PASSWORD = "sre", "night"


@dataclass(frozen=True)
class Imitation:
    """What is missing: `config` in the server's own file, `rights` of the user, `answers` and `faults` of a proxy.

    `flavour` is what answers.
    """

    config: tuple[str, ...] = ()
    rights: str = ""
    answers: Mapping[str, bytes] = field(default_factory=dict)
    faults: Faults | None = None
    flavour: str = "valkey"


def bulk(text: str) -> bytes:
    """`text` as a bulk reply."""
    raw = text.encode()
    return b"$%d\r\n%s\r\n" % (len(raw), raw)


def renamed(*commands: str, flavour: str = "valkey") -> Imitation:
    """A server whose file takes these commands away."""
    return Imitation(config=tuple(f'rename-command {command} ""' for command in commands), flavour=flavour)


def without(*commands: str) -> Imitation:
    """A proxy that knows none of these commands."""
    return Imitation(answers={command: unknown(command.split(" ")[0]) for command in commands})


@contextlib.contextmanager
def standing(imitation: Imitation) -> Iterator[tuple[RunningServer, Connection]]:
    """The server at its limit, and how the product reaches it; gone afterwards."""
    with contextlib.ExitStack() as stack:
        # The limit stands in the file: with CONFIG renamed away, nobody could set it.
        lines = ("maxmemory 3mb", *imitation.config)
        server = stack.enter_context(started(imitation.flavour, *lines))
        with server.client() as admin:
            fill(admin)
            if imitation.rights:
                rules = imitation.rights.split()
                admin.execute_command("ACL", "SETUSER", USER, "on", f">{PASSWORD}", *rules)
        connection = server.connection
        if imitation.answers:
            connection = stack.enter_context(lied_to(connection, imitation.answers)).connection
        if imitation.faults is not None:
            wire = stack.enter_context(wired(connection))
            wire.faults = imitation.faults
            connection = wire.connection
        yield server, connection


def fill(admin: redis.Redis) -> None:
    """The patterns, and queues that take it well over the limit: buffers that come and go make no difference."""
    for pattern, keys in PATTERNS.items():
        for number in range(keys):
            admin.set(f"{pattern}:{number}", b"v" * 4000, ex=90_000 if pattern == "session" else None)
    memory = admin.info("memory")
    piece = (1.15 * memory["maxmemory"] - memory["used_memory"]) // 3
    # What a script writes is not held against the limit before it ends.
    script = "for _, key in ipairs(KEYS) do redis.call('RPUSH', key, string.rep('j', tonumber(ARGV[1]))) end"
    admin.eval(script, 3, "queue:0", "queue:1", "queue:2", int(piece))
    with contextlib.suppress(redis.exceptions.OutOfMemoryError):
        admin.set("refused", "x")
        raise AssertionError("the limit was not passed")


def reached(imitation: Imitation, connection: Connection) -> list[str]:
    """The words of the command line that lead there."""
    where = connection.address
    words = ["-s", where.socket_path] if where.socket_path else ["-h", where.host, "-p", str(where.port)]
    return [*words, *(["--user", USER, "-a", PASSWORD] if imitation.rights else [])]


# What Azure Cache for Redis up to 6.0 refuses as unknown, by its documentation.
_NOT_ON_AZURE = ("BGREWRITEAOF", "BGSAVE", "CONFIG", "DEBUG", "MIGRATE", "SAVE", "SHUTDOWN", "SLAVEOF", "REPLICAOF")
_NO_SCRIPTS = b"-NOPERM this user has no permissions to run the 'eval' command\r\n"
_WITHOUT_MEMORY = "# Server\r\nredis_version:7.0.0\r\n\r\n# Keyspace\r\ndb0:keys=203,expires=60,avg_ttl=0\r\n"

IMITATIONS: Mapping[str, Imitation] = MappingProxyType(
    {
        "CONFIG renamed away": renamed("CONFIG"),
        "Azure Cache for Redis": renamed(*_NOT_ON_AZURE, flavour="redis6"),
        "CONFIG SET answers OK and does nothing": Imitation(answers={"CONFIG SET": b"+OK\r\n"}),
        "CONFIG GET answers nothing": Imitation(answers={"CONFIG GET": b"*0\r\n", "CONFIG SET": unknown("CONFIG")}),
        "no CLIENT": without("CLIENT"),
        "no MEMORY": without("MEMORY"),
        "no SCAN": without("SCAN"),
        "no OBJECT": without("OBJECT"),
        "no TYPE and PTTL": without("TYPE", "PTTL"),
        "no INFO": without("INFO"),
        "INFO without memory": Imitation(answers={"INFO": bulk(_WITHOUT_MEMORY)}),
        "INFO empty": Imitation(answers={"INFO": bulk("")}),
        "no scripts": Imitation(answers={"EVAL": _NO_SCRIPTS, "EVALSHA": _NO_SCRIPTS, "SCRIPT": _NO_SCRIPTS}),
        "UNLINK renamed away": renamed("UNLINK"),
        "DUMP and RESTORE renamed away": renamed("DUMP", "RESTORE"),
        "no ACL, HELLO, COMMAND, LATENCY": without("ACL", "HELLO", "COMMAND", "LATENCY", "SLOWLOG", "CLUSTER"),
        "a user of INFO alone": Imitation(rights="+info"),
        "a user of nothing": Imitation(rights="-@all"),
        "a user of some keys": Imitation(rights="~cache:* +@all"),
        "a user who reads": Imitation(rights="~* +@read +info"),
        "a user without the dangerous": Imitation(rights="~* +@all -@dangerous"),
        "replies cut short": Imitation(faults=Faults(cut_after=3000)),
        "another protocol": Imitation(faults=Faults(garbage=b"HTTP/1.1 502 Bad Gateway\r\n\r\n")),
        "noise": Imitation(faults=Faults(garbage=bytes(range(256)))),
        "silence": Imitation(faults=Faults(silent=True)),
        "resets": Imitation(faults=Faults(reset=True)),
    }
)
"""Services, proxies and users, by what is wrong with them."""
