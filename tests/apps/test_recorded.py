"""What is recorded of an application comes onto a server as the application left it."""

import pytest

from tests.apps import samples
from tests.support.servers import available, started


@pytest.mark.parametrize("flavour", available())
def test_each_sample_is_written_as_it_was_read(flavour: str) -> None:
    with started(flavour) as server, server.client() as client:
        for name in samples.names():
            sample = samples.load(name)
            samples.write(client, sample.keys)
            # A long value comes back with its length and its beginning, so it reads as it was recorded.
            assert samples.read(client) == sample.keys, name
            client.flushdb()


def test_a_prefix_stands_before_every_name() -> None:
    with started("valkey") as server, server.client() as client:
        sample = samples.load("rq")
        samples.write(client, sample.keys, b"shop:")
        assert set(client.keys()) == {b"shop:" + key for key in sample.keys}
