"""Who else may change or read the configuration: it decides what runs here, and may hold secrets."""

import os
import stat
from collections.abc import Iterator
from pathlib import Path

from redis_oom_tui.files.config.reader import KeyPath, Problems
from redis_oom_tui.formatting.sanitize import safe_text
from redis_oom_tui.models.config import SecretKind, Settings

_WRITE = stat.S_IWGRP | stat.S_IWOTH
_OTHERS = stat.S_IRWXG | stat.S_IRWXO


def check(file: Path, about: os.stat_result, settings: Settings, found: Problems) -> None:
    """Keep a problem where others may change what runs here or where secrets go, or may read a secret."""
    mode = stat.S_IMODE(about.st_mode)
    if mode & stat.S_IWOTH:
        found.add((), "may be written by everybody on this machine: run chmod o-w on it")
    if (named := next(_powers(settings), None)) is not None and not stat.S_ISFIFO(about.st_mode):
        _check_writers(file, about, named, found)
    if mode & _OTHERS:
        for path, source in settings.secrets():
            if source.kind is SecretKind.LITERAL:
                key = path[-1]
                advice = f"run chmod 600 on the file, or use {key}_env, {key}_file or {key}_command"
                found.add(path, f"may be read by others on this machine: {advice}")


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
    for path, source in settings.secrets():
        key = path[-1] if source.kind is SecretKind.LITERAL else f"{path[-1]}_{source.kind}"
        if source.kind is SecretKind.COMMAND or path[-1] == "webhook":
            yield (*path[:-1], key)
    if settings.hooks.command:
        yield ("hooks", "exec")
    for name, profile in settings.profiles.items():
        if profile.hooks.command != settings.hooks.command:
            yield ("profiles", name, "hooks", "exec")
        if profile.emergency.armed:
            yield ("profiles", name, "emergency", "armed")
    if settings.emergency.armed:
        yield ("emergency", "armed")
