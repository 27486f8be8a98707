"""Puts the manual page and the shells' completions into the wheel, drawn from the commands as they are."""

import contextlib
import io
import shutil
import sys
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

NAME = "redis-oom-tui"
# Where each shell looks, under the prefix that the wheel is installed to.
COMPLETIONS = {
    "bash": f"share/bash-completion/completions/{NAME}",
    "zsh": f"share/zsh/site-functions/_{NAME}",
    "fish": f"share/fish/vendor_completions.d/{NAME}.fish",
}


class DrawnFiles(BuildHookInterface[Any]):
    """hatchling's hook; it does nothing for an editable installation, whose commands may change at any time."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Draw the files into a folder of their own, and name them to the wheel."""
        if version == "editable":
            return
        folder = Path(self.directory) / "share"
        for place, text in _drawn(Path(self.root)).items():
            file = folder / Path(place).name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text)
            build_data["shared_data"][str(file)] = place

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:
        """Leave nothing but the wheel behind."""
        shutil.rmtree(Path(self.directory) / "share", ignore_errors=True)


def _drawn(root: Path) -> dict[str, str]:
    sys.path.insert(0, str(root))
    from redis_oom_tui.cli.main import cli
    from scripts.manual import page

    drawn = {f"share/man/man1/{NAME}.1": page()}
    for shell, place in COMPLETIONS.items():
        text = io.StringIO()
        with contextlib.redirect_stdout(text):
            cli.main(["completion", shell], prog_name=NAME, standalone_mode=False)
        drawn[place] = text.getvalue()
    return drawn
