"""What the configuration file says (profiles, thresholds, hooks, plans, the emergency cleanup), and screen options.

A field that is a key of the file says so by its annotation, and by `name` where the file calls it otherwise.
Lengths of time are in seconds, sizes in bytes, thresholds are shares of maxmemory.
"""

from collections.abc import Iterator, Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Annotated

from msgspec import Meta, Struct, field

from redis_oom_tui.models.address import Address, Sentinel, Tls
from redis_oom_tui.models.alert import EventKind
from redis_oom_tui.models.plan import Criteria, Operation
from redis_oom_tui.models.structs import StructWithSecrets
from redis_oom_tui.models.verdict import Thresholds


def _whole(low: int, high: int) -> Meta:
    return Meta(ge=low, le=high, description=f"must be a whole number from {low} to {high}")


# How the file writes a value (`title`), where not as it is, and the fault of one that does not fit (`description`).
# A field of a section without one of these is no key of the file.
CHOICE = Meta(title="choice")
TEXT = Meta(min_length=1, pattern=r"^[^\0]*\Z", description="must be a string that is not empty")
Text = Annotated[str, TEXT]
Texts = Annotated[
    tuple[Text, ...],
    Meta(min_length=1, title="texts", description="must be a string, or a list of strings, that is not empty"),
]
Flag = Annotated[bool, Meta(description="must be true or false")]
Seconds = Annotated[
    float, Meta(ge=0, le=366 * 86400, title="seconds", description="must be a length of time from 0 to a year")
]
Size = Annotated[int, Meta(ge=1, title="size", description='must be a size of more than 0, such as "256mb"')]
Percent = Annotated[float, Meta(ge=0, le=100, title="percent", description="must be a percentage from 0 to 100")]
DATABASE = _whole(0, 2**31 - 1)
Databases = Annotated[
    tuple[Annotated[int, DATABASE], ...], Meta(min_length=1, description="must be a list of databases' numbers")
]
Many = Annotated[int, _whole(1, 2**53)]
Port = Annotated[int, _whole(1, 65535)]


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
    shell: Flag = field(default=False, name="exec_shell")
    webhook: SecretSource | None = None
    webhook_format: Annotated[WebhookFormat, CHOICE] = WebhookFormat.JSON
    timeout_seconds: Seconds = field(default=10.0, name="timeout")
    retries: Annotated[int, _whole(0, 10)] = 3
    burst: Annotated[int, _whole(1, 1000)] = 10
    min_gap_seconds: Seconds = field(default=10.0, name="min_gap")
    events: Annotated[tuple[EventKind, ...], CHOICE] = tuple(
        kind for kind in EventKind if kind is not EventKind.RESTARTED
    )


class WatchSettings(Struct, frozen=True):
    """When an alert begins and ends.

    A level begins after `hold_seconds` without a break at or above its threshold, and ends after as long below it by
    `hysteresis` or more. Refused writes need no holding. `quiet_seconds` without a refusal end an OOM. `scan_seconds`
    is the time between two scans beside the watch; None for none.
    """

    thresholds: Thresholds = field(default_factory=Thresholds)
    interval_seconds: Seconds = field(default=5.0, name="interval")
    hysteresis: Percent = 0.03
    hold_seconds: Seconds = field(default=10.0, name="hold")
    quiet_seconds: Seconds = field(default=30.0, name="quiet")
    lost_seconds: Seconds = field(default=15.0, name="lost")
    bell: Flag = False
    scan_seconds: Seconds | None = field(default=None, name="scan_every")


class NamedPlan(Struct, frozen=True):
    """A cleanup by name: what it looks for, and whether it deletes or spreads expiry over `expire_seconds`."""

    name: str
    criteria: Criteria
    operation: Operation = Operation.DELETE
    expire_seconds: int | None = None


