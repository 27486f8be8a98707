"""The file's tables, each read into its model. What a profile leaves out, the file's own tables give."""

import shlex
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Literal

from msgspec import Struct, field

from redis_oom_tui.files.config.reader import Section
from redis_oom_tui.formatting.sanitize import unescape_exact
from redis_oom_tui.formatting.sizes import plain_number
from redis_oom_tui.models.address import Address, Sentinel, Tls
from redis_oom_tui.models.config import (
    CHOICE,
    Color,
    Databases,
    Emergency,
    Flag,
    HookSettings,
    Many,
    NamedPlan,
    Percent,
    Port,
    Profile,
    Seconds,
    SecretKind,
    SecretSource,
    Settings,
    Size,
    Text,
    Texts,
    WatchSettings,
)
from redis_oom_tui.models.errors import BadInput
from redis_oom_tui.models.plan import Criteria, Operation, Order, TtlFilter
from redis_oom_tui.models.structs import replace
from redis_oom_tui.rules.headroom import type_called
from redis_oom_tui.rules.key_patterns import read


class _Limits(Struct, frozen=True):
    """The thresholds in `[watch]`."""

    warn: Percent
    crit: Percent


class _Command(Struct, frozen=True):
    """The command in `[hooks]`: one string, or a list of words."""

    command: Texts = field(default=(), name="exec")


class _Plan(Struct, frozen=True):
    """`[plans.NAME]`: `match` are globs, `pattern` are patterns as hogs shows them."""

    match: Texts = ()
    pattern: Texts = ()
    type: Texts = ()
    db: Databases | None = None
    idle_over: Seconds | None = None
    ttl: Annotated[TtlFilter, CHOICE] = TtlFilter.ANY
    larger_than: Size | None = None
    max_keys: Many | None = None
    max_bytes: Size | None = None
    order: Annotated[Order, CHOICE] = Order.LARGEST
    expire: Seconds | None = None


class _Place(Struct, frozen=True):
    """Where a profile's server is."""

    socket: Text | None = None
    host: Text = "127.0.0.1"
    port: Port = 6379


class _Sentinels(Struct, frozen=True):
    """Who knows the primary of a profile."""

    sentinels: Texts = ()
    master: Text | None = None
    sentinel_username: Text | None = None


class _SentinelTls(Struct, frozen=True):
    """TLS with the Sentinels, where it is no table."""

    sentinel_tls: Flag = False


class _Tls(Struct, frozen=True):
    """A table of certificates."""

    ca: Text | None = None
    cert: Text | None = None
    key: Text | None = None
    server_name: Text | None = None
    verify: Flag = True


def read_settings(top: Section, folder: Path) -> Settings:
    """The whole file; relative paths in it start at `folder`. Problems are kept by the section."""
    watch = read_watch(top.table("watch"), WatchSettings())
    hooks = read_hooks(top.table("hooks"), HookSettings(), folder)
    emergency = read_emergency(top.table("emergency"), Emergency())
    plans = {plan.name: plan for plan in (read_plan(section) for section in top.tables("plans"))}
    around = Settings(watch, hooks, emergency)
    profiles = {profile.name: profile for profile in (read_profile(s, around, folder) for s in top.tables("profiles"))}
    default = top.text("default_profile")
    if default is not None and default not in profiles:
        top.wrong("default_profile", f"is not a profile of this file, which has {_names(profiles)}")
    _check_emergencies(top, emergency, profiles, plans)
    keys = read_keys(top.table("keys"))
    top.finish()
    return Settings(watch, hooks, emergency, MappingProxyType(profiles), MappingProxyType(plans), default, keys)


def read_keys(section: Section) -> Mapping[str, str]:
    """`[keys]`: a key in place of the screen's own, by the id of what it does. The screen knows which ids there are."""
    given = {name: section.text(name) for name in section.names()}
    section.finish()
    return MappingProxyType({name: key for name, key in given.items() if key is not None})


