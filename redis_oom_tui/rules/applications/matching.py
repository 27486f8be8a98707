"""Which names have the shapes of an application, and for which of its instances evidence speaks."""

import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cache, lru_cache
from typing import get_args

from msgspec import Struct, field

from redis_oom_tui.applications import PREFIX, Shape, known_applications, shape
from redis_oom_tui.models.application import Application, Confidence, Evidence, KeyKind, RedisType
from redis_oom_tui.models.scan import PatternRow

INSTANCE = "queue"
"""The placeholder that tells keys of one queue, or whatever it is, from those of another."""

TYPES: tuple[str, ...] = get_args(RedisType)
# Beyond so many instances of one application, more of them tell nothing new, and each costs a look at every name.
_MOST_INSTANCES = 200
_RANK = {Confidence.POSSIBLE: 0, Confidence.LIKELY: 1, Confidence.HIGH: 2}


def rank(confidence: Confidence) -> int:
    """The surer, the higher."""
    return _RANK[confidence]


def surer(*several: Confidence) -> Confidence:
    """The surest of them."""
    return max(several, key=rank)


class Name(Struct, eq=False):
    """A normalised name with its type ("" where that is not known); `row` is its pattern, where it has one, and
    `fields` the names of fields that all of a sample of it has; None without a sample."""

    db: int
    text: bytes
    type: str
    row: PatternRow | None = None
    fields: frozenset[str] | None = None


class Match(Struct, eq=False):
    """A name that has a shape of a kind, with what its placeholders stand for."""

    name: Name
    kind: KeyKind
    prefix: bytes
    instance: bytes | None


class Group(Struct, eq=False):
    """What has the shapes of one application in one database under one prefix."""

    application: Application
    db: int
    prefix: bytes
    matches: list[Match] = field(default_factory=list)

    def proven(self) -> Iterator[tuple[Match, Confidence]]:
        """Each match in an instance that evidence speaks for, with the best evidence."""
        by_instance = self._confidence()
        of_all = by_instance.get(None)
        for match in self.matches:
            if match.instance is None:
                confidences = list(by_instance.values())
            else:
                confidences = [known for known in (by_instance.get(match.instance), of_all) if known is not None]
            if confidences and not self._is_foreign(match):
                yield match, surer(*confidences)

    def _is_foreign(self, match: Match) -> bool:
        """Whether only fields could prove what the name is, and it was found to have none of them."""
        wanted = [one.fields[match.kind.id] for one in self.application.evidence if match.kind.id in one.fields]
        fields = match.name.fields
        by_fields_alone = len(wanted) == len(self.application.evidence)
        return by_fields_alone and fields is not None and not any(map(fields.issuperset, wanted))

    def _confidence(self) -> dict[bytes | None, Confidence]:
        """How sure it is, by instance; under None what is told of all of them."""
        found: dict[bytes | None, Confidence] = {}
        seen: dict[str, set[bytes | None]] = defaultdict(set)
        for match in self.matches:
            seen[match.kind.id].add(match.instance)
        for evidence in self.application.evidence:
            for instance in self._spoken_for(evidence, seen):
                found[instance] = surer(found.get(instance, evidence.confidence), evidence.confidence)
        return found

    def _spoken_for(self, evidence: Evidence, seen: Mapping[str, set[bytes | None]]) -> set[bytes | None]:
        """The instances for which `evidence` speaks; None among them stands for all."""
        if not all(kind in seen for kind in evidence.keys) or not ends_with_word(self.prefix, evidence.prefix):
            return set()
        if not all(self._has_fields(kind, wanted) for kind, wanted in evidence.fields.items()):
            return set()
        instances = [seen[kind] for kind in evidence.keys if None not in seen[kind]]
        return set.intersection(*instances) if instances else {None}

    def _has_fields(self, kind: str, wanted: tuple[str, ...]) -> bool:
        return any(
            match.kind.id == kind and (match.name.fields or frozenset()).issuperset(wanted) for match in self.matches
        )


def ends_with_word(prefix: bytes, word: str) -> bool:
    """Whether a prefix is `word`, or ends with it as a word of its own, braces aside.

    >>> ends_with_word(b"myapp:bull", "bull"), ends_with_word(b"{bull}", "bull"), ends_with_word(b"pitbull", "bull")
    (True, True, False)
    """
    if not word:
        return True
    bare = prefix.strip(b"{}")
    return bare.endswith(word.encode()) and not bare[: -len(word)][-1:].isalnum()


class _Compiled(Struct, eq=False):
    """An application with its shapes: by type those that stand alone, and the kinds that others must stand beside."""

    application: Application
    alone: Mapping[str, tuple[tuple[bytes, Shape, KeyKind], ...]]
    beside: tuple[tuple[KeyKind, tuple[Shape, ...]], ...]


