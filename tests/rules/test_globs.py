"""Our globs are the server's: whatever the pattern and the name, both say the same."""

from collections.abc import Iterator

import pytest
import redis
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from redis_oom_tui.formatting.sanitize import escape_glob
from redis_oom_tui.rules.key_patterns import compiled_glob
from tests.support.servers import started

ALPHABET = b"ab-]^[*?\\x\n\xff"
NAMES = st.lists(st.sampled_from([bytes([byte]) for byte in ALPHABET]), max_size=8).map(b"".join)


@pytest.fixture(scope="module")
def client() -> Iterator[redis.Redis]:
    with started("valkey") as server, server.client() as client:
        yield client


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(pattern=NAMES.filter(bool), name=NAMES)
@example(pattern=b"[a-\xff", name=b"b")
def test_a_pattern_matches_what_the_server_says(client: redis.Redis, pattern: bytes, name: bytes) -> None:
    client.flushall()
    client.set(name, b"")
    assert bool(compiled_glob(pattern).fullmatch(name)) == (client.scan(match=pattern, count=10)[1] == [name])


@given(name=st.binary(max_size=12), other=st.binary(max_size=12))
def test_an_escaped_name_matches_itself_alone(name: bytes, other: bytes) -> None:
    pattern = compiled_glob(escape_glob(name))
    assert pattern.fullmatch(name)
    assert bool(pattern.fullmatch(other)) == (name == other)


def test_many_stars_over_a_long_name_do_not_hang() -> None:
    assert not compiled_glob(b"*a" * 30 + b"b").fullmatch(b"a" * 50_000)
