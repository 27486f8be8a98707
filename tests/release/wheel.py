"""The wheel: what is in it, and what an index will show of it."""

import re
import zipfile
from email import message_from_bytes
from pathlib import Path

import pytest

import redis_oom_tui

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def wheel() -> dict[str, bytes]:
    """The files of the wheel in dist/, by name."""
    (file,) = (ROOT / "dist").glob("*.whl")
    with zipfile.ZipFile(file) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def test_it_brings_the_page_and_a_completion_for_each_shell(wheel: dict[str, bytes]) -> None:
    shared = {name.partition(".data/data/share/")[2]: text for name, text in wheel.items() if ".data/data/" in name}
    assert sorted(shared) == [
        "bash-completion/completions/redis-oom-tui",
        "fish/vendor_completions.d/redis-oom-tui.fish",
        "man/man1/redis-oom-tui.1",
        "zsh/site-functions/_redis-oom-tui",
    ]
    assert b"cleanup" in shared["man/man1/redis-oom-tui.1"]
    assert all(b"_REDIS_OOM_TUI_COMPLETE" in text for name, text in shared.items() if not name.startswith("man/"))


def test_every_file_of_the_package_is_in_it_and_no_other(wheel: dict[str, bytes]) -> None:
    package = Path(redis_oom_tui.__file__).parent
    sources = {str(path.relative_to(ROOT)) for path in package.rglob("*") if path.is_file() and path.suffix != ".pyc"}
    in_wheel = {name for name in wheel if name.startswith("redis_oom_tui/")}
    assert in_wheel - sources == {"redis_oom_tui/files/config/example.toml"}
    assert sources - in_wheel == set()


def test_its_description_links_to_files_of_its_own_version(wheel: dict[str, bytes]) -> None:
    (metadata,) = (text for name, text in wheel.items() if name.endswith(".dist-info/METADATA"))
    message = message_from_bytes(metadata)
    assert message["License-Expression"] == "MIT"
    text = metadata.decode()
    links = re.findall(r"\]\(([^)]+)\)", text)
    assert len(links) > 20
    assert [link for link in links if not link.startswith("https://")] == []
    own = f"https://github.com/redis-oom-tui/redis-oom-tui/blob/v{redis_oom_tui.__version__}/"
    linked = [link.removeprefix(own).partition("#")[0] for link in links if link.startswith(own)]
    assert "docs/safety.md" in linked
    assert [name for name in linked if not (ROOT / name).exists()] == []
