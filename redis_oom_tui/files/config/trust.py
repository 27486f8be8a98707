"""Who else may change or read the configuration: it decides what runs here, and may hold secrets."""

import os
import stat
from collections.abc import Iterator
from pathlib import Path

from redis_oom_tui.files.config.reader import KeyPath, Problems
from redis_oom_tui.formatting.sanitize import safe_text
from redis_oom_tui.models.config import HookSettings, Profile, SecretKind, SecretSource, Settings

_WRITE = stat.S_IWGRP | stat.S_IWOTH
_OTHERS = stat.S_IRWXG | stat.S_IRWXO


def check(path: Path, about: os.stat_result, settings: Settings, found: Problems) -> None:
    """Keep a problem where others may change what runs here or where secrets go, or may read a secret."""
    mode = stat.S_IMODE(about.st_mode)
    if mode & stat.S_IWOTH:
        found.add((), "may be written by everybody on this machine: run chmod o-w on it")
    if (named := next(_powers(settings), None)) is not None and not stat.S_ISFIFO(about.st_mode):
        _check_writers(path, about, named, found)
    if mode & _OTHERS:
        for key, option in _literals(settings):
            advice = f"run chmod 600 on the file, or use {option}_env, {option}_file or {option}_command"
            found.add(key, f"may be read by others on this machine: {advice}")


def _check_writers(path: Path, about: os.stat_result, named: KeyPath, found: Problems) -> None:
    """As ssh does for its own files: whoever may write the file, or swap it for another, may run commands as us."""
    if stat.S_IMODE(about.st_mode) & stat.S_IWGRP:
        found.add(named, "is refused in a file that its group may write: run chmod g-w on the file")
    elif about.st_uid not in (0, os.geteuid()):
        found.add(named, "is refused in a file that belongs to another user: make it yours with chown")
    try:
        folders = [folder for folder in path.resolve().parents if _may_be_swapped(folder)]
    except OSError:
        return
    if folders:
        name = safe_text(str(folders[0]), 200)
        found.add(named, f"is refused while others may write the folder {name}: run chmod go-w on it")


def _may_be_swapped(folder: Path) -> bool:
    """Whether others may rename what is in `folder`: where it is sticky, only owners may."""
    about = folder.stat()
    return bool(about.st_mode & _WRITE) and not about.st_mode & stat.S_ISVTX


def _powers(settings: Settings) -> Iterator[KeyPath]:
    """The keys that run a command, or say where secrets and events go, or arm a cleanup."""
    yield from _hook_powers(("hooks",), settings.hooks, HookSettings())
    for name, profile in settings.profiles.items():
        at = ("profiles", name)
        for key, source in (("password", profile.password), ("sentinel_password", profile.sentinel_password)):
            if source is not None and source.kind is SecretKind.COMMAND:
                yield (*at, f"{key}_command")
        yield from _hook_powers((*at, "hooks"), profile.hooks, settings.hooks)
        if profile.emergency.armed:
            yield (*at, "emergency", "armed")
    if settings.emergency.armed:
        yield ("emergency", "armed")


def _hook_powers(at: KeyPath, hooks: HookSettings, inherited: HookSettings) -> Iterator[KeyPath]:
    if hooks.command and hooks.command != inherited.command:
        yield (*at, "exec")
    if hooks.webhook is not None and hooks.webhook != inherited.webhook:
        yield (*at, _written("webhook", hooks.webhook))


def _written(key: str, source: SecretSource) -> str:
    return key if source.kind is SecretKind.LITERAL else f"{key}_{source.kind}"


def _literals(settings: Settings) -> Iterator[tuple[KeyPath, str]]:
    """The secrets that stand in the file itself, each with the name of its option."""
    if _is_literal(settings.hooks.webhook):
        yield ("hooks", "webhook"), "webhook"
    for name, profile in settings.profiles.items():
        yield from _literals_of(name, profile, settings)


def _literals_of(name: str, profile: Profile, settings: Settings) -> Iterator[tuple[KeyPath, str]]:
    at = ("profiles", name)
    for key, source in (("password", profile.password), ("sentinel_password", profile.sentinel_password)):
        if _is_literal(source):
            yield (*at, key), key
    # One that is inherited stands in the file once, and was told there.
    if _is_literal(profile.hooks.webhook) and profile.hooks.webhook != settings.hooks.webhook:
        yield (*at, "hooks", "webhook"), "webhook"


def _is_literal(source: SecretSource | None) -> bool:
    return source is not None and source.kind is SecretKind.LITERAL
