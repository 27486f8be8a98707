"""The file's tables, each read into its model. What a profile leaves out, the file's own tables give."""

import shlex
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Literal

from redis_oom_tui.files.config.reader import Section
from redis_oom_tui.formatting.sanitize import unescape_exact
from redis_oom_tui.models.address import Address, Sentinel, Tls
from redis_oom_tui.models.alert import EventKind
from redis_oom_tui.models.config import (
    Colour,
    Emergency,
    HookSettings,
    NamedPlan,
    Profile,
    SecretKind,
    SecretSource,
    Settings,
    WatchSettings,
    WebhookFormat,
)
from redis_oom_tui.models.errors import BadInput
from redis_oom_tui.models.keys import KeyPattern
from redis_oom_tui.models.plan import Criteria, Operation, Order, TtlFilter
from redis_oom_tui.models.structs import replace
from redis_oom_tui.rules.key_patterns import read

_MANY = 2**53


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
        top.wrong("default_profile", f"names no profile of this file; it has {_names(profiles)}")
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
    warn, crit = section.share("warn"), section.share("crit")
    thresholds = replace(
        base.thresholds,
        warn=base.thresholds.warn if warn is None else warn,
        crit=base.thresholds.crit if crit is None else crit,
    )
    if not 0 < thresholds.warn < thresholds.crit:
        section.wrong("warn" if section.has("warn") else "crit", "must leave warn above 0 and below crit")
    hysteresis = section.share("hysteresis")
    if hysteresis is not None and hysteresis >= thresholds.warn:
        section.wrong("hysteresis", "must be less than warn")
    interval = section.seconds("interval")
    if interval is not None and interval < 0.5:
        section.wrong("interval", "must be at least half a second")
    scan = section.seconds("scan_every")
    if scan is not None and scan < 60:
        section.wrong("scan_every", "must be at least a minute")
    settings = WatchSettings(
        thresholds=thresholds,
        interval_seconds=_or(interval, base.interval_seconds),
        hysteresis=_or(hysteresis, base.hysteresis),
        hold_seconds=_or(section.seconds("hold"), base.hold_seconds),
        quiet_seconds=_or(section.seconds("quiet"), base.quiet_seconds),
        lost_seconds=_or(section.seconds("lost"), base.lost_seconds),
        bell=section.flag("bell", base.bell),
        scan_seconds=base.scan_seconds if scan is None else scan,
    )
    section.finish()
    return settings


def read_hooks(section: Section, base: HookSettings, folder: Path) -> HookSettings:
    """`[hooks]`: a command, a webhook, or both."""
    shell = section.flag("exec_shell", base.shell)
    command = section.strings("exec") or base.command
    if section.has("exec") and len(command) == 1 and not shell:
        command = section.convert("exec", _argv) or ()
    if shell and len(command) > 1:
        section.wrong("exec", "must be one string where exec_shell is true")
    timeout = section.seconds("timeout")
    if timeout is not None and not 0 < timeout <= 300:
        section.wrong("timeout", "must be more than 0 and at most five minutes")
    settings = HookSettings(
        command=command,
        shell=shell,
        webhook=read_secret(section, "webhook", folder) or base.webhook,
        webhook_format=section.choice("webhook_format", WebhookFormat) or base.webhook_format,
        timeout_seconds=_or(timeout, base.timeout_seconds),
        retries=_or_whole(section.whole("retries", 0, 10), base.retries),
        burst=_or_whole(section.whole("burst", 1, 1000), base.burst),
        min_gap_seconds=_or(section.seconds("min_gap"), base.min_gap_seconds),
        events=section.choices("events", EventKind) or base.events,
    )
    section.finish()
    return settings


def read_emergency(section: Section, base: Emergency) -> Emergency:
    """`[emergency]`: which plan may run unattended, and within which bounds."""
    emergency = Emergency(
        plan=section.text("plan") or base.plan,
        armed=section.flag("armed", base.armed),
        after_seconds=_or(section.seconds("after"), base.after_seconds),
        cooldown_seconds=_or(section.seconds("cooldown"), base.cooldown_seconds),
        max_keys=_or_whole(section.whole("max_keys", 1, _MANY), base.max_keys),
        max_bytes=_or_whole(section.size("max_bytes"), base.max_bytes),
        max_keys_per_hour=_or_whole(section.whole("max_keys_per_hour", 1, _MANY), base.max_keys_per_hour),
        max_bytes_per_hour=_or_whole(section.size("max_bytes_per_hour"), base.max_bytes_per_hour),
        backup=section.flag("backup", base.backup),
        trust_idle=section.flag("trust_idle", base.trust_idle),
    )
    if emergency.armed and emergency.plan is None:
        section.wrong("armed", "needs a plan beside it: only a plan named here may run unattended")
    section.finish()
    return emergency


