"""What the configuration file says: profiles, thresholds, hooks, plans and the emergency cleanup.

Lengths of time are in seconds, sizes in bytes, thresholds are shares of maxmemory.
"""

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType

from msgspec import Struct, field

from redis_oom_tui.models.address import Address, Sentinel, Tls
from redis_oom_tui.models.alert import EventKind
from redis_oom_tui.models.plan import Criteria, Operation
from redis_oom_tui.models.structs import StructWithSecrets
from redis_oom_tui.models.verdict import Thresholds


class SecretKind(StrEnum):
    """Where a secret is kept: in the file itself, or by name in a better place."""

    LITERAL = "literal"
    ENVIRONMENT = "env"
    FILE = "file"
    COMMAND = "command"


class SecretSource(StructWithSecrets, frozen=True):
    """A secret not yet fetched. `place` is a variable's name, a path or a command; a literal one is not in the repr."""

    SECRET_FIELDS = frozenset({"place"})

    kind: SecretKind
    place: str


class WebhookFormat(StrEnum):
    """The body that a webhook is sent: the event as JSON, or the `text` that Slack-compatible receivers take."""

    JSON = "json"
    SLACK = "slack"


class HookSettings(Struct, frozen=True):
    """Who is told of an event, and how patiently.

    `command` is an argv, or one line for /bin/sh where `shell`. `min_gap_seconds` is the least time between two
    deliveries by the same hook once `burst` of them were free; events wait for their turn, they are not lost. `events`
    are the kinds that are delivered.
    """

    command: tuple[str, ...] = ()
    shell: bool = False
    webhook: SecretSource | None = None
    webhook_format: WebhookFormat = WebhookFormat.JSON
    timeout_seconds: float = 10.0
    retries: int = 3
    burst: int = 10
    min_gap_seconds: float = 10.0
    events: tuple[EventKind, ...] = tuple(kind for kind in EventKind if kind is not EventKind.RESTARTED)


class WatchSettings(Struct, frozen=True):
    """When an alert begins and ends.

    A level begins after `hold_seconds` without a break at or above its threshold, and ends after as long below it by
    `hysteresis` or more. Refused writes need no holding. `quiet_seconds` without a refusal end an OOM. `scan_seconds`
    is the time between two scans beside the watch; None for none.
    """

    thresholds: Thresholds = field(default_factory=Thresholds)
    interval_seconds: float = 5.0
    hysteresis: float = 0.03
    hold_seconds: float = 10.0
    quiet_seconds: float = 30.0
    lost_seconds: float = 15.0
    bell: bool = False
    scan_seconds: float | None = None


class NamedPlan(Struct, frozen=True):
    """A cleanup by name: what it looks for, and whether it deletes or spreads expiry over `expire_seconds`."""

    name: str
    criteria: Criteria
    deed: Operation = Operation.DELETE
    expire_seconds: int | None = None


class Emergency(Struct, frozen=True):
    """The half of the armed cleanup that the file gives; the other is `watch --on-critical` with the same plan.

    The cleanup runs once the state has been critical for `after_seconds`, again no sooner than `cooldown_seconds` after
    it ended, and never takes more than these keys and bytes per run and in any hour. `trust_idle` is the operator's
    word that the policy was no *-lfu one since the server started: without it, no plan that goes by idle times runs.
    """

    plan: str | None = None
    armed: bool = False
    after_seconds: float = 60.0
    cooldown_seconds: float = 300.0
    max_keys: int = 10_000
    max_bytes: int = 256 * 1024**2
    max_keys_per_hour: int = 50_000
    max_bytes_per_hour: int = 1024**3
    backup: bool = True
    trust_idle: bool = False


class Colour(StrEnum):
    """What marks a profile on the screen."""

    RED = "red"
    YELLOW = "yellow"
    GREEN = "green"
    BLUE = "blue"
    MAGENTA = "magenta"
    CYAN = "cyan"


class Profile(Struct, frozen=True):
    """A server by name, and how to treat it. `production` asks for a warning that cannot be overlooked.

    `limit_bytes` is the operator's word for the maxmemory of a server that does not report one.
    """

    name: str
    address: Address = field(default_factory=Address)
    username: str | None = None
    password: SecretSource | None = None
    db: int | None = None
    tls: Tls | None = None
    cluster: bool = False
    sentinel: Sentinel | None = None
    sentinel_password: SecretSource | None = None
    read_only: bool = False
    production: bool = False
    limit_bytes: int | None = None
    colour: Colour | None = None
    connect_timeout_seconds: float = 3.0
    read_timeout_seconds: float = 3.0
    watch: WatchSettings = field(default_factory=WatchSettings)
    hooks: HookSettings = field(default_factory=HookSettings)
    emergency: Emergency = field(default_factory=Emergency)


class Settings(Struct, frozen=True):
    """The whole file: what holds without a profile, the profiles and the plans by name, the keys by binding id."""

    watch: WatchSettings = field(default_factory=WatchSettings)
    hooks: HookSettings = field(default_factory=HookSettings)
    emergency: Emergency = field(default_factory=Emergency)
    profiles: Mapping[str, Profile] = field(default_factory=lambda: MappingProxyType({}))
    plans: Mapping[str, NamedPlan] = field(default_factory=lambda: MappingProxyType({}))
    default_profile: str | None = None
    keys: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
