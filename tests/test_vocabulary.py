"""The sentences that a user may read: plain words, one word for one thing, and none too long for a hurried reader."""

import ast
import re
from collections.abc import Collection, Iterator
from functools import cache
from pathlib import Path

import pytest

import redis_oom_tui

_PACKAGE = Path(redis_oom_tui.__file__).parent
_TESTS = Path(__file__).parent
# Each with what is said instead.
_BANNED = {
    r"anew": "again",
    r"mend(ed|s)?": "fix",
    r"(put|puts|take it|goes) back": "restore (keys), undo or revert (settings)",
    r"(gone|goes|going) on with": "resume",
    r"(broke|broken|cut) off": "interrupted",
    r"walk(s|ed|ing)?": "scan",
    r"famil(y|ies)": "pattern",
    r"look(s|ed)? (at|again|for|into)": "check, read, search, preview or poll",
    r"(it|he|who) wants|wants (a|an|to)": "requires",
    r"told|untold": "shown, reported, known",
    r"nobody (has|knows)": "unknown",
    r"is no \w+ any more|is no (theme|terminal|pattern|pipeline)": "is not a",
    r"in place of": "instead of",
    r"brak(e|es|ing)": "throttled",
    r"not to be had": "not available",
    r"(colour|behaviour|favour|honour)\w*|\w+(gn|gan|on|mal)is(e|ed|es|ing)": "American spelling",
}
# Names in the code that only their author could guess, each with its plain word.
_PRIVATE = {
    "lane": "connection",
    "lanes": "connections",
    "pen": "style",
    "tally": "aggregates",
    "walker": "command",
    "heir": "successor",
    "knock": "preflight",
    "hush": "clear_message",
    "rung": "level",
    "whereabouts": "breakdown",
    "look": "poll, snapshot, screen_theme",
    "reading": "state, measured",
    "told": "known, reported",
    "said": "reply, error",
    "fleet": "cluster",
    "gate": "command_allowlist",
    "manners": "handshake",
    "brake": "throttle",
    "wish": "request",
    "mould": "shape",
    "strangers": "migrating_names",
    "fate": "outcome",
    "reckon": "measure",
    "culprits": "holders",
    "walk": "scan",
    "walked": "scanned",
    "family": "pattern",
    "families": "patterns",
}
# Of these, what the tests are held to as well.
_PRIVATE_IN_TESTS = frozenset({"look", "brake", "told", "family", "families"})
_MASTER = re.compile(r"\bmaster\b")
# Sentinel's own word: what --master names.
_SENTINEL = re.compile(r"[Ss]entinel|--master|^master \{\}|`master`")
# Lua, stylesheets, regular expressions, and Redis's commands one after the other.
_CODE = re.compile(r"\nlocal |\{\s|\\[a-zS(]|^auth client config ")
_SENTENCE_END = re.compile(r"(?<=[.:;?!])\s")
_LONGEST = 30


def _text(node: ast.AST) -> str | None:
    """A literal; what is put into it stands as `{}`."""
    if isinstance(node, ast.Constant):
        return node.value if isinstance(node.value, str) else None
    if isinstance(node, ast.JoinedStr):
        return "".join(str(part.value) if isinstance(part, ast.Constant) else "{}" for part in node.values)
    return None


def _literals(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Every literal but docstrings, with its line."""
    passed = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Expr | ast.JoinedStr):
            passed |= {id(part) for part in ast.iter_child_nodes(node) if isinstance(part, ast.Constant)}
        text = None if id(node) in passed else _text(node)
        if text is not None and " " in text.strip():
            yield getattr(node, "lineno", 0), text


@cache
def _sentences() -> tuple[tuple[str, str], ...]:
    """What reads as a sentence or a part of one, with its place; code in other languages is none."""
    return tuple(
        (f"{path.relative_to(_PACKAGE)}:{line}", text)
        for path in sorted(_PACKAGE.rglob("*.py"))
        for line, text in _literals(ast.parse(path.read_text()))
        if not _CODE.search(text)
    )


def test_there_is_something_to_read() -> None:
    assert len(_sentences()) > 1500


@pytest.mark.parametrize("pattern", _BANNED)
def test_words_that_readers_stumble_over_are_not_used(pattern: str) -> None:
    banned = re.compile(rf"\b({pattern})\b", re.IGNORECASE)
    found = [f"{place}: {text!r}" for place, text in _sentences() if banned.search(text)]
    assert not found, f"say: {_BANNED[pattern]}"


def test_a_primary_is_called_that() -> None:
    found = [place for place, text in _sentences() if _MASTER.search(text) and not _SENTINEL.search(text)]
    assert not found


def test_signs_are_set_as_english_sets_them() -> None:
    wrong = re.compile(r"[\d}] %|[a-z,;]  [a-z]")
    found = [f"{place}: {text!r}" for place, text in _sentences() if wrong.search(text)]
    assert not found


def test_no_sentence_is_too_long_for_a_screen() -> None:
    found = []
    for place, text in _sentences():
        found += [f"{place}: {one!r}" for one in _SENTENCE_END.split(text) if len(one.split()) > _LONGEST]
    assert not found


def _names(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Every name that is given to something: variables, attributes, arguments, functions."""
    for node in ast.walk(tree):
        name = getattr(node, "id", None) or getattr(node, "attr", None) or getattr(node, "arg", None)
        name = name or getattr(node, "name", None)
        if isinstance(name, str):
            yield getattr(node, "lineno", 0), name


def _private_names(path: Path, banned: Collection[str]) -> Iterator[str]:
    text = path.read_text()
    # Prometheus calls a metric with all its labels a family.
    allowed = {"family", "families"} if "prometheus_client" in text else set()
    for line, name in _names(ast.parse(text)):
        word = name.strip("_")
        if word in banned and word not in allowed:
            yield f"{path}:{line}: {name}, say: {_PRIVATE[word]}"


def test_no_name_needs_its_author_to_explain_it() -> None:
    found = [one for path in sorted(_PACKAGE.rglob("*.py")) for one in _private_names(path, _PRIVATE)]
    found += [one for path in sorted(_TESTS.rglob("*.py")) for one in _private_names(path, _PRIVATE_IN_TESTS)]
    assert not found
