"""The configuration file and the secrets that it names, read from disk; and who else may read or change it."""

import atexit
import contextlib
import os
import re
import shlex
import signal
import stat
import subprocess
import threading
import tomllib
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from redis_oom_tui.files.config.reader import KeyPath, Problem, Problems, Section, key_lines
from redis_oom_tui.files.config.sections import read_settings
from redis_oom_tui.files.disk import read_small, shown
from redis_oom_tui.formatting.sanitize import safe_text
from redis_oom_tui.models.address import Secret
from redis_oom_tui.models.config import SecretKind, SecretSource, Settings
from redis_oom_tui.models.errors import BadInput

_LARGEST_BYTES = 1024 * 1024


def read(path: Path) -> tuple[Settings, tuple[str, ...]]:
    """What the file says, and a sentence for each thing wrong with it, in the order of its lines."""
    raw, about = _contents(path)
    try:
        text = raw.decode("utf-8").replace("\r\n", "\n")
        values = tomllib.loads(text)
    except UnicodeDecodeError as error:
        line = raw[: error.start].count(b"\n") + 1
        return Settings(), (f"{shown(path)}, line {line}: not UTF-8 text, which TOML must be",)
    except RecursionError:
        return Settings(), (_sentence(path, Problem("", "not valid TOML: its values are nested too deep")),)
    except tomllib.TOMLDecodeError as error:
        return Settings(), (_sentence(path, _syntax(text, str(error))),)
    except ValueError:
        # Python reads no whole number of over 4,300 digits.
        return Settings(), (_sentence(path, Problem("", "not valid TOML: a number is too long")),)
    found = Problems(key_lines(text))
    settings = read_settings(Section(values, (), found), path.parent)
    check_access(path, about, settings, found)
    wrong = sorted(found.found, key=lambda problem: problem.line or 0)
    return settings, tuple(_sentence(path, problem) for problem in wrong)


def _contents(path: Path) -> tuple[bytes, os.stat_result]:
    try:
        return read_small(path, _LARGEST_BYTES, pipes=True, what="a configuration")
    except BadInput as error:
        raise BadInput(f"{error}: name another file with --config") from None


def _syntax(text: str, message: str) -> Problem:
    where = re.search(r" \(at (?:line (\d+), column \d+|end of document)\)$", message)
    words = message[: where.start()] if where else message
    line = int(where[1]) if where and where[1] else text.count("\n") + 1
    return Problem("", f"not valid TOML: {words[:1].lower()}{words[1:]}", line)


def _sentence(path: Path, problem: Problem) -> str:
    line = "" if problem.line is None else f", line {problem.line}"
    key = f" {problem.key}" if problem.key else ""
    return f"{safe_text(str(path))}{line}:{key} {problem.sentence}"


_WRITE = stat.S_IWGRP | stat.S_IWOTH
_OTHERS = stat.S_IRWXG | stat.S_IRWXO


def check_access(file: Path, about: os.stat_result, settings: Settings, found: Problems) -> None:
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


_LARGEST_SECRET_BYTES = 64 * 1024
_PATIENCE_SECONDS = 20.0


def variables(settings: Settings) -> frozenset[str]:
    """The environment variables that hold a secret, as the configuration says."""
    return frozenset(source.place for _, source in settings.secrets() if source.kind is SecretKind.ENVIRONMENT)


def fetch(source: SecretSource, what: str) -> Secret:
    """The secret, without a newline at its end. Raises BadInput; `what` is what the sentence calls it."""
    text = {
        SecretKind.LITERAL: lambda place, _: place,
        SecretKind.ENVIRONMENT: _from_environment,
        SecretKind.FILE: _from_file,
        SecretKind.COMMAND: _from_command,
    }[source.kind](source.place, what).rstrip("\r\n")
    if not text:
        raise BadInput(f"{what} is empty where it should be ({source.kind})")
    return Secret(text)


def _from_environment(name: str, what: str) -> str:
    value = os.environ.get(name)
    if value is None:
        raise BadInput(f"{what} should be in the environment variable {safe_text(name, 60)}, which is not set")
    return value


def _from_file(place: str, what: str) -> str:
    try:
        return read_small(Path(place), _LARGEST_SECRET_BYTES, pipes=True)[0].decode("utf-8")
    except BadInput as error:
        raise BadInput(f"{what} could not be fetched: {error}") from None
    except ValueError:
        raise BadInput(f"{what} could not be fetched: {safe_text(place, 200)} is not UTF-8 text") from None


def _from_command(line: str, what: str) -> str:
    program = "?"
    try:
        argv = shlex.split(line)
        program = safe_text(argv[0], 100) if argv else program
        return _output_of(argv).decode("utf-8")
    except subprocess.CalledProcessError as error:
        raise BadInput(f"{what} could not be fetched: {program} ended with status {error.returncode}") from None
    except subprocess.TimeoutExpired:
        raise BadInput(f"{what} could not be fetched: {program} took over {_PATIENCE_SECONDS:.0f}s") from None
    except (OSError, ValueError, IndexError) as error:
        reason = error.strerror if isinstance(error, OSError) else "its line or its answer is not usable text"
        raise BadInput(f"{what} could not be fetched by {program}: {reason}") from None


def _output_of(argv: list[str]) -> bytes:
    """What the command prints. In a daemon thread, which ends with the program, the command and all that it started end
    with it too; elsewhere it may ask at the terminal, and Ctrl+C ends it.
    """
    group = 0 if threading.current_thread().daemon else None
    # The command is the operator's own, from a file that only the operator may write.
    with subprocess.Popen(  # noqa: S603
        argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, process_group=group
    ) as process:
        end = process.kill if group is None else partial(_kill_group, process.pid)
        atexit.register(end)
        try:
            output, _ = process.communicate(timeout=_PATIENCE_SECONDS)
        except BaseException:
            end()
            raise
        finally:
            atexit.unregister(end)
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, argv)
    return output


def _kill_group(leader: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(leader, signal.SIGKILL)
