"""The form of a cleanup and the criteria that it means, with patterns as a scan counts them."""

import pytest

from redis_oom_tui.models.errors import BadInput
from redis_oom_tui.models.keys import KeyPattern
from redis_oom_tui.models.plan import Criteria
from redis_oom_tui.tui.panes.cleanup_form import (
    ENTRIES,
    Entry,
    Form,
    criteria,
    entries,
    from_criteria,
    turned,
    with_value,
)

PATTERN = next(entry for entry in ENTRIES if entry.field == "pattern")
TYPE = next(entry for entry in ENTRIES if entry.field == "type")
MANY = KeyPattern((b"s:", b"\0"), others=(None, tuple(b"name%d" % n for n in range(3000))))


@pytest.mark.parametrize(
    "pattern",
    [
        KeyPattern((b"user:", b"\0")),
        KeyPattern((b"user:",), below=True),
        KeyPattern((b"a,b:", b"\0:", b" v* ")),
        KeyPattern((b"\xff\\:", b"\0")),
        KeyPattern((b"user/", b"\0"), delimiters=b"/"),
        KeyPattern((b"",)),
        KeyPattern((), below=True),
        MANY,
    ],
)
def test_a_pattern_of_a_row_is_what_the_form_means(pattern: KeyPattern) -> None:
    found = Criteria(key_patterns=(pattern,), databases=(2,))
    assert criteria(from_criteria(found)) == found


@pytest.mark.parametrize("types", [("hash",), ("hash", "set"), ("ReJSON-RL",), ("graphdata", "string")])
def test_types_are_what_the_form_means_and_can_be_turned(types: tuple[str, ...]) -> None:
    form = from_criteria(Criteria(types=types))
    assert criteria(form).types == types
    assert len(criteria(turned(form, TYPE)).types) <= 1
    assert len(criteria(turned(form, TYPE, -1)).types) <= 1


def test_the_line_of_the_pattern_is_there_only_where_there_is_one_and_can_be_edited() -> None:
    form = from_criteria(Criteria(key_patterns=(KeyPattern((b"user:", b"\0")),)))
    assert PATTERN in entries(form)
    assert PATTERN not in entries(Form())
    edited = with_value(form, PATTERN, "user:<id>:cart")
    assert criteria(edited).key_patterns == (KeyPattern((b"user:", b"\0:", b"cart")),)
    assert criteria(with_value(form, PATTERN, "")).key_patterns == ()
    slashes = from_criteria(Criteria(key_patterns=(KeyPattern((b"a/", b"\0"), delimiters=b"/"),)))
    assert criteria(with_value(slashes, PATTERN, "b/*")).key_patterns == (KeyPattern((b"b/",), True, b"/"),)
    with pytest.raises(BadInput):
        with_value(form, PATTERN, "user:42")
    with pytest.raises(BadInput):
        with_value(from_criteria(Criteria(key_patterns=(MANY,))), PATTERN, "t:<other>")


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.field)
def test_what_may_be_typed_is_seen_whole_on_80_columns(entry: Entry) -> None:
    assert len(f" {entry.label}: {entry.hint} ") <= 80
