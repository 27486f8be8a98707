"""The configuration file read from disk: its text, its syntax, and who may read and write it."""

import os
import re
import tomllib
from pathlib import Path

from redis_oom_tui.files.config import trust
from redis_oom_tui.files.config.reader import Problem, Problems, Section, key_lines
from redis_oom_tui.files.config.sections import read_settings
from redis_oom_tui.files.reading import read_small, shown
from redis_oom_tui.formatting.sanitize import safe_text
from redis_oom_tui.models.config import Settings
from redis_oom_tui.models.errors import BadInput

_LARGEST_BYTES = 1024 * 1024


def read(path: Path) -> tuple[Settings, tuple[str, ...]]:
    """What the file says, and a sentence for each thing wrong with it, in the order of its lines."""
    text, about = _contents(path)
    try:
        values = tomllib.loads(text)
    except RecursionError:
        return Settings(), (_sentence(path, Problem("", "not valid TOML: its values are nested too deep")),)
    except tomllib.TOMLDecodeError as error:
        return Settings(), (_sentence(path, _syntax(text, str(error))),)
    except ValueError:
        # Python reads no whole number of over 4,300 digits.
        return Settings(), (_sentence(path, Problem("", "not valid TOML: a number is too long")),)
    found = Problems(key_lines(text))
    settings = read_settings(Section(values, (), found), path.parent)
    trust.check(path, about, settings, found)
    wrong = sorted(found.found, key=lambda problem: problem.line or 0)
    return settings, tuple(_sentence(path, problem) for problem in wrong)


def _contents(path: Path) -> tuple[str, os.stat_result]:
    try:
        raw, about = read_small(path, _LARGEST_BYTES, pipes=True, what="a configuration")
    except BadInput as error:
        raise BadInput(f"{error}: name another file with --config") from None
    try:
        return raw.decode("utf-8").replace("\r\n", "\n"), about
    except UnicodeDecodeError as error:
        line = raw[: error.start].count(b"\n") + 1
        raise BadInput(f"{shown(path)}, line {line}: not UTF-8 text, which TOML must be") from None


def _syntax(text: str, message: str) -> Problem:
    where = re.search(r" \(at (?:line (\d+), column \d+|end of document)\)$", message)
    words = message[: where.start()] if where else message
    line = int(where[1]) if where and where[1] else text.count("\n") + 1
    return Problem("", f"not valid TOML: {words[:1].lower()}{words[1:]}", line)


def _sentence(path: Path, problem: Problem) -> str:
    line = "" if problem.line is None else f", line {problem.line}"
    key = f" {problem.key}" if problem.key else ""
    return f"{safe_text(str(path))}{line}:{key} {problem.sentence}"
