"""One word for one thing: no public class name stands for two, and every module says what is in it."""

import ast
import re
from collections import defaultdict
from pathlib import Path

import textual

PACKAGE = Path(__file__).parent.parent / "redis_oom_tui"
MODULES = sorted(PACKAGE.rglob("*.py"))


def test_no_class_name_stands_for_two_things() -> None:
    found = defaultdict(list)
    for path in MODULES:
        for node in ast.parse(path.read_text()).body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                found[node.name].append(path.relative_to(PACKAGE))
    assert len(found) > 300
    assert {name: paths for name, paths in found.items() if len(paths) > 1} == {}


def test_every_module_says_what_is_in_it() -> None:
    assert [path for path in MODULES if not (ast.get_docstring(ast.parse(path.read_text())) or "").strip()] == []


def test_every_type_in_the_stylesheet_is_a_class() -> None:
    """Textual ignores a rule for a class that does not exist: the widget then has no size."""
    styles = re.sub(r"\{[^}]*\}|/\*.*?\*/", ";", (PACKAGE / "tui" / "styles.tcss").read_text(), flags=re.DOTALL)
    named = set(re.findall(r"(?<![\w.#:$-])[A-Z]\w+", styles))
    sources = [*MODULES, *Path(textual.__file__).parent.rglob("*.py")]
    classes = {name for path in sources for name in re.findall(r"^class (\w+)", path.read_text(), re.MULTILINE)}
    assert len(named) > 10
    assert named - classes == set()
