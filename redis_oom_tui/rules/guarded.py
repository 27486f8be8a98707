"""The one place where a rule that fails on its figures is caught: what it would have said is not judged, and kept.

A rule is arithmetic over a stranger's figures. Whatever it stumbles over is a defect of ours, which must end no poll,
no watch and no replay: the caller goes on without its answer, says so, and the defect is reported once.
"""

from collections.abc import Callable
from typing import TypeVar

from msgspec import Struct

from redis_oom_tui.formatting.sanitize import defect_lines, safe_text
from redis_oom_tui.models.errors import TriageError

T = TypeVar("T")

# What arithmetic and look-ups over odd figures raise; statistics.StatisticsError is a ValueError.
FAULTS = (ArithmeticError, AssertionError, AttributeError, LookupError, NameError, RuntimeError, TypeError, ValueError)
_MOST_KEPT = 100


class NotJudged(Struct, frozen=True):
    """What failed, in words that end in is or are, and the kind of its error; `lines` say where it happened."""

    what: str
    kind: str
    lines: tuple[str, ...] = ()

    @property
    def words(self) -> str:
        """One clause for people."""
        return f"{self.what} not judged: a defect of this tool ({self.kind})"


class Defects:
    """The defects of this process, each kept and reported once. `report` is set by whoever can write them down."""

    def __init__(self) -> None:
        self.report: Callable[[NotJudged], None] | None = None
        self.kept: dict[tuple[str, ...], NotJudged] = {}

    def take(self, what: str, error: BaseException) -> NotJudged:
        """Keep `error`; reported the first time only."""
        fault = NotJudged(what, type(error).__name__, tuple(defect_lines(error)))
        place = (what, fault.kind, *fault.lines[-2:-1])
        if place not in self.kept and len(self.kept) < _MOST_KEPT:
            self.kept[place] = fault
            if self.report is not None:
                self.report(fault)
        return fault


DEFECTS = Defects()

# What may go wrong in anything that a watch or a screen runs beside its rules.
TROUBLE = (TriageError, OSError, ExceptionGroup, EOFError, *FAULTS)


def sentence(what: str, error: BaseException) -> str:
    """`error` in words: its own sentence, the system's, or that it is a defect of ours, which is kept then.

    >>> sentence("the hook is", ExceptionGroup("", [TriageError("The server is away.")]))
    'The server is away.'
    """
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    if isinstance(error, TriageError):
        return str(error)
    if isinstance(error, OSError):
        return f"the system refused: {safe_text(error.strerror or str(error), 200)}"
    return DEFECTS.take(what, error).words


def attempt(what: str, work: Callable[[], T], instead: Callable[[NotJudged], T]) -> T:
    """What `work` comes to, or `instead` where it fails: `what` names it in words that end in is or are.

    >>> attempt("the trend is", lambda: str(1 // 0), lambda fault: fault.words)
    'the trend is not judged: a defect of this tool (ZeroDivisionError)'
    """
    try:
        return work()
    except FAULTS as error:
        return instead(DEFECTS.take(what, error))
