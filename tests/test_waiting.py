"""Tests wait for conditions: nothing sleeps for a while and hopes that something has happened meanwhile."""

import ast
from collections.abc import Iterator
from pathlib import Path

TESTS = Path(__file__).parent
# Its helpers say why time passes. Benchmarks measure for a while.
MAY_SLEEP = {TESTS / "support" / "waiting.py", *(TESTS / "benchmarks").rglob("*.py")}
SLEEPS = {"time.sleep", "asyncio.sleep", "pilot.pause"}


def bare_sleeps(text: str) -> Iterator[int]:
    """The lines that sleep outside a `while`, whose condition is what is waited for; a turn of the loop is no sleep."""
    yield from _bare(ast.parse(text), inside=False)


def _bare(node: ast.AST, *, inside: bool) -> Iterator[int]:
    named = node.func if isinstance(node, ast.Call) else node
    if isinstance(named, ast.Attribute) and named.attr in {"sleep", "pause"} and ast.unparse(named) in SLEEPS:
        turn = isinstance(node, ast.Call) and all(ast.unparse(given) == "0" for given in node.args)
        if not turn and not inside:
            yield node.lineno
        return
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.For | ast.AsyncFor | ast.While):
        inside = isinstance(node, ast.While)
    for child in ast.iter_child_nodes(node):
        yield from _bare(child, inside=inside)


def test_what_counts_as_a_bare_sleep() -> None:
    loops = "while not done():\n    time.sleep(1)\nfor _ in range(9):\n    time.sleep(1)\n"
    assert list(bare_sleeps(loops)) == [4]
    assert list(bare_sleeps("time.sleep(1)\nawait asyncio.sleep(0)\nawait pilot.pause()\npilot.pause(0.1)")) == [1, 4]
    assert list(bare_sleeps("loop.call_later(1, time.sleep, 2)")) == [1]


def test_no_test_sleeps_for_a_while() -> None:
    texts = {path: path.read_text() for path in TESTS.rglob("*.py") if path not in MAY_SLEEP}
    assert len(texts) > 200
    sleeping = {path: text for path, text in texts.items() if "sleep" in text or "pause" in text}
    found = {str(path.relative_to(TESTS)): list(bare_sleeps(text)) for path, text in sleeping.items()}
    assert {path: lines for path, lines in found.items() if lines} == {}
