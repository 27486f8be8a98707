"""The libraries themselves still leave what is recorded of them, and it is recognized."""

import pytest

from tests.apps import samples
from tests.apps.running import WRITERS, Writer
from tests.support.ports import free_ports
from tests.support.servers import started


@pytest.mark.parametrize("writer", WRITERS.values(), ids=WRITERS)
def test_a_library_leaves_what_is_recorded(writer: Writer) -> None:
    if writer.version is None:
        pytest.skip(f"{writer.package} is not installed")
    port = free_ports()[0]
    with started("valkey", f"port {port}") as server:
        left = samples.labels(writer.run(server, port))
    assert set(left.values()) == set(samples.labels(samples.load(writer.name).keys).values())


def test_every_script_has_its_sample_and_what_cannot_run_is_counted() -> None:
    recorded = {name for name in samples.names() if samples.load(name).source == "library"}
    assert recorded == set(WRITERS)
    missing = sorted(f"{writer.name} ({writer.package})" for writer in WRITERS.values() if writer.version is None)
    if missing:
        pytest.skip(f"{len(missing)} of {len(WRITERS)} are not installed: {', '.join(missing)}")
