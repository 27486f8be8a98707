"""A plan's hash is what it always was: saved plans are run by it."""

import hashlib
import json

from hypothesis import given
from hypothesis import strategies as st

from redis_oom_tui.models.keys import KeyId
from redis_oom_tui.models.plan import Criteria, Plan, PlannedKey
from redis_oom_tui.rules.freezing import fingerprint, key_fields

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
    digest = hashlib.sha256(json.dumps(["here", "r", "delete", None, len(planned)]).encode())
    for key in planned:
        digest.update(json.dumps(key_fields(key)).encode())
    assert fingerprint(plan) == digest.hexdigest()
