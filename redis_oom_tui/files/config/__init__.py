"""The configuration file: one TOML file, in which everything is optional and nothing is guessed."""

import re
import stat
import tomllib
from dataclasses import dataclass, replace
from pathlib import Path

import platformdirs

from redis_oom_tui.files.config.lines import key_lines
from redis_oom_tui.files.config.reader import Problem, Problems, Section
from redis_oom_tui.files.config.secrets import fetch
from redis_oom_tui.files.config.sections import read_settings
from redis_oom_tui.models.address import Connection, Secret, Sentinel
from redis_oom_tui.models.config import Profile, SecretKind, SecretSource, Settings
from redis_oom_tui.models.errors import BadInput
from redis_oom_tui.words.hostile import safe_text

__all__ = ["Configuration", "default_path", "load", "problems"]

_LARGEST_BYTES = 1024 * 1024


def default_path() -> Path:
    """Where the file is looked for: `redis-oom-tui/config.toml` in the user's configuration directory."""
    return platformdirs.user_config_path("redis-oom-tui") / "config.toml"


@dataclass(frozen=True, slots=True)
class Configuration:
    """A file that was read and found good; `path` is None where there is none and the defaults hold."""

    settings: Settings
    path: Path | None = None

    def profile(self, name: str | None = None) -> Profile:
        """The profile called `name`, else the file's default one, else what holds without any.

        Raises BadInput where there is no such profile.
        """
        wanted = name or self.settings.default_profile
        if wanted is None:
            settings = self.settings
            return Profile("", watch=settings.watch, hooks=settings.hooks, emergency=settings.emergency)
        if wanted not in self.settings.profiles:
            where = self.path or default_path()
            there = ", ".join(safe_text(known, 40) for known in sorted(self.settings.profiles)) or "none"
            raise BadInput(f"{where} has no profile {safe_text(wanted, 60)!r}; it has {there}")
        return self.settings.profiles[wanted]

    def connection(self, name: str | None = None) -> Connection:
        """How to reach the profile called `name`; this is when its password is fetched. Raises BadInput."""
        profile = self.profile(name)
        return Connection(
            address=profile.address,
            username=profile.username,
            password=self.secret(profile.password, f"the password of profile {profile.name!r}"),
            db=profile.db,
            tls=profile.tls,
            cluster=profile.cluster,
            sentinel=self._sentinel(profile),
            read_only=profile.read_only,
            connect_timeout_seconds=profile.connect_timeout_seconds,
            read_timeout_seconds=profile.read_timeout_seconds,
        )

    def _sentinel(self, profile: Profile) -> Sentinel | None:
        if profile.sentinel is None:
            return None
        what = f"the Sentinels' password of profile {profile.name!r}"
        return replace(profile.sentinel, password=self.secret(profile.sentinel_password, what))

    def secret(self, source: SecretSource | None, what: str) -> Secret | None:
        """The secret kept at `source`; None where there is none. Raises BadInput in which `what` names it."""
        return None if source is None else fetch(source, what)


def load(path: Path | None = None) -> Configuration:
    """The file at `path`, else the one at `default_path()` where there is one, else the defaults.

    Raises BadInput, one sentence with file, line and key, at the first problem.
    """
    chosen = path or default_path()
    if path is None and not chosen.exists():
        return Configuration(Settings())
    settings, found = _read(chosen)
    if found:
        more = f" (and {len(found) - 1} more: run `redis-oom-tui config check`)" if len(found) > 1 else ""
        raise BadInput(f"{_sentence(chosen, found[0])}{more}")
    return Configuration(settings, chosen)


def problems(path: Path) -> tuple[str, ...]:
    """All that is wrong with the file at `path`, a sentence each. Raises BadInput where it cannot be read at all."""
    return tuple(_sentence(path, problem) for problem in _read(path)[1])


def _read(path: Path) -> tuple[Settings, list[Problem]]:
    text, mode = _contents(path)
    try:
        values = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        return Settings(), [_syntax(text, str(error))]
    found = Problems(key_lines(text))
    settings = read_settings(Section(values, (), found), path.parent)
    _check_mode(mode, settings, found)
    return settings, sorted(found.found, key=lambda problem: problem.line or 0)


def _contents(path: Path) -> tuple[str, int]:
    try:
        with path.open("rb") as file:
            mode = stat.S_IMODE(path.stat().st_mode)
            raw = file.read(_LARGEST_BYTES + 1)
        if len(raw) > _LARGEST_BYTES:
            raise BadInput(f"{path} is larger than a configuration can be (1 MiB): is it another file?")
        return raw.decode("utf-8").replace("\r\n", "\n"), mode
    except OSError as error:
        raise BadInput(f"{path} cannot be read ({error.strerror}): name another file with --config") from None
    except UnicodeDecodeError as error:
        line = raw[: error.start].count(b"\n") + 1
        raise BadInput(f"{path}, line {line}: not UTF-8 text, which TOML must be") from None


def _syntax(text: str, message: str) -> Problem:
    where = re.search(r" \(at (?:line (\d+), column \d+|end of document)\)$", message)
    words = message[: where.start()] if where else message
    line = int(where[1]) if where and where[1] else text.count("\n") + 1
    return Problem("", f"not valid TOML: {words[:1].lower()}{words[1:]}", line)


def _check_mode(mode: int, settings: Settings, found: Problems) -> None:
    """A file that others may write decides what runs here; one with a password in it must not be read by others."""
    if mode & stat.S_IWOTH:
        found.add((), "may be written by everybody on this machine: run chmod o-w on it")
    for name, profile in settings.profiles.items():
        literal = profile.password is not None and profile.password.kind is SecretKind.LITERAL
        if literal and mode & (stat.S_IRWXG | stat.S_IRWXO):
            advice = "run chmod 600 on the file, or use password_env, password_file or password_command"
            found.add(("profiles", name, "password"), f"may be read by others on this machine: {advice}")


def _sentence(path: Path, problem: Problem) -> str:
    line = "" if problem.line is None else f", line {problem.line}"
    key = f" {problem.key}" if problem.key else ""
    return f"{safe_text(str(path))}{line}:{key} {problem.sentence}"
