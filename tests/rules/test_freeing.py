"""What a plan says of keys whose deletion holds the server up."""

from redis_oom_tui.models.keys import KeyId
from redis_oom_tui.models.plan import PlannedKey
from redis_oom_tui.rules.plan_warnings import freeing_flags

MIB = 1024 * 1024


def key(name: bytes, kind: str, size: int | None) -> PlannedKey:
    return PlannedKey(KeyId(0, name), kind, size)


def test_what_is_freed_in_the_background_is_not_mentioned() -> None:
    kinds = ("hash", "set", "zset", "list", "stream")
    assert freeing_flags([key(b"k", kind, 4000 * MIB) for kind in kinds]) == ()
    small = [key(b"k", "string", 100 * MIB), key(b"m", "ReJSON-RL", 1000), key(b"u", "string", None)]
    assert freeing_flags(small) == ()


def test_large_strings_are_said_to_take_a_moment() -> None:
    (said,) = freeing_flags([key(b"a", "string", 300 * MIB), key(b"b", "string", 512 * MIB)])
    assert said.startswith("2 keys are strings of up to 512.0 MiB")
    assert "about 54 ms" in said


def test_of_a_modules_values_nothing_is_promised() -> None:
    (said,) = freeing_flags([key(b"a", "ReJSON-RL", 3 * MIB), key(b"b", "\x1b[2J", 2 * MIB)])
    assert said.startswith("2 keys belong to a module (the largest, 3.0 MiB, is of type ReJSON-RL)")
    (said,) = freeing_flags([key(b"b", "\x1b[2J", 2 * MIB)])
    assert "\x1b" not in said
