"""Which applications the keys of a scan are of, by evidence, and what each pattern of keys is to its application."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from functools import cache
from typing import get_args

from msgspec import Struct, field

from redis_oom_tui.applications import known_applications
from redis_oom_tui.applications.name_shapes import PREFIX, Shape, shape
from redis_oom_tui.models.application import Application, Confidence, Evidence, KeyKind, RedisType
from redis_oom_tui.models.keys import FamilySample
from redis_oom_tui.models.scan import PatternRow, ScanView
from redis_oom_tui.rules import patterns

INSTANCE = "queue"
"""The placeholder that tells keys of one queue, or whatever it is, from those of another."""

_RANK = {Confidence.POSSIBLE: 0, Confidence.LIKELY: 1, Confidence.HIGH: 2}
# Beyond so many instances of one application, more of them tell nothing new, and each costs a look at every name.
_MOST_INSTANCES = 200
TYPES: tuple[str, ...] = get_args(RedisType)


class KeyLabel(Struct, frozen=True):
    """What keys are: of which application, with what prefix and in which instance (as a queue), and of which kind."""

    application: Application
    kind: KeyKind
    confidence: Confidence
    prefix: bytes = b""
    instance: bytes | None = None


class Recognized(Struct, frozen=True):
    """One application found in a database under one prefix, by the best evidence; `rows` are its patterns by kind.

    A pattern that may as well be of another application stands in both.
    """

    application: Application
    confidence: Confidence
    db: int
    prefix: bytes
    rows: Mapping[str, tuple[PatternRow, ...]]

    @property
    def size(self) -> int:
        """The bytes of all its patterns."""
        return sum(row.size for rows in self.rows.values() for row in rows)


class Recognition(Struct, frozen=True):
    """What was recognized in one scan: the applications, those that hold most first, and labels of patterns."""

    found: tuple[Recognized, ...] = ()
    labels: Mapping[tuple[int, bytes], tuple[KeyLabel, ...]] = field(default_factory=dict)

    def of(self, row: PatternRow) -> tuple[KeyLabel, ...]:
        """What the keys of a pattern are: several labels where several applications could be meant, none if unknown."""
        return self.labels.get((row.db or 0, row.pattern), ())


class _Name(Struct, eq=False):
    """A normalised name with its type; `row` is None for one of the largest keys, whose pattern has no row."""

    db: int
    name: bytes
    type: str
    row: PatternRow | None = None


class _Match(Struct, eq=False):
    """A name that has a shape of a kind, with what its placeholders stand for."""

    name: _Name
    kind: KeyKind
    prefix: bytes
    instance: bytes | None


def recognize(scan: ScanView, samples: Iterable[FamilySample] = ()) -> Recognition:
    """The applications in `scan`; `samples` of its patterns add the names of fields, where they were read."""
    names = _names(scan)
    fields = {(sample.db, sample.pattern): frozenset(sample.fields) for sample in samples}
    groups = [group for compiled in _compiled() for group in _groups(compiled, names, fields)]
    best: dict[tuple[int, bytes], list[KeyLabel]] = defaultdict(list)
    for group in groups:
        for match, confidence in group.proven():
            if match.name.row is not None:
                label = KeyLabel(group.application, match.kind, confidence, match.prefix, match.instance)
                best[match.name.db, match.name.row.pattern].append(label)
    labels = {place: _most_certain(several) for place, several in best.items()}
    found = [recognized for group in groups if (recognized := group.recognized(labels)) is not None]
    labels.update(_whole_branches(scan.patterns, labels))
    return Recognition(tuple(sorted(found, key=lambda one: -one.size)), labels)


def _most_certain(labels: list[KeyLabel]) -> tuple[KeyLabel, ...]:
    highest = max(_RANK[label.confidence] for label in labels)
    kept: dict[str, KeyLabel] = {}
    for label in labels:
        if _RANK[label.confidence] == highest:
            kept.setdefault(label.application.name, label)
    return tuple(kept.values())


def _names(scan: ScanView) -> tuple[_Name, ...]:
    """Every pattern that no other divides, and the largest keys, each as its name normalises."""
    parents = {(row.db, row.parent) for row in scan.patterns}
    found: dict[tuple[int, bytes, str], _Name] = {}
    delimiters = b":"
    for row in scan.patterns:
        if row.select is not None:
            delimiters = row.select.delimiters
        if (row.db, row.pattern) in parents or (row.select is not None and row.select.below):
            continue
        name = row.pattern.replace(b"*", patterns.VARIABLE) if row.select is None else b"".join(row.select.parts)
        kind = row.types[0][0] if row.types else ""
        found[row.db or 0, name, kind] = _Name(row.db or 0, name, kind, row)
    normaliser = patterns.Normaliser(delimiters)
    for key in scan.top:
        name = normaliser.name(key.id.key)
        found.setdefault((key.id.db, name, key.type), _Name(key.id.db, name, key.type))
    return tuple(found.values())


class _Group(Struct):
    """What has the shapes of one application in one database under one prefix."""

    application: Application
    db: int
    prefix: bytes
    fields: Mapping[tuple[int, bytes], frozenset[str]]
    matches: list[_Match] = field(default_factory=list)

    def proven(self) -> Iterable[tuple[_Match, Confidence]]:
        """Each match in an instance that evidence speaks for, with the best evidence."""
        by_instance = self._confidence()
        for match in self.matches:
            of_all = by_instance.get(None)
            own = by_instance.get(match.instance, of_all)
            if match.instance is None and own is None and by_instance:
                own = max(by_instance.values(), key=_RANK.__getitem__)
            if own is not None:
                yield match, own if of_all is None else max(own, of_all, key=_RANK.__getitem__)

    def recognized(self, labels: Mapping[tuple[int, bytes], tuple[KeyLabel, ...]]) -> Recognized | None:
        """The application with its rows; None where other applications explain every one of them better."""
        rows: dict[str, list[PatternRow]] = defaultdict(list)
        confidence = None
        for match, own in self.proven():
            row = match.name.row
            if row is None or any(label.application is self.application for label in labels[self.db, row.pattern]):
                confidence = own if confidence is None else max(own, confidence, key=_RANK.__getitem__)
                if row is not None:
                    rows[match.kind.id].append(row)
        if confidence is None or not rows:
            return None
        by_kind = {kind: tuple(several) for kind, several in rows.items()}
        return Recognized(self.application, confidence, self.db, self.prefix, by_kind)

    def _confidence(self) -> dict[bytes | None, Confidence]:
        """How sure it is, by instance; under None what is told of all of them."""
        found: dict[bytes | None, Confidence] = {}
        seen: dict[str, set[bytes | None]] = defaultdict(set)
        for match in self.matches:
            seen[match.kind.id].add(match.instance)
        for evidence in self.application.evidence:
            for instance in self._spoken_for(evidence, seen):
                known = found.get(instance, evidence.confidence)
                found[instance] = max(known, evidence.confidence, key=_RANK.__getitem__)
        return found

    def _spoken_for(self, evidence: Evidence, seen: Mapping[str, set[bytes | None]]) -> set[bytes | None]:
        """The instances for which `evidence` speaks; None among them stands for all."""
        if not all(kind in seen for kind in evidence.keys) or not ends_with_word(self.prefix, evidence.prefix):
            return set()
        if not all(self._has_fields(kind, wanted) for kind, wanted in evidence.fields.items()):
            return set()
        with_instance = [seen[kind] - {None} for kind in evidence.keys if seen[kind] - {None}]
        return set.intersection(*with_instance) if len(with_instance) == len(evidence.keys) else {None}

    def _has_fields(self, kind: str, wanted: tuple[str, ...]) -> bool:
        return any(
            match.kind.id == kind
            and match.name.row is not None
            and self.fields.get((self.db, match.name.row.pattern), frozenset()).issuperset(wanted)
            for match in self.matches
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


def _groups(
    compiled: _Compiled, names: tuple[_Name, ...], fields: Mapping[tuple[int, bytes], frozenset[str]]
) -> list[_Group]:
    groups: dict[tuple[int, bytes], _Group] = {}
    rest = []
    for name in names:
        match = _first_match(compiled, name)
        if match is None:
            rest.append(name)
        else:
            place = (name.db, match.prefix)
            if place not in groups:
                groups[place] = _Group(compiled.application, name.db, match.prefix, fields)
            groups[place].matches.append(match)
    if compiled.beside:
        for group in groups.values():
            rest = _add_neighbours(compiled, group, rest)
        _add_by_prefix(compiled, groups, rest, fields)
    return list(groups.values())


def _first_match(compiled: _Compiled, name: _Name) -> _Match | None:
    """By the first kind whose shape the name has, of those that need no other beside them."""
    text = name.name
    for literal, one, kind in compiled.alone.get(name.type) or compiled.alone[""]:
        if literal in text:
            values = one.match(text)
            if values is not None:
                return _Match(name, kind, values[PREFIX], values.get(INSTANCE))
    return None


def _add_neighbours(compiled: _Compiled, group: _Group, rest: list[_Name]) -> list[_Name]:
    """Add the names of kinds that are told only by what stands beside them; those that are left."""
    instances: dict[str, set[bytes | None]] = defaultdict(set)
    for match in group.matches:
        instances[match.kind.id].add(match.instance)
    for kind, shapes in compiled.beside:
        several = {instance for other in kind.beside for instance in instances.get(other, ())}
        for instance in sorted(several, key=lambda instance: instance or b"")[:_MOST_INSTANCES]:
            values = {PREFIX: group.prefix} | ({} if instance is None else {INSTANCE: instance})
            regexes = [(one.literal, one.within(values)) for one in shapes]
            left = []
            for name in rest:
                fits = name.db == group.db and fits_type(kind, name.type)
                if fits and any(literal in name.name and regex.fullmatch(name.name) for literal, regex in regexes):
                    group.matches.append(_Match(name, kind, group.prefix, instance))
                else:
                    left.append(name)
            rest = left
    return rest


def _add_by_prefix(
    compiled: _Compiled,
    groups: dict[tuple[int, bytes], _Group],
    rest: list[_Name],
    fields: Mapping[tuple[int, bytes], frozenset[str]],
) -> None:
    """Where names begin with the application's own word, nothing else need stand beside them."""
    application = compiled.application
    for name in rest if application.prefix else ():
        if application.prefix.encode() in name.name:
            for kind, shapes in compiled.beside:
                values = next(filter(None, (one.match(name.name) for one in shapes)), None)
                if values and fits_type(kind, name.type) and ends_with_word(values[PREFIX], application.prefix):
                    prefix = values[PREFIX]
                    group = groups.setdefault((name.db, prefix), _Group(application, name.db, prefix, fields))
                    group.matches.append(_Match(name, kind, prefix, values.get(INSTANCE)))
                    break


def _whole_branches(
    rows: tuple[PatternRow, ...], labels: Mapping[tuple[int, bytes], tuple[KeyLabel, ...]]
) -> dict[tuple[int, bytes], tuple[KeyLabel, ...]]:
    """Labels of patterns that are divided, where all that is below has the same one."""
    below: dict[tuple[int | None, bytes], list[PatternRow]] = defaultdict(list)
    for row in rows:
        if row.parent is not None:
            below[row.db, row.parent].append(row)
    found: dict[tuple[int, bytes], tuple[KeyLabel, ...]] = {}
    for row in sorted(rows, key=lambda row: -row.level):
        place = (row.db or 0, row.pattern)
        children = below.get((row.db, row.pattern), [])
        inside = [
            found.get((child.db or 0, child.pattern)) or labels.get((child.db or 0, child.pattern), ())
            for child in children
        ]
        if not inside or place in labels:
            continue
        named = [{label.application.name for label in several} for several in inside]
        if named[0] and all(one == named[0] for one in named):
            largest = max(zip(children, inside, strict=True), key=lambda pair: pair[0].size)[1]
            found[place] = largest
    return found
