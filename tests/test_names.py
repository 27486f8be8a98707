"""One word for one thing, every module says what is in it, and nothing is longer than a reader holds."""

import ast
import re
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import textual

PACKAGE = Path(__file__).parent.parent / "redis_oom_tui"
MODULES = sorted(PACKAGE.rglob("*.py"))


def _parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text())


def test_no_class_name_stands_for_two_things() -> None:
    found = defaultdict(list)
    for path in MODULES:
        for node in _parsed(path).body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                found[node.name].append(path.relative_to(PACKAGE))
    assert len(found) > 300
    assert {name: paths for name, paths in found.items() if len(paths) > 1} == {}


def test_every_module_says_what_is_in_it() -> None:
    assert [path for path in MODULES if not (ast.get_docstring(_parsed(path)) or "").strip()] == []


def test_every_type_in_the_stylesheet_is_a_class() -> None:
    """Textual ignores a rule for a class that does not exist: the widget then has no size."""
    styles = re.sub(r"\{[^}]*\}|/\*.*?\*/", ";", (PACKAGE / "tui" / "styles.tcss").read_text(), flags=re.DOTALL)
    named = set(re.findall(r"(?<![\w.#:$-])[A-Z]\w+", styles))
    sources = [*MODULES, *Path(textual.__file__).parent.rglob("*.py")]
    classes = {name for path in sources for name in re.findall(r"^class (\w+)", path.read_text(), re.MULTILINE)}
    assert len(named) > 10
    assert named - classes == set()


# Lines of a file and of a function, methods of a class.
_LONGEST_FILE, _LONGEST_FUNCTION, _MOST_METHODS = 350, 45, 20


def test_nothing_is_longer_than_a_reader_holds() -> None:
    """Say a thing once, or move a whole idea to where a newcomer would look for it."""
    folders = [PACKAGE, Path(__file__).parent, PACKAGE.parent / "scripts", PACKAGE.parent / "docs"]
    found = []
    for path in sorted(file for folder in folders for file in folder.rglob("*.py")):
        name, lines, tree = path.relative_to(PACKAGE.parent), path.read_text().count("\n"), _parsed(path)
        if lines > _LONGEST_FILE:
            found.append(f"{name} has {lines} lines")
        found += [f"{name}, {excess}" for excess in _too_long(tree)]
    assert found == []


def _too_long(scope: ast.AST) -> Iterator[str]:
    for node in ast.iter_child_nodes(scope):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            lines = (node.end_lineno or 0) - node.lineno + 1
            if lines > _LONGEST_FUNCTION:
                yield f"{node.name} has {lines} lines"
        elif isinstance(node, ast.ClassDef):
            methods = sum(isinstance(one, ast.FunctionDef | ast.AsyncFunctionDef) for one in node.body)
            if methods > _MOST_METHODS:
                yield f"{node.name} has {methods} methods"
            yield from _too_long(node)