def read_watch(section: Section, base: WatchSettings) -> WatchSettings:
    """`[watch]`: thresholds in percent of maxmemory, and how long a state must last."""
    limits = section.read(_Limits(base.thresholds.warn, base.thresholds.crit))
    settings = section.read(replace(base, thresholds=replace(base.thresholds, warn=limits.warn, crit=limits.crit)))
    if not 0 < limits.warn < limits.crit:
        section.wrong("warn" if section.has("warn") else "crit", "must leave warn above 0 and below crit")
    if section.has("hysteresis") and settings.hysteresis >= limits.warn:
        section.wrong("hysteresis", "must be less than warn")
    if settings.interval_seconds < 0.5:
        section.wrong("interval", "must be at least half a second")
    if settings.scan_seconds is not None and settings.scan_seconds < 60:
        section.wrong("scan_every", "must be at least a minute")
    section.finish()
    return settings


def read_hooks(section: Section, base: HookSettings, folder: Path) -> HookSettings:
    """`[hooks]`: a command, a webhook, or both."""
    settings = section.read(replace(base, shell=False))
    command = section.read(_Command()).command or base.command
    if settings.shell and len(command) > 1:
        section.wrong("exec", "must be one string where exec_shell is true")
    if section.has("exec") and len(command) == 1 and not settings.shell:
        command = section.get("exec", lambda _: _argv(command[0])) or ()
    if not 0 < settings.timeout_seconds <= 300:
        section.wrong("timeout", "must be more than 0 and at most five minutes")
    webhook = read_secret(section, "webhook", folder) or base.webhook
    section.finish()
    return replace(settings, command=command, webhook=webhook)


def read_emergency(section: Section, base: Emergency) -> Emergency:
    """`[emergency]`: which plan may run unattended, and within which bounds."""
    emergency = section.read(base)
    if emergency.armed and emergency.plan is None:
        section.wrong("armed", "needs a plan beside it: only a plan named here may run unattended")
    section.finish()
    return emergency


def read_plan(section: Section) -> NamedPlan:
    """`[plans.NAME]`: what a cleanup looks for."""
    plan = section.read(_Plan())
    if not plan.match and not plan.pattern:
        section.wrong(
            "match", "is needed: a plan without a pattern would match every key (pattern = 'user:<id>' does as well)"
        )
    patterns = section.get("match", lambda _: tuple(map(_pattern, plan.match)))
    key_patterns = section.get("pattern", lambda _: tuple(map(read, plan.pattern)))
    types = section.get("type", lambda _: tuple(map(type_called, plan.type)))
    section.finish()
    criteria = Criteria(
        patterns=patterns or (),
        types=types or (),
        databases=plan.db,
        idle_over_seconds=_whole_seconds(plan.idle_over),
        ttl=plan.ttl,
        larger_than_bytes=plan.larger_than,
        max_keys=plan.max_keys,
        max_bytes=plan.max_bytes,
        order=plan.order,
        key_patterns=key_patterns or (),
    )
    operation = Operation.DELETE if plan.expire is None else Operation.EXPIRE
    return NamedPlan(section.path[-1], criteria, operation, _whole_seconds(plan.expire))


def read_profile(section: Section, around: Settings, folder: Path) -> Profile:
    """`[profiles.NAME]`: a server and how to treat it."""
    tls = _tls(section, "tls", folder)
    address, sentinel = _address(section), _sentinel(section, tls, folder)
    profile = section.read(
        Profile(
            name=section.path[-1],
            address=address if sentinel is None else Address.of_master(sentinel.master),
            password=read_secret(section, "password", folder),
            tls=tls,
            sentinel=sentinel,
            sentinel_password=read_secret(section, "sentinel_password", folder),
            watch=read_watch(section.table("watch"), around.watch),
            hooks=read_hooks(section.table("hooks"), around.hooks, folder),
            # Bounds are inherited; being armed is not: each server is armed in its own table or not at all.
            emergency=read_emergency(section.table("emergency"), replace(around.emergency, armed=False)),
        )
    )
    if profile.read_only and profile.emergency.armed:
        section.wrong("read_only", "cannot be combined with an armed emergency cleanup")
    section.finish()
    return replace(
        profile,
        color=profile.color or (Color.RED if profile.production else None),
        connect_timeout_seconds=profile.connect_timeout_seconds or 3.0,
        read_timeout_seconds=profile.read_timeout_seconds or 3.0,
    )


