"""The applications that are known: one TOML file each in this folder, read when first asked for."""

import tomllib
from collections.abc import Iterator
from functools import cache
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import TypeVar

from msgspec import Struct

from redis_oom_tui.applications.name_shapes import shape
from redis_oom_tui.formatting.typed import Damaged, converted
from redis_oom_tui.models.application import Application, GuessedUse
from redis_oom_tui.models.errors import BadInput

T = TypeVar("T")


class BadEntry(ValueError):
    """A file of an application is not as it must be: the sentence names the file and the field."""


@cache
def known_applications() -> tuple[Application, ...]:
    """Every application, by name. Raises BadEntry."""
    folder = files(__name__)
    entries = [file for file in folder.iterdir() if file.name.endswith(".toml") and not file.name.startswith("_")]
    return tuple(sorted(map(read_entry, entries), key=lambda application: application.name.lower()))


@cache
def guessed_uses() -> tuple[GuessedUse, ...]:
    """What names and types tell without an application, in the order in which they are asked. Raises BadEntry."""
    return _read(files(__name__) / "_uses.toml", _Uses).uses


class _Uses(Struct, forbid_unknown_fields=True):
    uses: tuple[GuessedUse, ...]


def read_entry(file: Traversable) -> Application:
    """The application that `file` tells of. Raises BadEntry."""
    application = _read(file, Application)
    for fault in (*_bad_shapes(application), *_unknown_kinds(application)):
        raise BadEntry(f"{file.name}: {fault}")
    return application


def _read(file: Traversable, kind: type[T]) -> T:
    try:
        return converted(tomllib.loads(file.read_text("utf-8")), kind)
    except (tomllib.TOMLDecodeError, Damaged) as error:
        raise BadEntry(f"{file.name}: {error}") from None


def _bad_shapes(application: Application) -> Iterator[str]:
    for number, kind in enumerate(application.keys):
        for text in kind.names:
            try:
                shape(text)
            except BadInput as error:
                yield f"`keys[{number}].names` {error}"


def _unknown_kinds(application: Application) -> Iterator[str]:
    """What names a kind of key that the file does not have, and kinds of one name."""
    known = [kind.id for kind in application.keys]
    named = [(f"keys[{n}].id", kind.id) for n, kind in enumerate(application.keys) if known.index(kind.id) != n]
    yield from (f"`{place}` {kind!r} is there twice" for place, kind in named)
    for place, kind in _named_kinds(application):
        if kind not in known:
            yield f"`{place}` names {kind!r}, which is none of its keys"


def _named_kinds(application: Application) -> Iterator[tuple[str, str]]:
    for number, kind in enumerate(application.keys):
        yield from ((f"keys[{number}].beside", other) for other in kind.beside)
    for number, evidence in enumerate(application.evidence):
        yield from ((f"evidence[{number}].keys", kind_id) for kind_id in evidence.keys)
        yield from ((f"evidence[{number}].fields", kind_id) for kind_id in evidence.fields)
    for number, setting in enumerate(application.settings):
        yield from ((f"settings[{number}].bounds", kind_id) for kind_id in setting.bounds)
    for number, work in enumerate(application.finished):
        named = (work.index, work.job, *work.belongs)
        yield from ((f"finished[{number}]", kind_id) for kind_id in named if kind_id)
    for number, orphans in enumerate(application.orphans):
        yield from ((f"orphans[{number}]", kind_id) for kind_id in (orphans.keys, orphans.index))
