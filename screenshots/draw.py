"""Draw each scene from the real app on the demo server: SVG and PNG, at two sizes. Run by `make screenshots`."""

import asyncio
import sys
from pathlib import Path

import resvg_py

from redis_oom_tui.demo.server import DemoServer
from redis_oom_tui.store.live import LiveServer
from redis_oom_tui.tui.app import TriageApp

HERE = Path(__file__).parent
SIZES = ((120, 36), (80, 24))
# Each scene is what is pressed for it, after the one before it. A number is a wait in seconds.
SCENES: dict[str, tuple[str | float, ...]] = {
    "triage": (6.0,),
    "hogs": ("2", "r", 5.0),
    "patterns": ("tab", 1.0),
    "limits": ("3", 2.0),
    "cleanup": ("4", 2.0),
    "log": ("5", 2.0),
}
KEYS = 300_000
# Rich's drawing asks for a web font, which a renderer without network has not.
FONT = "DejaVu Sans Mono"


async def draw(server: DemoServer, size: tuple[int, int], only: set[str]) -> None:
    """One run of the app at one size, through all scenes."""
    app = TriageApp(LiveServer(server.connection))
    async with app.run_test(size=size) as pilot:
        for scene, steps in SCENES.items():
            for step in steps:
                if isinstance(step, str):
                    await pilot.press(step)
                else:
                    await asyncio.sleep(step)
            if not only or scene in only:
                save(app.export_screenshot(title="redis-oom-tui"), f"{scene}-{size[0]}x{size[1]}")


def save(svg: str, name: str) -> None:
    """The drawing, and the same as an image for those who cannot show one."""
    (HERE / f"{name}.svg").write_text(svg)
    local = svg.replace("Fira Code", FONT)
    (HERE / f"{name}.png").write_bytes(bytes(resvg_py.svg_to_bytes(svg_string=local, monospace_family=FONT)))
    sys.stdout.write(f"{name}.svg, {name}.png\n")


async def main() -> None:
    """All scenes, or those named on the command line."""
    with DemoServer() as server:
        server.start(keys=KEYS)
        for size in SIZES:
            await draw(server, size, set(sys.argv[1:]))


if __name__ == "__main__":
    asyncio.run(main())
