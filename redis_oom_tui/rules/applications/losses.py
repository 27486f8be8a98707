"""What would be lost with keys: work, locks, indexes of an application that is recognized, or what names look like."""

import re
from collections.abc import Iterable, Sequence
from functools import cache, lru_cache

from msgspec import Struct

from redis_oom_tui.formatting.sanitize import safe_text
from redis_oom_tui.formatting.sizes import count, number_of_keys
from redis_oom_tui.models.application import Application, Confidence, GuessedUse, KeyLabel, KeyUse, Loss, Recognition
from redis_oom_tui.models.keys import KeyId
from redis_oom_tui.models.plan import Operation, PlannedKey
from redis_oom_tui.models.scan import PatternRow

_SHOWN_WIDTH = 40
_DOUBT = {Confidence.HIGH: "", Confidence.LIKELY: "what is probably ", Confidence.POSSIBLE: "what may be "}
_LOSING = {Loss.LOSES_WORK: "loses work", Loss.BREAKS: "breaks the application"}
_USES_SHOWN = 3


def loss_of(row: PatternRow, recognition: Recognition) -> Loss | None:
    """What the loss of a pattern's keys means: the worst of what they could be; None where nothing tells."""
    losses = [label.kind.loss for label in recognition.of(row)]
    if losses:
        return max(losses, key=list(Loss).index)
    guessed = guessed_use(row.pattern, tuple(name for name, _ in row.types))
    return None if guessed is None else guessed.loss


def guessed_use(name: bytes, types: Sequence[str]) -> GuessedUse | None:
    """What keys of no known application are likely for, by their name or type."""
    by_type = (use for use, _ in _uses() if use.type is not None and use.type in types)
    return _by_words(name.lower()) or next(by_type, None)


@lru_cache(maxsize=4096)
def _by_words(name: bytes) -> GuessedUse | None:
    return next((use for use, words in _uses() if use.words and words.search(name)), None)


@cache
def _uses() -> tuple[tuple[GuessedUse, re.Pattern[bytes]], ...]:
    from redis_oom_tui.applications import guessed_uses  # noqa: PLC0415 - a start must not pay for it

    return tuple((use, re.compile(use.words.encode())) for use in guessed_uses())


def application_names(labels: Sequence[KeyLabel]) -> str:
    """The application, or those that could be meant, for a sentence; how sure it is stands before.

    >>> application_names([])
    ''
    """
    names = " or ".join(label.application.name for label in labels)
    return f"{_DOUBT[labels[0].confidence]}{names}" if labels else ""


def _listed(uses: Iterable[KeyUse]) -> str:
    words = [use.plural for use in dict.fromkeys(uses)][:_USES_SHOWN]
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"


def lost_by_eviction(rows: Iterable[PatternRow], recognition: Recognition) -> tuple[str, ...]:
    """Sentences about what an eviction of keys of `rows` would break: one for each application, and one for each kind
    that names look like, the largest first.
    """
    of_application: dict[tuple[str, ...], list[PatternRow]] = {}
    guessed: dict[KeyUse, PatternRow] = {}
    for row in sorted(rows, key=lambda row: row.size, reverse=True):
        labels = recognition.of(row)
        if loss_of(row, recognition) in (None, Loss.HARMLESS):
            continue
        if labels:
            of_application.setdefault(tuple(label.application.name for label in labels), []).append(row)
        else:
            use = guessed_use(row.pattern, tuple(name for name, _ in row.types))
            if use is not None:
                guessed.setdefault(use.use, row)
    sentences = [_evicted(several, recognition) for several in of_application.values()]
    return (*sentences, *(_guessed_loss(row, use) for use, row in guessed.items()))


def _evicted(rows: list[PatternRow], recognition: Recognition) -> str:
    """`rows` are of one application (or of those that could be meant), the largest first."""
    labels = recognition.of(rows[0])
    uses = [recognition.of(row)[0].kind.use for row in rows]
    worst = max((loss_of(row, recognition) or Loss.HARMLESS for row in rows), key=list(Loss).index)
    needs = _policy_words([label.application for label in labels])
    where = f"{safe_text(rows[0].pattern, _SHOWN_WIDTH)}, {number_of_keys(sum(row.keys for row in rows))} in all"
    return (
        f"{_sentence(_listed(uses))} of {application_names(labels)} ({where}) may be evicted silently: that"
        f" {_LOSING[worst]}{needs}."
    )


