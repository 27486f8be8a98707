"""README and the pages under docs/, for the tests that check what they promise."""

from pathlib import Path

ROOT = Path(__file__).parents[2]
_FILES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
PAGES = {path.relative_to(ROOT): path.read_text(encoding="utf-8") for path in _FILES}
README = PAGES[Path("README.md")]
EVERYTHING = "\n\n".join(PAGES.values())


def page(name: str) -> str:
    """The text of docs/`name`.md."""
    return PAGES[Path("docs") / f"{name}.md"]