@cache
def _compiled() -> tuple[_Compiled, ...]:
    return tuple(map(_compile, known_applications()))


def _compile(application: Application) -> _Compiled:
    alone = [(one.literal, one, kind) for kind in application.keys if not kind.beside for one in map(shape, kind.names)]
    by_type = {
        type_: tuple((literal, one, kind) for literal, one, kind in alone if fits_type(kind, type_))
        for type_ in (*TYPES, "")
    }
    beside = tuple((kind, tuple(map(shape, kind.names))) for kind in application.keys if kind.beside)
    return _Compiled(application, by_type, beside)


def fits_type(kind: KeyKind, type_: str) -> bool:
    """Whether keys of `type_` may be of a kind; where the type is not known ("" or "?"), they may."""
    return not kind.types or type_ in kind.types or type_ in ("", "?")


@lru_cache(maxsize=8192)
def _first_matches(text: bytes, type_: str) -> tuple[tuple[int, KeyKind, bytes, bytes | None], ...]:
    """By application (its place) the first kind whose shape the name has, of those that need no other beside them.

    A scan is looked at again and again while it runs, and its names stay.
    """
    found = []
    for place, compiled in enumerate(_compiled()):
        for literal, one, kind in compiled.alone.get(type_) or compiled.alone[""]:
            values = one.match(text) if literal in text else None
            if values is not None:
                found.append((place, kind, values[PREFIX], values.get(INSTANCE)))
                break
    return tuple(found)


def groups_of(names: Sequence[Name]) -> list[Group]:
    """The names in groups, each name in none, one or several."""
    found: list[dict[tuple[int, bytes], Group]] = [{} for _ in _compiled()]
    taken: list[set[Name]] = [set() for _ in found]
    for name in names:
        for place, kind, prefix, instance in _first_matches(name.text, name.type):
            application = _compiled()[place].application
            group = found[place].setdefault((name.db, prefix), Group(application, name.db, prefix))
            group.matches.append(Match(name, kind, prefix, instance))
            taken[place].add(name)
    for compiled, groups, known in zip(_compiled(), found, taken, strict=True):
        if compiled.beside and (groups or compiled.application.prefix):
            rest = [name for name in names if name not in known]
            for group in groups.values():
                rest = _add_neighbours(compiled, group, rest)
            _add_by_prefix(compiled, groups, rest)
    return [group for groups in found for group in groups.values()]


def _add_neighbours(compiled: _Compiled, group: Group, rest: list[Name]) -> list[Name]:
    """Add the names of kinds that are told only by what stands beside them; those that are left."""
    instances: dict[str, set[bytes | None]] = defaultdict(set)
    for match in group.matches:
        instances[match.kind.id].add(match.instance)
    here, others = _divided(rest, lambda name: name.db == group.db and name.text.startswith(group.prefix))
    for kind, shapes in compiled.beside:
        several = {instance for other in kind.beside for instance in instances.get(other, ())}
        named = sorted(instance for instance in several if instance is not None)[:_MOST_INSTANCES]
        values = {PREFIX: [group.prefix]} | ({} if None in several else {INSTANCE: named})
        regexes = [(one.literal, one.within(values)) for one in shapes] if several else []
        left = []
        for name in here:
            held = _fullmatch(regexes, name.text) if fits_type(kind, name.type) else None
            if held is None:
                left.append(name)
            else:
                group.matches.append(Match(name, kind, group.prefix, held.groupdict().get(INSTANCE)))
        here = left
    return [*others, *here]


def _divided(names: Iterable[Name], chosen: Callable[[Name], bool]) -> tuple[list[Name], list[Name]]:
    parts: tuple[list[Name], list[Name]] = ([], [])
    for name in names:
        parts[not chosen(name)].append(name)
    return parts


def _fullmatch(regexes: Iterable[tuple[bytes, re.Pattern[bytes]]], text: bytes) -> re.Match[bytes] | None:
    for literal, regex in regexes:
        if literal in text and (held := regex.fullmatch(text)):
            return held
    return None


def _add_by_prefix(compiled: _Compiled, groups: dict[tuple[int, bytes], Group], rest: list[Name]) -> None:
    """Where names begin with the application's own word, nothing else need stand beside them."""
    application = compiled.application
    for name in rest if application.prefix else ():
        if application.prefix.encode() in name.text:
            for kind, shapes in compiled.beside:
                values = next(filter(None, (one.match(name.text) for one in shapes)), None)
                if values and fits_type(kind, name.type) and ends_with_word(values[PREFIX], application.prefix):
                    prefix = values[PREFIX]
                    group = groups.setdefault((name.db, prefix), Group(application, name.db, prefix))
                    group.matches.append(Match(name, kind, prefix, values.get(INSTANCE)))
                    break
