"""Safety rule 3: a plan on disk is the plan that was frozen, or it is refused."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from redis_oom_tui.files.plans import load_plan, save_plan
from redis_oom_tui.models.errors import BadInput
from redis_oom_tui.models.keys import KeyId
from redis_oom_tui.models.plan import Criteria, Deed, Order, Plan, PlannedKey, TtlFilter
from redis_oom_tui.rules.freezing import frozen

KEYS = st.lists(
    st.builds(
        PlannedKey,
        id=st.builds(KeyId, st.integers(0, 15), st.binary(max_size=12)),
        type=st.sampled_from(["string", "zset"]),
        size=st.none() | st.integers(0, 2**40),
        ttl_ms=st.none() | st.integers(0, 2**40),
        idle_seconds=st.none() | st.integers(0, 2**24),
        frequency=st.none() | st.integers(0, 255),
        read_at=st.none() | st.floats(0, 2**32),
    ),
    max_size=5,
)


def plan(*keys: PlannedKey) -> Plan:
    criteria = Criteria((b"a*", b"\xff[\\]"), ("hash",), (0, 3), 5, TtlFilter.WITH, 9, max_keys=7, order=Order.OLDEST)
    return frozen(
        Plan(
            keys,
            criteria,
            12.5,
            "s:1",
            run_id="r",
            deed=Deed.EXPIRE,
            expire_seconds=60,
            flags=("read this",),
            role="master",
        )
    )


@given(keys=KEYS)
def test_a_plan_reads_back_as_it_was(tmp_path_factory: pytest.TempPathFactory, keys: list[PlannedKey]) -> None:
    path = tmp_path_factory.mktemp("p") / "plan"
    save_plan(plan(*keys), path)
    assert load_plan(path) == plan(*keys)


@pytest.mark.parametrize(
    ("what", "by"),
    [(b'"k"', b'"j"'), (b'"string"', b'"hash"'), (b'"expire"', b'"delete"'), (b'"run_id": "r"', b'"run_id": "q"')],
)
def test_an_altered_plan_is_refused(tmp_path: Path, what: bytes, by: bytes) -> None:
    path = tmp_path / "plan"
    save_plan(plan(PlannedKey(KeyId(0, b"k"), "string", 1)), path)
    altered = path.read_bytes().replace(what, by)
    assert altered != path.read_bytes()
    path.write_bytes(altered)
    with pytest.raises(BadInput):
        load_plan(path)


@pytest.mark.parametrize("content", [b"", b"{}", b"no", b'{"format": "redis-oom-tui plan 1"}', b"\xff"])
def test_a_file_that_is_no_plan_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "plan"
    path.write_bytes(content)
    with pytest.raises(BadInput):
        load_plan(path)


def test_a_plan_never_overwrites_a_file(tmp_path: Path) -> None:
    path = tmp_path / "plan"
    path.write_text("precious")
    with pytest.raises(BadInput, match="exists already"):
        save_plan(plan(), path)
    assert path.read_text() == "precious"
