"""`python -m tests.benchmarks.savings`: each finding's advice is taken on every flavour; is what it freed in the range?

A line for each: the range, what was freed, and how wide the range is; the coverage last. What the range misses by no
more than used_memory moves by itself meanwhile is marked `edge`, and counted apart.
"""

import asyncio
import sys
import time
from contextlib import ExitStack

from redis_oom_tui.models.scan import Pace, ScanOptions
from redis_oom_tui.models.verdict import Finding
from redis_oom_tui.rules.clients import with_clients
from redis_oom_tui.rules.findings import find
from redis_oom_tui.server.values import sample_patterns
from tests.benchmarks.savings_cases import CASES, Case
from tests.server.scenes import MIB, Scene
from tests.support.servers import RunningServer, available, started
from tests.support.sources import opened


def held(scene: Scene) -> int:
    """used_memory once the server has ended what it does by itself."""
    used = scene.used()
    for _ in range(80):
        time.sleep(0.12)
        last, used = used, scene.used()
        pending = scene.client.info("memory")["lazyfree_pending_objects"]
        if abs(used - last) < 2048 and not pending:
            break
    return used


async def examined(server: RunningServer, name: str) -> Finding | None:
    """The finding, from all that the product can ask."""
    async with opened(server.connection) as live:
        scan = await live.scan(ScanOptions(pace=Pace.FULL_SPEED, idle=True)).run()
        values = await sample_patterns(live, scan)
        now, settings, clients, _ = await live.read_closely()
        found = find(with_clients(now, clients), scan, clients, settings=settings, values=values)
    return next((one for one in found if one.id == name), None)


# The buffers of the clients that wrote the data shrink some seconds later, by up to this much.
_NOISE_BYTES, _NOISE_SHARE = 256 * 1024, 0.07


def measured(name: str, case: Case, flavour: str) -> str | None:
    """Where what the advice freed was: in the range (''), at its edge, or out; None where no number is given."""
    with started(flavour, *case.config) as server, ExitStack() as stack:
        scene = Scene(server, stack)
        # Each command's first call takes some memory for its statistics.
        asyncio.run(examined(server, case.finding))
        empty = held(scene)
        case.make(scene)
        before = held(scene)
        finding = asyncio.run(examined(server, case.finding))
        if finding is None or finding.saves_bytes is None:
            print(f"{name:44}{flavour:8}{'no finding' if finding is None else 'no number':>12}", flush=True)
            return None
        if case.cure is not None:
            # The examination's own commands have taken their part by now.
            before = held(scene)
            case.cure(scene)
            saved = before - held(scene)
    if case.cure is None:
        with started(flavour, *case.config) as server, ExitStack() as stack:
            scene = Scene(server, stack)
            start = held(scene)
            scene.several(case.instead)
            saved = before - empty - (held(scene) - start)
    low, high = finding.saves_bytes
    noise = min(_NOISE_BYTES, _NOISE_SHARE * saved)
    missed = max(low - saved, saved - high, 0)
    mark = "" if not missed else "edge" if missed <= noise else "OUT"
    width = f"x{high / low:.2f}" if low else "from 0"
    print(f"{name:44}{flavour:8}{low / MIB:9.2f}{saved / MIB:9.2f}{high / MIB:9.2f} MiB  {width}  {mark}", flush=True)
    return mark


def main(wanted: list[str]) -> None:
    """Each case on each flavour, or those whose name holds one of the words."""
    print(f"{'case':44}{'server':8}{'low':>9}{'freed':>9}{'high':>9}")
    answers = [
        measured(name, case, flavour)
        for name, case in CASES.items()
        for flavour in case.flavours
        if flavour in available() and (not wanted or any(word in name for word in wanted))
    ]
    numbers = [answer for answer in answers if answer is not None]
    inside, edge = numbers.count(""), numbers.count("edge")
    share = (inside + edge) / max(1, len(numbers))
    print(
        f"{inside} of {len(numbers)} in range, {edge} more at its edge ({share:.0%}),"
        f" {len(answers) - len(numbers)} without a number"
    )


if __name__ == "__main__":
    main(sys.argv[1:])
