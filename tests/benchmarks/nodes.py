"""What a poll of a wide cluster takes: simulated primaries that answer with the INFO of a server.

`python -m tests.benchmarks.nodes PORT` polls the cluster of the node at that port, and prints what it took, as JSON.
"""

import argparse
import asyncio
import contextlib
import json
import resource
import subprocess
import sys
import time
from collections.abc import Iterator
from statistics import median

from redis_oom_tui.models.address import Address, Connection
from redis_oom_tui.server.cluster.source import ClusterSource
from tests.benchmarks.figures import Column, Table
from tests.support.ports import free_ports
from tests.support.replayed import Case, listening, reply
from tests.support.servers import started

_SLOTS = 16384
_POLLS = 11


def nodes(given: argparse.Namespace) -> Iterator[Table]:
    """The time, the CPU and the memory of a poll, by the number of primaries."""
    with started(given.server) as server, server.client() as client:
        client.set_response_callback("INFO", lambda text, **_: text)
        info = client.execute_command("INFO", "all").decode()
    columns = (Column("poll, s", ".2f"), Column("tool's CPU, ms a node", ".2f"), Column("tool's memory, MB"))
    title = f"One poll of so many simulated primaries, medians of {_POLLS}"
    note = "The goal is 300 nodes within a second and 100 MB. The simulated nodes share the cores with the tool."
    table = Table("nodes", title, columns, note)
    for number in (10, 100, 300, 600):
        with _simulated(number, info.replace("cluster_enabled:0", "cluster_enabled:1")) as port:
            command = [sys.executable, "-m", "tests.benchmarks.nodes", str(port)]
            found = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
        assert found["answered"] == number, found
        table.row(f"{number}", found["seconds"], found["cpu"] / number * 1000, found["memory"] / 2**20)
    yield table


@contextlib.contextmanager
def _simulated(number: int, info: str) -> Iterator[int]:
    """The port of the first of so many primaries that share all slots."""
    slots: list[object] = []
    lines = []
    ports = free_ports(number)
    for place, port in enumerate(ports):
        first, last = place * _SLOTS // number, (place + 1) * _SLOTS // number - 1
        slots.append([first, last, ["127.0.0.1", port, f"{port:040x}"]])
        lines.append(f"{port:040x} 127.0.0.1:{port}@{port} master - 0 0 1 connected {first}-{last}\n")
    answers = {"CLUSTER SLOTS": reply(slots), "CLUSTER NODES": reply("".join(lines))}
    with listening(Case(info, answers=answers), ports):
        yield ports[0]


async def _polled(port: int) -> dict[str, float]:
    source = ClusterSource(Connection(Address(port=port)))
    await source.open()
    seconds, cpu = [], []
    try:
        # The first connects to each node, and asks for its settings.
        await source.snapshot()
        for _ in range(_POLLS):
            began, used = time.perf_counter(), time.process_time()
            cluster = (await source.snapshot()).cluster
            seconds.append(time.perf_counter() - began)
            cpu.append(time.process_time() - used)
    finally:
        await source.close()
    assert cluster is not None
    return {
        "seconds": median(seconds),
        "cpu": median(cpu),
        "memory": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
        "answered": sum(view.snapshot is not None for view in cluster.nodes),
    }


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.nodes", description=__doc__)
    parser.add_argument("port", type=int, help="the port of a node on this machine")
    print(json.dumps(asyncio.run(_polled(parser.parse_args().port))))