class Emergency(Struct, frozen=True):
    """The half of the armed cleanup that the file gives; the other is `watch --on-critical` with the same plan.

    The cleanup runs once the state has been critical for `after_seconds`, again no sooner than `cooldown_seconds` after
    it ended, and never takes more than these keys and bytes per run and in any hour. `trust_idle` is the operator's
    word that the policy was no *-lfu or *-lrm one since the server started: without it, no plan that goes by idle times
    runs.
    """

    plan: Text | None = None
    armed: Flag = False
    after_seconds: Seconds = field(default=60.0, name="after")
    cooldown_seconds: Seconds = field(default=300.0, name="cooldown")
    max_keys: Many = 10_000
    max_bytes: Size = 256 * 1024**2
    max_keys_per_hour: Many = 50_000
    max_bytes_per_hour: Size = 1024**3
    backup: Flag = True
    trust_idle: Flag = False


class Color(StrEnum):
    """What marks a profile on the screen."""

    RED = "red"
    YELLOW = "yellow"
    GREEN = "green"
    BLUE = "blue"
    MAGENTA = "magenta"
    CYAN = "cyan"


class Profile(Struct, frozen=True):
    """A server by name, and how to treat it. `production` asks for a warning that cannot be overlooked.

    `limit_bytes` is the operator's word for the maxmemory of a server that does not report one. `auto_scan`: a large
    screen may scan its keys once by itself, gently. `connection_args` are the words of a command that leads to the same
    server again, for a line to copy; they hold no password, and are no key of the file.
    """

    name: str
    address: Address = field(default_factory=Address)
    username: Text | None = None
    password: SecretSource | None = None
    db: Annotated[int, DATABASE] | None = None
    tls: Tls | None = None
    cluster: Flag = False
    sentinel: Sentinel | None = None
    sentinel_password: SecretSource | None = None
    read_only: Flag = False
    production: Flag = False
    auto_scan: Flag = True
    limit_bytes: Size | None = field(default=None, name="limit")
    color: Annotated[Color, CHOICE] | None = None
    connect_timeout_seconds: Seconds = field(default=3.0, name="connect_timeout")
    read_timeout_seconds: Seconds = field(default=3.0, name="read_timeout")
    watch: WatchSettings = field(default_factory=WatchSettings)
    hooks: HookSettings = field(default_factory=HookSettings)
    emergency: Emergency = field(default_factory=Emergency)
    connection_args: tuple[str, ...] = ()

    @property
    def shown_color(self) -> Color:
        """Its own, or the one of how careful one has to be there."""
        return self.color or (Color.RED if self.production else Color.BLUE)


class Settings(Struct, frozen=True):
    """The whole file: what holds without a profile, the profiles and the plans by name, the keys by binding id."""

    watch: WatchSettings = field(default_factory=WatchSettings)
    hooks: HookSettings = field(default_factory=HookSettings)
    emergency: Emergency = field(default_factory=Emergency)
    profiles: Mapping[str, Profile] = field(default_factory=lambda: MappingProxyType({}))
    plans: Mapping[str, NamedPlan] = field(default_factory=lambda: MappingProxyType({}))
    default_profile: str | None = None
    keys: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))

    def secrets(self) -> Iterator[tuple[tuple[str, ...], SecretSource]]:
        """Every secret that the file names, with the path of its key."""
        named: list[tuple[tuple[str, ...], SecretSource | None]] = [(("hooks", "webhook"), self.hooks.webhook)]
        for name, profile in self.profiles.items():
            path = ("profiles", name)
            named += [
                ((*path, "password"), profile.password),
                ((*path, "sentinel_password"), profile.sentinel_password),
            ]
            # One that is inherited stands in the file once.
            if profile.hooks.webhook != self.hooks.webhook:
                named.append(((*path, "hooks", "webhook"), profile.hooks.webhook))
        return ((path, source) for path, source in named if source is not None)


class ScreenOptions(Struct, frozen=True):
    """How the screen is to be. `color` is None where the terminal and NO_COLOR decide.

    `auto_scan`: a screen with room for patterns may scan once by itself, gently.
    """

    interval_seconds: float = 1.0
    color: bool | None = None
    ascii: bool = False
    mouse: bool = True
    theme: str | None = None
    plain: bool = False
    diff: bool = True
    auto_scan: bool = True