def _policy_words(applications: Sequence[Application]) -> str:
    wanted = [application for application in applications if application.policy]
    return f"; {wanted[0].name} requires {wanted[0].policy}" if len(wanted) == len(applications) == 1 else ""


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:]


def _guessed_loss(row: PatternRow, use: KeyUse) -> str:
    return (
        f"{safe_text(row.pattern, _SHOWN_WIDTH)} ({number_of_keys(row.keys)}) looks like {_one_of(use)}: losing one of"
        " its keys may break the application that uses it."
    )


def _one_of(use: KeyUse) -> str:
    return "sessions" if use is KeyUse.SESSION else f"a {use}"


class _Lost(Struct):
    """Keys of one plan that are alike: how many, and one of them."""

    labels: tuple[KeyLabel, ...]
    use: KeyUse
    loss: Loss
    first: PlannedKey
    number: int = 0


def lost_with_plan(keys: Iterable[PlannedKey], operation: Operation) -> tuple[str, ...]:
    """Sentences about the keys of a plan whose loss is felt; one for each use of each application.

    >>> from redis_oom_tui.models.keys import KeyId
    >>> lost_with_plan([PlannedKey(KeyId(0, b"queue:mail"), "list", 9)], Operation.DELETE)
    ('1 key looks like a queue (queue:mail): deleting it may break the application that uses it.',)
    """
    from redis_oom_tui.rules.applications.recognizing import alike_keys  # noqa: PLC0415 - as above

    listed = tuple(keys)
    found: dict[tuple[str, KeyUse], _Lost] = {}
    ids = [key.id for key in listed]
    for alike in alike_keys([id_.db for id_ in ids], [id_.key for id_ in ids], [key.type for key in listed]):
        lost = _lost(listed[alike.first], alike.text, alike.labels)
        if lost is not None:
            found.setdefault((application_names(lost.labels), lost.use), lost).number += alike.number
    doing = "deleting" if operation is Operation.DELETE else "expiring"
    return tuple(_of_plan(lost, doing) for lost in found.values())


def lost_by_shrinking(key: KeyId, kind: str) -> tuple[str, ...]:
    """What the loss of elements of a key means to the application that it is of; nothing is guessed by its name.

    >>> lost_by_shrinking(KeyId(0, b"bull:mail:17"), "hash")
    ('This key holds jobs of what may be Bull or BullMQ: removing elements from it loses work.',)
    >>> lost_by_shrinking(KeyId(0, b"queue:mail"), "list")
    ()
    """
    from redis_oom_tui.rules.applications.recognizing import alike_keys  # noqa: PLC0415 - as above

    (alike,) = alike_keys([key.db], [key.key], [kind])
    lost = _lost(PlannedKey(key, kind, 0), alike.text, alike.labels) if alike.labels else None
    if lost is None:
        return ()
    holds = f"This key holds {lost.use.plural} of {application_names(lost.labels)}"
    return (f"{holds}: removing elements from it {_LOSING[lost.loss]}.",)


def _lost(first: PlannedKey, text: bytes, labels: tuple[KeyLabel, ...]) -> _Lost | None:
    if labels:
        worst = max(labels, key=lambda label: list(Loss).index(label.kind.loss))
        return None if worst.kind.loss is Loss.HARMLESS else _Lost(labels, worst.kind.use, worst.kind.loss, first)
    guessed = guessed_use(text, (first.type,))
    return None if guessed is None else _Lost((), guessed.use, guessed.loss, first)


def _of_plan(lost: _Lost, doing: str) -> str:
    name, one = safe_text(lost.first.id.key, _SHOWN_WIDTH), lost.number == 1
    them = "it" if one else "them"
    if lost.labels:
        holds = "holds" if one else "hold"
        example = name if one else f"such as {name}"
        return (
            f"{number_of_keys(lost.number)} {holds} {lost.use.plural} of {application_names(lost.labels)} ({example}):"
            f" {doing} {them} {_LOSING[lost.loss]}."
        )
    if one:
        return f"1 key looks like a {lost.use} ({name}): {doing} it may break the application that uses it."
    return (
        f"{count(lost.number)} keys look like {lost.use.plural} (such as {name}): {doing} them may break the"
        " application that uses them."
    )
