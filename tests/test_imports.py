"""No module imports one that imports it, not through others and not for types alone."""

import ast
from collections.abc import Iterator, Mapping
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

ROOT = Path(__file__).parents[1]


def modules(root: Path) -> dict[str, Path]:
    """Every module of the package by its dotted name."""
    found = {
        ".".join(path.relative_to(root).with_suffix("").parts): path for path in root.glob("redis_oom_tui/**/*.py")
    }
    return {name.removesuffix(".__init__"): path for name, path in found.items()}


def imported(path: Path, known: Mapping[str, Path]) -> Iterator[str]:
    """The modules of the package that one imports, wherever in it the import stands."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name in known)
        elif isinstance(node, ast.ImportFrom) and node.module:
            for alias in node.names:
                inner = f"{node.module}.{alias.name}"
                yield from (name for name in (inner if inner in known else node.module,) if name in known)


def a_cycle(graph: Mapping[str, set[str]]) -> list[str]:
    """The names along one circle of imports; none where there is no circle."""
    try:
        tuple(TopologicalSorter(graph).static_order())
    except CycleError as error:
        return list(error.args[1])
    return []


def test_no_import_goes_in_a_circle() -> None:
    known = modules(ROOT)
    assert len(known) > 100
    graph = {name: set(imported(path, known)) - {name} for name, path in known.items()}
    assert a_cycle(graph) == []


def test_a_circle_for_types_alone_is_found(tmp_path: Path) -> None:
    package = tmp_path / "redis_oom_tui"
    package.mkdir()
    (package / "one.py").write_text("from redis_oom_tui import two\n")
    (package / "two.py").write_text("if TYPE_CHECKING:\n    from redis_oom_tui.one import Thing\n")
    known = modules(tmp_path)
    cycle = a_cycle({name: set(imported(path, known)) for name, path in known.items()})
    assert set(cycle) == {"redis_oom_tui.one", "redis_oom_tui.two"}
