"""Which applications the keys of a scan are of, by evidence, and what each pattern of keys is to its application."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence

from msgspec import Struct

from redis_oom_tui.models.application import KeyLabel, Recognition, Recognized
from redis_oom_tui.models.keys import KeyId, PatternSample
from redis_oom_tui.models.scan import PatternRow, ScanView
from redis_oom_tui.models.structs import replace
from redis_oom_tui.rules import patterns
from redis_oom_tui.rules.applications.finished import finished_jobs, index_rows, index_sizes
from redis_oom_tui.rules.applications.matching import Group, Name, groups_of, rank, surer
from redis_oom_tui.rules.key_patterns import matcher

_AT_ONCE = 500


def rows_to_sample(scan: ScanView, recognition: Recognition) -> tuple[tuple[PatternRow, frozenset[str]], ...]:
    """The patterns of which a sample would tell more: the indexes of finished jobs, then values that prove whose they
    are, the largest first, each with the fields to ask its hashes about.
    """
    indexes = [(row.db, row.pattern) for row in index_rows(recognition.found)]
    rows = {(row.db, row.pattern): row for row in scan.patterns}
    fields: dict[tuple[int | None, bytes], set[str]] = defaultdict(set)
    for group in groups_of(_names(scan, {})):
        for match in group.matches:
            wanted = [one.fields[match.kind.id] for one in group.application.evidence if match.kind.id in one.fields]
            if wanted and match.name.row is not None:
                plain = (name for names in wanted for name in names if name[0] != "<" and name[-1] != "}")
                fields[match.name.row.db, match.name.row.pattern].update(plain)
    places = dict.fromkeys([*indexes, *sorted(fields, key=lambda place: -rows[place].size)])
    return tuple((rows[place], frozenset(fields.get(place, ()))) for place in places)


def recognized(scan: ScanView, samples: tuple[PatternSample, ...]) -> Recognition:
    """The applications in `scan`; `samples` of its patterns add the names of fields, where they were read."""
    groups = groups_of(_names(scan, {(sample.db, sample.pattern): sample.fields for sample in samples}))
    labels: dict[tuple[int, bytes], tuple[KeyLabel, ...]] = {}
    for name, several in _labels(groups).items():
        if name.row is not None:
            labels[name.db, name.row.pattern] = several
    read = index_sizes(scan, samples)
    found = [
        replace(one, finished=finished_jobs(one, labels, read))
        for group in groups
        if (one := _application(group, labels)) is not None
    ]
    labels.update(_whole_branches(scan.patterns, labels))
    return Recognition(tuple(sorted(found, key=lambda one: -one.size)), labels)


class AlikeKeys(Struct):
    """Keys of one name once it is normalised, and of one type: what they are, how many, and the first of them."""

    text: bytes
    labels: tuple[KeyLabel, ...]
    first: int
    number: int


def alike_keys(databases: Sequence[int], names: Sequence[bytes], types: Sequence[str]) -> list[AlikeKeys]:
    """The keys by what they are, which the names of all tell together; in their order."""
    known: patterns.PatternCache[bytes] = patterns.PatternCache(patterns.Normaliser(), bytes)
    # What the first names taught is known of those that follow.
    normal: list[bytes] = []
    for start in range(0, len(names), _AT_ONCE):
        normal += known.patterns_of(list(names[start : start + _AT_ONCE]))
    numbers = Counter(zip(databases, normal, types, strict=True))
    # Of those that are alike the first is written last, and stays.
    backwards = zip(reversed(databases), reversed(normal), reversed(types), strict=True)
    first = dict(zip(backwards, range(len(names) - 1, -1, -1), strict=True))
    alike = {place: Name(*place) for place in first}
    labels = _labels(groups_of(tuple(alike.values())))
    found = [AlikeKeys(place[1], labels.get(alike[place], ()), index, numbers[place]) for place, index in first.items()]
    return sorted(found, key=lambda alike: alike.first)


def labels_of_key(key: KeyId, scan: ScanView, recognition: Recognition) -> tuple[KeyLabel, ...]:
    """What one key is, by the pattern that counted it; empty where that is not known."""
    for row in scan.patterns:
        labels = recognition.of(row)
        select = row.select if labels and row.db in (None, key.db) else None
        if select is not None and not select.below and matcher(select).held([key.key])[0]:
            return labels
    return ()


def _names(scan: ScanView, fields: Mapping[tuple[int, bytes], frozenset[str]]) -> tuple[Name, ...]:
    """Every pattern that no other divides, and the largest keys, each as its name normalises."""
    parents = {(row.db, row.parent) for row in scan.patterns}
    found: dict[tuple[int, bytes, str], Name] = {}
    delimiters = b":"
    for row in scan.patterns:
        if row.select is not None:
            delimiters = row.select.delimiters
        if (row.db, row.pattern) in parents or (row.select is not None and row.select.below):
            continue
        text = row.pattern.replace(b"*", patterns.VARIABLE) if row.select is None else b"".join(row.select.parts)
        db, kind = row.db or 0, row.types[0][0] if row.types else ""
        found[db, text, kind] = Name(db, text, kind, row, fields.get((db, row.pattern)))
    normaliser = patterns.Normaliser(delimiters)
    for key in scan.top:
        text = normaliser.name(key.id.key)
        found.setdefault((key.id.db, text, key.type), Name(key.id.db, text, key.type))
    return tuple(found.values())


def _labels(groups: Iterable[Group]) -> dict[Name, tuple[KeyLabel, ...]]:
    found: dict[Name, list[KeyLabel]] = defaultdict(list)
    for group in groups:
        for match, confidence in group.proven():
            label = KeyLabel(group.application, match.kind, confidence, match.prefix, match.instance)
            found[match.name].append(label)
    return {name: _surest(several) for name, several in found.items()}


def _surest(labels: list[KeyLabel]) -> tuple[KeyLabel, ...]:
    highest = max(rank(label.confidence) for label in labels)
    kept: dict[str, KeyLabel] = {}
    for label in labels:
        if rank(label.confidence) == highest:
            kept.setdefault(label.application.name, label)
    return tuple(kept.values())


def _application(group: Group, labels: Mapping[tuple[int, bytes], tuple[KeyLabel, ...]]) -> Recognized | None:
    """The application with its rows; None where other applications explain every one of them better."""
    rows: dict[str, list[PatternRow]] = defaultdict(list)
    confidences = []
    for match, confidence in group.proven():
        row = match.name.row
        if row is not None and any(label.application is group.application for label in labels[group.db, row.pattern]):
            confidences.append(confidence)
            rows[match.kind.id].append(row)
    if not rows:
        return None
    by_kind = {kind: tuple(several) for kind, several in rows.items()}
    return Recognized(group.application, surer(*confidences), group.db, group.prefix, by_kind)


def _whole_branches(
    rows: tuple[PatternRow, ...], labels: Mapping[tuple[int, bytes], tuple[KeyLabel, ...]]
) -> dict[tuple[int, bytes], tuple[KeyLabel, ...]]:
    """Labels of patterns that are divided, where all that is below is of the same application."""
    below: dict[tuple[int, bytes], list[PatternRow]] = defaultdict(list)
    for row in rows:
        if row.parent is not None:
            below[row.db or 0, row.parent].append(row)
    found = dict(labels)
    for row in sorted(rows, key=lambda row: -row.level):
        children = below.get((row.db or 0, row.pattern), [])
        inside = [found.get((row.db or 0, child.pattern), ()) for child in children]
        named = [{label.application.name for label in several} for several in inside]
        if named and named[0] and all(one == named[0] for one in named):
            largest = max(range(len(children)), key=lambda place: children[place].size)
            found[row.db or 0, row.pattern] = inside[largest]
    return found
