"""Draw each scene from the real app on the demo server: SVG and PNG, one also large. Run by `make screenshots`."""

import asyncio
import os
import sys
import tempfile
from pathlib import Path

import resvg_py

from redis_oom_tui.cli.actions import make_operator
from redis_oom_tui.cli.context import Invocation
from redis_oom_tui.cli.screen import ConfiguredProfiles
from redis_oom_tui.demo.server import DemoServer
from redis_oom_tui.files.config import Configuration
from redis_oom_tui.models.address import Address
from redis_oom_tui.models.config import Profile, Settings
from redis_oom_tui.server.live import LiveServer
from redis_oom_tui.tui.app import TriageApp
from tests.support.cluster import RunningCluster, clustered
from tests.support.servers import RunningServer, started

HERE = Path(__file__).parent
SIZES = ((120, 36), (80, 24))
# A large terminal, drawn up to this scene, which alone is saved.
LARGE, LARGE_SCENE = (200, 60), "triage"
# The walk in README goes through them in this order but for Triage, which stands on top of it; `oom` is its first look.
# Each scene is what is done for it, after the one before it: keys to press, seconds to wait, or `~word` to wait for.
SCENES: dict[str, tuple[str | float, ...]] = {
    "oom": (4.0,),
    "hogs": ("2", "r", "~COMPLETE", 1.0),
    "patterns": ("tab", 1.0),
    "triage": ("1", 20.0),
    "limits": ("3", "~EVICTION", "home", "down", "down", "down", "down", 1.0),
    "policy": ("enter", 1.0),
    "cleanup": ("escape", "4", "enter", *"cache:v1:*", "enter", 0.5, "x", "~delete:", 1.0),
    "confirm": ("x", 1.0),
    "report": (*"delete", "enter", "~fell", 6.0),
    "log": ("5", 2.0),
    "healthy": ("1", 3.0),
    "overview": ("O", "~orders", 6.0, "slash", *"orders", "enter", "enter", "escape", "S", "S", 2.0),
}
# What the animated picture of README shows, and for how many seconds: 20 in all.
FRAMES = {
    "oom": 4.0,
    "hogs": 2.5,
    "patterns": 3.0,
    "cleanup": 3.0,
    "confirm": 2.5,
    "report": 2.5,
    "healthy": 2.5,
}
FRAMES_SIZE = (80, 24)
UNSAVED = {"oom", "healthy"}  # Only frames.
PATIENCE_SECONDS = 300
KEYS = 300_000
# Rich's drawing asks for fonts that a renderer without network may not have.
FONT = "DejaVu Sans Mono"


async def draw(server: DemoServer, size: tuple[int, int], only: set[str]) -> None:
    """One run of the app at one size, through all scenes."""
    source = LiveServer(server.connection)
    with (
        tempfile.TemporaryDirectory(prefix="state-") as folder,
        started("valkey") as full,
        clustered(3, replicas=False) as cluster,
    ):
        # Audit file and backups of a deletion that was made for show.
        os.environ["XDG_STATE_HOME"] = folder
        app = TriageApp(source, operator=make_operator(Invocation(), source))
        app.switchboard = others(server, full, cluster)
        await press_through(app, size, only)


def others(demo: DemoServer, full: RunningServer, cluster: RunningCluster) -> ConfiguredProfiles:
    """What the overview shows: the demo's server by now healthy, a full one, a cluster."""
    with full.client() as client:
        client.mset({f"session:{number}": b"x" * 1000 for number in range(2000)})
        client.config_set("maxmemory", client.info("memory")["used_memory"] - 100_000)
    for node in cluster.primaries:
        with node.server.client() as client:
            client.config_set("maxmemory", 8 << 20)
    profiles = [
        Profile("shop-cache", demo.connection.address),
        Profile("sessions", Address(socket_path=str(full.socket_path)), production=True),
        Profile("orders", Address(port=cluster.primaries[0].port), cluster=True),
    ]
    settings = Settings(profiles={profile.name: profile for profile in profiles})
    return ConfiguredProfiles(Invocation(configuration=Configuration(settings)))


async def press_through(app: TriageApp, size: tuple[int, int], only: set[str]) -> None:
    """Each scene in its turn; at the end the animation of them."""
    frames: dict[str, str] = {}
    async with app.run_test(size=size) as pilot:
        for scene, steps in SCENES.items():
            for step in steps:
                if not isinstance(step, str):
                    await asyncio.sleep(step)
                elif step.startswith("~"):
                    await wait_for(app, step[1:])
                else:
                    await pilot.press(step)
            picture = app.export_screenshot(title="redis-oom-tui")
            frames[scene] = picture
            wanted = scene == LARGE_SCENE if size == LARGE else scene not in UNSAVED
            if wanted and (not only or scene in only):
                save(picture, f"{scene}-{size[0]}x{size[1]}")
            if size == LARGE and wanted:
                return
    if size == FRAMES_SIZE and (not only or "demo" in only):
        (HERE / "demo.svg").write_text(animated([(frames[scene], seconds) for scene, seconds in FRAMES.items()]))
        sys.stdout.write("demo.svg\n")


def animated(frames: list[tuple[str, float]]) -> str:
    """One SVG that shows the frames in turn, for ever. A viewer without CSS animation shows the first.

    Each frame covers those before it from its time on, until all begin again.
    """
    total = sum(seconds for _, seconds in frames)
    view_box = frames[0][0].split('viewBox="', 1)[1].split('"', 1)[0]
    rules, pictures, begin = [], [], 0.0
    for index, (picture, seconds) in enumerate(frames):
        if index:
            share = 100 * begin / total
            rules.append(f"@keyframes f{index} {{ 0% {{ opacity: 0 }} {share:.2f}%, 100% {{ opacity: 1 }} }}")
            rules.append(f".f{index} {{ opacity: 0; animation: f{index} {total}s step-end infinite }}")
        pictures.append(f'<g class="f{index}">{picture}</g>')
        begin += seconds
    style = "<style>\n" + "\n".join(rules) + "\n</style>"
    return f'<svg viewBox="{view_box}" xmlns="http://www.w3.org/2000/svg">{style}{"".join(pictures)}</svg>\n'


async def wait_for(app: TriageApp, word: str) -> None:
    """Until the word stands on the screen."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while word not in app.export_screenshot():  # noqa: ASYNC110 - it is the drawing that tells
            await asyncio.sleep(0.5)


def save(svg: str, name: str) -> None:
    """The drawing, and the same as an image for those who cannot show one."""
    (HERE / f"{name}.svg").write_text(svg)
    local = svg.replace("Fira Code", FONT).replace("font-family: arial", f"font-family: {FONT}")
    (HERE / f"{name}.png").write_bytes(bytes(resvg_py.svg_to_bytes(svg_string=local, monospace_family=FONT)))
    sys.stdout.write(f"{name}.svg, {name}.png\n")


async def main() -> None:
    """All scenes, or those named on the command line."""
    for size in (*SIZES, LARGE):
        with DemoServer() as server:
            server.start(keys=KEYS)
            await draw(server, size, set(sys.argv[1:]))


if __name__ == "__main__":
    asyncio.run(main())
