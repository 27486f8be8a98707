"""`python -m tests.benchmarks.savings`: each finding's advice is taken on every flavour; is what it freed in the range?

A line for each: the range, what was freed, and how wide the range is; then the coverage. `--size 4 --seed 2` makes the
same states of other data.
"""

import asyncio
import time
from argparse import ArgumentParser
from contextlib import ExitStack
from statistics import median
from typing import NamedTuple

from redis_oom_tui.models.scan import Pace, ScanOptions
from redis_oom_tui.models.verdict import Finding
from redis_oom_tui.rules.clients import with_clients
from redis_oom_tui.rules.findings import find
from redis_oom_tui.server.values import sample_patterns
from tests.benchmarks.savings_cases import Case, Variant, cases
from tests.server.scenes import MIB
from tests.server.test_savings_live import finish_rehashing
from tests.support.scene import Scene
from tests.support.servers import RunningServer, available, started
from tests.support.sources import opened


def held(scene: Scene) -> int:
    """used_memory once the server has ended what it does by itself, without the buffers that this client had."""
    scene.client.connection_pool.disconnect()
    finish_rehashing(scene.client)
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


class Answer(NamedTuple):
    """What a finding says that its advice saves, None where it gives no number, and what that freed."""

    name: str
    flavour: str
    saves: tuple[int, int] | None
    freed: int = 0
    why: str = ""

    @property
    def inside(self) -> bool:
        """Whether what was freed is in the range, its ends included."""
        return self.saves is not None and self.saves[0] <= self.freed <= self.saves[1]

    @property
    def width(self) -> float:
        """How many times its low end the high end is."""
        low, high = self.saves or (1, 1)
        return high / low if low else float("inf")


def measured(name: str, case: Case, flavour: str) -> Answer:
    """What the finding says, and what taking its advice freed."""
    with started(flavour, *case.config) as server, ExitStack() as stack:
        scene = Scene(server, stack)
        # Each command's first call takes some memory for its statistics.
        asyncio.run(examined(server, case.finding))
        empty = held(scene)
        case.make(scene)
        before = held(scene)
        finding = asyncio.run(examined(server, case.finding))
        if finding is None or finding.saves_bytes is None:
            return Answer(name, flavour, None, why="no finding" if finding is None else "no number")
        if case.cure is not None:
            # The examination's own commands have taken their part by now.
            before = held(scene)
            case.cure(scene)
            return Answer(name, flavour, finding.saves_bytes, before - held(scene))
    with started(flavour, *case.config) as server, ExitStack() as stack:
        scene = Scene(server, stack)
        start = held(scene)
        scene.several(case.instead)
        return Answer(name, flavour, finding.saves_bytes, before - empty - (held(scene) - start))


def shown(answer: Answer) -> str:
    """One line of the table."""
    where = f"{answer.name:44}{answer.flavour:8}"
    if answer.saves is None:
        return f"{where}{answer.why:>12}"
    low, high = answer.saves
    ends = f"{low / MIB:10.3f}{answer.freed / MIB:10.3f}{high / MIB:10.3f} MiB"
    return f"{where}{ends}  x{answer.width:.2f}  {'' if answer.inside else 'OUT'}"


def summary(answers: list[Answer]) -> str:
    """How many of the ranges held, and how wide they were."""
    numbers = [answer for answer in answers if answer.saves is not None]
    inside = sum(answer.inside for answer in numbers)
    widths = sorted(answer.width for answer in numbers) or [1.0]
    share, without = inside / max(1, len(numbers)), len(answers) - len(numbers)
    return (
        f"{inside} of {len(numbers)} in range ({share:.0%}), {without} without a number;"
        f" high over low: median {median(widths):.2f}, most {widths[-1]:.2f}"
    )


def main() -> None:
    """Each case on each flavour, or those whose name holds one of the words."""
    parser = ArgumentParser(prog="python -m tests.benchmarks.savings")
    parser.add_argument("words", nargs="*", help="only cases whose name holds one of these")
    parser.add_argument("--size", type=float, default=1.0, help="so many times as many keys (1)")
    parser.add_argument("--seed", type=int, default=0, help="other contents, and other lengths but for 0 (0)")
    parser.add_argument("--flavour", action="append", help="only this server")
    options = parser.parse_args()
    print(f"{'case':44}{'server':8}{'low':>10}{'freed':>10}{'high':>10}")
    answers = []
    for name, case in cases(Variant(options.size, options.seed)).items():
        if options.words and not any(word in name for word in options.words):
            continue
        for flavour in case.flavours:
            if flavour in available() and flavour in (options.flavour or available()):
                answers.append(measured(name, case, flavour))
                print(shown(answers[-1]), flush=True)
    for flavour in sorted({answer.flavour for answer in answers}):
        print(f"{flavour:8}{summary([answer for answer in answers if answer.flavour == flavour])}")
    print(f"{'all':8}{summary(answers)}")


if __name__ == "__main__":
    main()