def read_secret(section: Section, key: str, folder: Path) -> SecretSource | None:
    """A secret by `key`, `key_env`, `key_file` or `key_command`: at most one of them."""
    given = [
        SecretSource(kind, text)
        for kind in SecretKind
        if (text := section.text(key if kind is SecretKind.LITERAL else f"{key}_{kind}")) is not None
    ]
    if len(given) > 1:
        section.wrong(key, f"is given more than once: keep one of {key}_env, {key}_file and {key}_command")
    if not given:
        return None
    if given[0].kind is SecretKind.FILE:
        return SecretSource(SecretKind.FILE, str(_in(folder, given[0].place)))
    return given[0]


def _in(folder: Path, text: str) -> Path:
    return folder / Path(text).expanduser()


def _address(section: Section) -> Address:
    place = section.read(_Place())
    if place.socket is None:
        return Address(place.host, place.port)
    for other in ("host", "port", "tls", "sentinels", "sentinel_tls"):
        if section.has(other):
            section.wrong(other, "cannot be combined with socket")
    return Address(socket_path=str(Path(place.socket).expanduser()))


def _tls(section: Section, key: str, folder: Path, base: Tls | None = None) -> Tls | None:
    """The table under `key`, over `base`; None where there is none."""
    if not section.has(key):
        return None
    table, base = section.table(key), base or Tls()
    given = table.read(_Tls(verify=base.verify))
    table.finish()
    return Tls(
        base.ca_file if given.ca is None else _in(folder, given.ca),
        base.cert_file if given.cert is None else _in(folder, given.cert),
        base.key_file if given.key is None else _in(folder, given.key),
        given.server_name or base.server_name,
        given.verify,
    )


def _sentinel_tls(section: Section, data: Tls | None, folder: Path) -> Tls | Literal[False] | None:
    """`sentinel_tls`: a table over the servers' own, or true or false."""
    if isinstance(section.take("sentinel_tls"), dict):
        return _tls(section, "sentinel_tls", folder, data)
    if not section.has("sentinel_tls"):
        return None
    return (data or Tls()) if section.read(_SentinelTls()).sentinel_tls else False


def _sentinel(section: Section, data: Tls | None, folder: Path) -> Sentinel | None:
    given, tls = section.read(_Sentinels()), _sentinel_tls(section, data, folder)
    if given == _Sentinels() and tls is None:
        return None
    if not given.sentinels or given.master is None:
        section.wrong("sentinels" if given.sentinels else "master", "needs both sentinels and master")
        return None
    hosts = section.get("sentinels", lambda _: tuple(map(_endpoint, given.sentinels)))
    return None if hosts is None else Sentinel(hosts, given.master, given.sentinel_username, tls=tls)


def _endpoint(text: str) -> Address:
    host, _, digits = text.rpartition(":")
    port = plain_number(digits)
    if not host or port is None or not 0 < port < 65536:
        raise BadInput(f"must hold addresses as host:port, which {text!r} is not")
    return Address(host.removeprefix("[").removesuffix("]"), port)


def _pattern(text: str) -> bytes:
    return unescape_exact(text) if "\\x" in text else text.encode("utf-8")


def _argv(text: str) -> tuple[str, ...]:
    try:
        words = tuple(shlex.split(text))
    except ValueError as error:
        raise BadInput(f"cannot be split into words ({error}): close its quotes, or write a list") from None
    if not words:
        raise BadInput("must name a command")
    return words


def _check_emergencies(
    top: Section, emergency: Emergency, profiles: dict[str, Profile], plans: dict[str, NamedPlan]
) -> None:
    """A plan named to run unattended must be one of the file's, unless it is a path to a saved one."""
    named: list[tuple[tuple[str, ...], Emergency]] = [(("emergency", "plan"), emergency)]
    named += [(("profiles", name, "emergency", "plan"), profile.emergency) for name, profile in profiles.items()]
    for path, item in named:
        if item.plan is not None and "/" not in item.plan and item.plan not in plans:
            top.problems.add(
                path, f"is not a plan of this file, which has {_names(plans)}, nor the path of a saved plan"
            )


def _names(mapping: dict[str, Profile] | dict[str, NamedPlan]) -> str:
    return ", ".join(sorted(mapping)) or "none"


def _whole_seconds(value: float | None) -> int | None:
    return None if value is None else round(value)
