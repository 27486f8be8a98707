"""A plan's hash is what it always was: saved plans are run by it."""

import hashlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from redis_oom_tui.models.keys import KeyId
from redis_oom_tui.models.plan import Criteria, Operation, Plan, PlannedKey
from redis_oom_tui.models.structs import replace
from redis_oom_tui.rules.plan_hash import fingerprint, first_fingerprint, key_fields

numbers = st.none() | st.integers(0, 2**63)
keys = st.builds(
    PlannedKey,
    st.builds(KeyId, st.integers(0, 15), st.binary(max_size=40), st.text(max_size=20)),
    st.text(max_size=20),
    numbers,
    numbers,
    numbers,
    numbers,
    st.none() | st.floats(0, 4e9),
)


@given(st.lists(keys, max_size=10))
def test_the_hash_is_taken_over_each_keys_json(planned: list[PlannedKey]) -> None:
    plan = Plan(tuple(planned), Criteria(patterns=(b"*",)), made_at=1.0, server="here", run_id="r")
    rows = [json.dumps(key_fields(key)).encode() for key in planned]
    first = ["here", "r", "delete", None, len(planned)]
    said = ["plan 2", 1.0, "", 0, 0, 0, 0, True, [], [["*"], [], None, None, "any", None, None, None, "largest", []]]
    assert first_fingerprint(plan) == hashlib.sha256(b"".join([json.dumps(first).encode(), *rows])).hexdigest()
    assert fingerprint(plan) == hashlib.sha256(b"".join([json.dumps(first + said).encode(), *rows])).hexdigest()


@pytest.mark.parametrize("field", [name for name in Plan.__struct_fields__ if name != "hash"])
def test_nothing_that_is_said_of_a_plan_stands_outside_its_hash(field: str) -> None:
    plan = Plan((PlannedKey(KeyId(0, b"k"), "string", 5),), Criteria(patterns=(b"*",)), made_at=1.0, server="here")
    others = {
        "keys": (),
        "criteria": Criteria(patterns=(b"?",)),
        "operation": Operation.EXPIRE,
        "complete": False,
        "flags": ("x",),
    }
    others |= {"server": "there", "run_id": "r", "role": "master"}
    assert fingerprint(replace(plan, **{field: others.get(field, 7)})) != fingerprint(plan)
