"""The line that puts something back: a command that works when copied, with the way in of this run and no password."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from redis_oom_tui.formatting.sanitize import safe_text
from redis_oom_tui.formatting.server import command_line
from redis_oom_tui.models.plan import RunView

_VALUES = {
    "config_path": "--config",
    "profile": "--profile",
    "host": "-h",
    "port": "-p",
    "socket": "-s",
    "user": "--user",
    "password_file": "--pass-file",
    "ca_file": "--cacert",
    "cert_file": "--cert",
    "key_file": "--key",
    "server_name": "--sni",
    "master": "--master",
    "sentinel_user": "--sentinel-user",
    "sentinel_ca_file": "--sentinel-cacert",
    "sentinel_cert_file": "--sentinel-cert",
    "sentinel_key_file": "--sentinel-key",
    "sentinel_server_name": "--sentinel-sni",
    "limit": "--limit",
    "audit_path": "--audit",
}
_FLAGS = {"tls": "--tls", "insecure": "--insecure", "cluster": "-c", "sentinel_insecure": "--sentinel-insecure"}


def connection_args(given: Mapping[str, Any]) -> tuple[str, ...]:
    """The options, by their names, as words to give again; a password that was typed into them is asked for instead,
    and so is one that a command prints: the command's text may hold it, or a token that leads to it.

    --read-only is left out: it would refuse what the line is for; and so is the database, which not every command takes
    (`database_args`).

    >>> connection_args({"url": "redis://sre:hunter2@cache-1:7000/2", "cluster": True})
    ('-u', 'redis://cache-1:7000/2', '--user', 'sre', '--askpass', '-c')
    """
    words: list[str] = []
    asks = any(given.get(name) for name in ("askpass", "password_command")) or given.get("password") is not None
    if given.get("url"):
        url, user, held = _without_login(given["url"])
        words += ["-u", url, *(["--user", user] if user and given.get("user") is None else [])]
        asks = asks or (held and not given.get("password_file"))
    for name, option in _VALUES.items():
        if given.get(name) is not None:
            words += [option, str(given[name])]
    words += ["--askpass"] if asks else []
    words += [option for name, option in _FLAGS.items() if given.get(name)]
    if given.get("sentinel_tls") is not None:
        words += ["--sentinel-tls" if given["sentinel_tls"] else "--no-sentinel-tls"]
    for sentinel in given.get("sentinels") or ():
        words += ["--sentinel", sentinel]
    return tuple(words)


def of_run(run: RunView, way: Sequence[str], words: str = "Undo with") -> list[str]:
    """Lines that name the backup of a run and, behind `words`, what puts back what it took."""
    lines: list[str] = []
    for path in run.backup_files:
        lines.append(f"Backup: {safe_text(path)}")
        lines += [f"{words}: {command_line(way, 'restore', path)}"] if run.undoable else []
    return lines


def _without_login(url: str) -> tuple[str, str, bool]:
    """The URL without user and password, its user, and whether it held a password; beside it only a database is kept.

    A single word before the @ is a password.
    """
    parts = urlsplit(url)
    login, _, where = parts.netloc.rpartition("@")
    user, colon, password = login.partition(":")
    query = "&".join(word for word in parts.query.split("&") if word.startswith("db="))
    path = str(Path(parts.path).absolute()) if parts.scheme == "unix" and not where else parts.path
    bare = f"{parts.scheme}://{where}{path}{'?' if query else ''}{query}"
    return (bare, unquote(user), bool(password)) if colon else (bare, "", bool(login))