def read_plan(section: Section) -> NamedPlan:
    """`[plans.NAME]`: what a cleanup looks for. `match` are globs, odd bytes in them as \\xNN; `pattern` are patterns
    as hogs shows them.
    """
    expire = section.seconds("expire")
    plan = NamedPlan(
        name=section.path[-1],
        criteria=Criteria(
            patterns=tuple(filter(None, (_pattern(section, text) for text in section.strings("match")))),
            types=section.strings("type"),
            databases=section.wholes("db", 0, 2**31 - 1),
            idle_over_seconds=_whole_seconds(section.seconds("idle_over")),
            ttl=section.choice("ttl", TtlFilter) or TtlFilter.ANY,
            larger_than_bytes=section.size("larger_than"),
            max_keys=section.whole("max_keys", 1, _MANY),
            max_bytes=section.size("max_bytes"),
            order=section.choice("order", Order) or Order.LARGEST,
            key_patterns=tuple(filter(None, (_key_pattern(section, text) for text in section.strings("pattern")))),
        ),
        deed=Operation.DELETE if expire is None else Operation.EXPIRE,
        expire_seconds=_whole_seconds(expire),
    )
    if not plan.criteria.patterns and not plan.criteria.key_patterns:
        section.wrong(
            "match", "is needed: a plan without a pattern would look at every key (pattern = 'user:<id>' does as well)"
        )
    section.finish()
    return plan


def read_profile(section: Section, around: Settings, folder: Path) -> Profile:
    """`[profiles.NAME]`: a server and how to treat it."""
    production = section.flag("production")
    tls = _tls(section, "tls", folder)
    profile = Profile(
        name=section.path[-1],
        address=_address(section),
        username=section.text("username"),
        password=read_secret(section, "password", folder),
        db=section.whole("db", 0, 2**31 - 1),
        tls=tls,
        cluster=section.flag("cluster"),
        sentinel=_sentinel(section, tls, folder),
        sentinel_password=read_secret(section, "sentinel_password", folder),
        read_only=section.flag("read_only"),
        production=production,
        limit_bytes=section.size("limit"),
        colour=section.choice("colour", Colour) or (Colour.RED if production else None),
        connect_timeout_seconds=_or(section.seconds("connect_timeout"), 3.0) or 3.0,
        read_timeout_seconds=_or(section.seconds("read_timeout"), 3.0) or 3.0,
        watch=read_watch(section.table("watch"), around.watch),
        hooks=read_hooks(section.table("hooks"), around.hooks, folder),
        # Bounds are inherited; being armed is not: each server is armed in its own table or not at all.
        emergency=read_emergency(section.table("emergency"), replace(around.emergency, armed=False)),
    )
    if profile.read_only and profile.emergency.armed:
        section.wrong("read_only", "and an armed emergency cleanup exclude each other")
    section.finish()
    return profile


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
        return SecretSource(SecretKind.FILE, str(folder / Path(given[0].place).expanduser()))
    return given[0]


def _address(section: Section) -> Address:
    socket = section.text("socket")
    if socket is None:
        return Address(section.text("host") or "127.0.0.1", section.whole("port", 1, 65535) or 6379)
    for other in ("host", "port", "tls", "sentinels", "sentinel_tls"):
        if section.has(other):
            section.wrong(other, "has no meaning beside socket")
    return Address(socket_path=str(Path(socket).expanduser()))


def _tls(section: Section, key: str, folder: Path, base: Tls | None = None) -> Tls | None:
    """The table under `key`, over `base`; None where there is none."""
    if not section.has(key):
        return None
    table, base = section.table(key), base or Tls()

    def file(key: str) -> Path | None:
        text = table.text(key)
        return None if text is None else folder / Path(text).expanduser()

    tls = Tls(
        file("ca") or base.ca_file,
        file("cert") or base.cert_file,
        file("key") or base.key_file,
        table.text("server_name") or base.server_name,
        table.flag("verify", base.verify),
    )
    table.finish()
    return tls


def _sentinel_tls(section: Section, data: Tls | None, folder: Path) -> Tls | Literal[False] | None:
    """`sentinel_tls`: a table over the servers' own, or true or false."""
    if section.is_table("sentinel_tls"):
        return _tls(section, "sentinel_tls", folder, data)
    if not section.has("sentinel_tls"):
        return None
    return (data or Tls()) if section.flag("sentinel_tls") else False


def _sentinel(section: Section, data: Tls | None, folder: Path) -> Sentinel | None:
    hosts, master = section.strings("sentinels"), section.text("master")
    username, tls = section.text("sentinel_username"), _sentinel_tls(section, data, folder)
    if not hosts and master is None and username is None and tls is None:
        return None
    if not hosts or master is None:
        section.wrong("sentinels" if hosts else "master", "needs both sentinels and master")
        return None
    try:
        return Sentinel(tuple(_endpoint(text) for text in hosts), master, username, tls=tls)
    except BadInput as error:
        section.wrong("sentinels", str(error))
        return None


def _endpoint(text: str) -> Address:
    host, _, port = text.rpartition(":")
    if not host or not port.isdecimal() or not 0 < int(port) < 65536:
        raise BadInput(f"must hold addresses as host:port, which {text!r} is not")
    return Address(host.removeprefix("[").removesuffix("]"), int(port))


def _pattern(section: Section, text: str) -> bytes:
    try:
        return unescape_exact(text) if "\\x" in text else text.encode("utf-8")
    except BadInput as error:
        section.wrong("match", str(error))
        return b""


def _key_pattern(section: Section, text: str) -> KeyPattern | None:
    try:
        return read(text)
    except BadInput as error:
        section.wrong("pattern", str(error))
        return None


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
            top.problems.add(path, f"names no plan of this file; it has {_names(plans)}, or give a saved plan's path")


def _names(mapping: dict[str, Profile] | dict[str, NamedPlan]) -> str:
    return ", ".join(sorted(mapping)) or "none"


def _or(value: float | None, other: float) -> float:
    return other if value is None else value


def _or_whole(value: int | None, other: int) -> int:
    return other if value is None else value


def _whole_seconds(value: float | None) -> int | None:
    return None if value is None else round(value)
