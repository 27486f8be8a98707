"""A pattern holds exactly the names that it counted, by whichever way it is given: value, text, what a table shows."""

from collections import Counter
from collections.abc import Sequence

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from redis_oom_tui.formatting import pattern_text
from redis_oom_tui.formatting.pattern_text import text
from redis_oom_tui.formatting.sanitize import safe_text
from redis_oom_tui.models.errors import BadInput
from redis_oom_tui.models.keys import KeyPattern
from redis_oom_tui.models.scan import PatternRow
from redis_oom_tui.rules import patterns
from redis_oom_tui.rules.key_patterns import Matcher, compiled_glob, read
from redis_oom_tui.rules.pattern_rows import rows
from redis_oom_tui.rules.pattern_tree import PatternTree

PIECES = st.one_of(
    st.sampled_from(
        [
            *(
                b"user",
                b"billing",
                b"session",
                b"app[12]",
                b"v*",
                b"a\\b",
                b"x?",
                b"<id>",
                b"<any>",
                b"<other than a|b>",
            ),
            *(b"1", b"42", b"v2", b"\xff\xfe", "caf\u00e9".encode(), b"", b"*", b"\\", b"|", b">", b"new17", b"a\nb"),
            *(b"9f86d081884c7d659a2feaa0c55ad015", b"3f2504e0-4f89-11d3-9a0c-0305e82c3301", b"defaced0", b"~", b"\0"),
            *(b"w" * 70, b"-._", b"2024-01-31T10", b"{7}", b"\\x41", b" ", b"\x1b[31m", b"'", b"cafe1234"),
        ]
    ),
    st.binary(max_size=6),
    st.text("ab1*", min_size=1, max_size=3).map(str.encode),
)
NAMES = st.lists(st.lists(PIECES, min_size=1, max_size=10).map(b":".join), max_size=60)
WORDS = [bytes((97 + n % 26, 97 + n // 26 % 26, 97 + n // 676)) for n in range(2000)]


def counted(names: Sequence[bytes], delimiters: bytes = b":", max_nodes: int = 5000) -> tuple[PatternRow, ...]:
    tree = PatternTree(delimiters, max_nodes)
    for start in range(0, len(names), 7):
        page = list(names[start : start + 7])
        tree.add(0, page, [100] * len(page), [-1] * len(page), [b"string"] * len(page), 0)
    return rows(tree, limit=100_000)


def is_exact(found: Sequence[PatternRow], names: list[bytes], delimiters: bytes = b":") -> None:
    assert len({row.pattern for row in found}) == len(found)
    for row in found:
        assert row.select is not None
        held = Matcher(row.select).kept(names)
        assert len(held) == row.keys, row
        assert all(compiled_glob(row.match).fullmatch(name) for name in held), row
        written = text(row.select)
        if written is not None:
            assert written.isprintable()
            assert written.isascii()
            assert read(written, delimiters) == row.select
        if b"<other>" not in row.pattern:
            typed = read(safe_text(row.pattern), delimiters)
            assert Matcher(typed).kept(names) == held, (row, typed)
        assert pattern_text.from_fields(pattern_text.fields(row.select)) == row.select


@given(NAMES)
@example([b"user:1", b"user:billing:1", b"user:1:session", b"1", b"2:3", b""])
def test_each_row_holds_what_it_counted(names: list[bytes]) -> None:
    is_exact(counted(names), names)


@given(NAMES, st.sampled_from([b":/", b".", b"", b"-_", b"*", b"<"]))
def test_each_row_holds_what_it_counted_with_other_delimiters(names: list[bytes], delimiters: bytes) -> None:
    is_exact(counted(names, delimiters), names, delimiters)


FOLDED = st.lists(
    st.lists(st.sampled_from([*WORDS[:30], b"1", b"v*", b"a|b", b"x>"]), min_size=1, max_size=4).map(b":".join),
    min_size=40,
    max_size=100,
)


@settings(max_examples=40)
@given(FOLDED)
def test_rows_that_took_in_others_hold_what_they_counted(names: list[bytes]) -> None:
    found = counted(names, max_nodes=24)
    is_exact(found, names)


def test_a_crowd_is_folded_into_a_row_that_names_what_it_leaves_out() -> None:
    words = WORDS[:800]
    names = [b"s:%s" % word for word in words] + [b"s:%s:cart" % word for word in words] + [b"s:aaa"] * 300
    found = {row.pattern: row for row in counted(names, max_nodes=64)}
    is_exact(list(found.values()), names)
    other = found[b"s:<other>"]
    assert other.select is not None
    assert other.select.others[-1]
    assert text(other.select) is not None
    with pytest.raises(BadInput, match="select"):
        read("s:<other>")


def test_what_came_after_the_scan_is_not_taken_unawares() -> None:
    names = [b"user:%d" % number for number in range(50)] + [b"user:1:cart"]
    found = {row.pattern: row for row in counted(names)}
    select = found[b"user:<id>"].select
    assert select is not None
    assert Matcher(select).kept([b"user:99", b"user:99:cart", b"user:config", b"xuser:9"]) == [b"user:99"]


@given(st.lists(PIECES, min_size=1, max_size=10).map(b":".join))
def test_looking_up_alike_names_changes_no_answer(name: bytes) -> None:
    """The cache of shapes and hex shapes answers as the splitting itself does."""
    like = [name, name.translate(bytes.maketrans(b"0123456789abcdef", b"1234567890bcdefa")), name + b"1"]
    pattern = KeyPattern(tuple(patterns.parts(patterns.Normaliser().name(name))))
    fresh = [Matcher(pattern).held([one])[0] for one in like]
    assert Matcher(pattern).held(like) == fresh
    assert fresh[0]


@pytest.mark.parametrize(
    ("typed", "held", "left"),
    [
        ("user:<id>", b"user:1", b"user:1:a"),
        ("user:*", b"user:config:1", b"users:1"),
        ("user:*:cart", b"user:7:cart", b"user:billing:cart"),
        ("*", b"anything:1", b""),
        ("<id>", b"17", b"a"),
        ("app[<id>]:v\\*", b"app[12]:v*", b"app[12]:v1"),
        ("user:<any>:cart", b"user:billing:cart", b"user:1"),
        ("user:<other than billing|a\\|b>:cart", b"user:7:cart", b"user:a|b:cart"),
        ("caf\u00e9:<id>", "caf\u00e9:1".encode(), b"cafe:1"),
        ("\\xff:<id>", b"\xff:1", b"\xfe:1"),
        ("a<b>:<id>", b"a<b>:1", b"ab:1"),
    ],
)
def test_a_typed_pattern(typed: str, held: bytes, left: bytes) -> None:
    answers = Matcher(read(typed)).held([held, left])
    assert answers == [True, typed == "*"]


@pytest.mark.parametrize(
    "typed", ["a\\", "a\\q", "x<any>", "<any>y:z", "<other>", "a:b:c:d:e:f:g:h:i:<id>", "w" * 70, "user:42"]
)
def test_a_pattern_that_means_nothing_is_refused(typed: str) -> None:
    with pytest.raises(BadInput):
        read(typed)


def test_the_issue_s_own_data() -> None:
    names = [b"user:%d" % n for n in range(2000)]
    names += [b"user:billing:%d" % n for n in range(300)] + [b"user:%d:session" % n for n in range(300)]
    found = counted(names)
    assert Counter({row.pattern: row.keys for row in found}) == {
        b"user:*": 2600,
        b"user:<id>": 2000,
        b"user:billing:*": 300,
        b"user:*:session": 300,
    }
    is_exact(found, names)


def test_parts_that_vary_side_by_side_do_not_read_as_everything() -> None:
    both = KeyPattern((b"\0\0",))
    assert (pattern_text.shown(both), pattern_text.text(both)) == (b"<id><id>", "<id><id>")
    assert pattern_text.parsed("<id><id>", b":") == both
    assert pattern_text.shown(KeyPattern((b"a\0\0:", b"\0"))) == b"a<id><id>:<id>"
    assert pattern_text.shown(KeyPattern((b"\0-\0",))) == b"*-*"
