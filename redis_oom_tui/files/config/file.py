"""The configuration file read from disk: its text, its syntax, and who may read and write it."""

import re
import stat
import tomllib
from pathlib import Path

from redis_oom_tui.files.config.lines import key_lines
from redis_oom_tui.files.config.reader import Section
from redis_oom_tui.files.config.sections import read_settings
from redis_oom_tui.files.config.table import Problem, Problems
from redis_oom_tui.models.config import SecretKind, Settings
from redis_oom_tui.models.errors import BadInput
from redis_oom_tui.words.hostile import safe_text

_LARGEST_BYTES = 1024 * 1024


def read(path: Path) -> tuple[Settings, tuple[str, ...]]:
    """What the file says, and a sentence for each thing wrong with it, in the order of its lines."""
    text, mode = _contents(path)
    try:
        values = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        return Settings(), (_sentence(path, _syntax(text, str(error))),)
    found = Problems(key_lines(text))
    settings = read_settings(Section(values, (), found), path.parent)
    _check_mode(mode, settings, found)
    wrong = sorted(found.found, key=lambda problem: problem.line or 0)
    return settings, tuple(_sentence(path, problem) for problem in wrong)


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
