"""How much must go, how far a plan comes, and what is read before it is confirmed."""

import pytest

from redis_oom_tui.models.action import AuditEntry, Backup, BackupChoice
from redis_oom_tui.models.address import Address
from redis_oom_tui.models.keys import KeyId
from redis_oom_tui.models.plan import Criteria, Operation, Plan, PlannedKey
from redis_oom_tui.models.snapshot import Memory, Server, Snapshot
from redis_oom_tui.models.structs import replace
from redis_oom_tui.rules.budget import budget, confirm_word, consent, unsaved
from redis_oom_tui.rules.restoring import pressure_after_restore, room_words

MIB = 1024 * 1024


def plan(
    *sizes: int | None, operation: Operation = Operation.DELETE, keyspace: int = 1_000_000, kind: str = "string"
) -> Plan:
    keys = tuple(PlannedKey(KeyId(0, b"%d" % at), kind, size) for at, size in enumerate(sizes))
    span = 600 if operation is Operation.EXPIRE else None
    return Plan(
        keys,
        Criteria(),
        0.0,
        "cache-1:6379",
        operation=operation,
        expire_seconds=span,
        keyspace_keys=keyspace,
        role="master",
    )


def snapshot(limit: int | None = 100 * MIB) -> Snapshot:
    memory = Memory(used_bytes=100 * MIB, maxmemory_bytes=limit)
    return Snapshot(0.0, 0.0, Server("redis", "7", "master", Address()), memory)


def test_a_plan_that_is_enough() -> None:
    found = budget(plan(15 * MIB, 15 * MIB), snapshot())
    assert (found.needed_bytes, found.plan_bytes, found.enough) == (20 * MIB, 30 * MIB, True)
    assert found.pressure_after == 0.7
    assert "free 20.0 MiB" in found.words


def test_where_sizes_are_not_known_it_says_so_and_promises_nothing() -> None:
    for seen in (snapshot(), snapshot(limit=None)):
        found = budget(plan(None, None), seen)
        assert (found.enough, found.pressure_after) == (None, None)
        assert (found.plan_bytes, found.low_bytes, found.high_bytes, found.held_bytes) == (None,) * 4
        assert "not known" in found.words
        assert budget(plan(None, None), seen, before=found) == found
        assert "0 B" not in found.words


def test_a_plan_that_is_too_little_says_by_how_much() -> None:
    found = budget(plan(5 * MIB), snapshot())
    assert found.enough is False
    assert "15.0 MiB short" in found.words


def test_a_plan_that_is_far_too_much_says_how_far() -> None:
    assert "30.0%: 3.5 times what is needed." in budget(plan(70 * MIB), snapshot()).words
    assert "times" not in budget(plan(39 * MIB), snapshot()).words


def test_sizes_from_samples_have_a_range() -> None:
    whole = plan(8 * MIB, kind="hash")
    ranged = replace(whole, keys=(replace(whole.keys[0], size_low=6 * MIB, size_high=40 * MIB),))
    found = budget(ranged, snapshot())
    assert (found.low_bytes, found.plan_bytes, found.high_bytes) == (6 * MIB, 8 * MIB, 40 * MIB)
    assert "8.0 MiB (estimated: 6.0 MiB to 40.0 MiB)" in found.words
    assert "8.0 MiB, estimated: 6.0 to 40.0 MiB" in consent(ranged, BackupChoice())[0]


def test_without_a_limit_nothing_has_to_go() -> None:
    found = budget(plan(MIB), snapshot(None))
    assert (found.needed_bytes, found.pressure_after, found.enough) == (None, None, None)


def test_expiring_frees_nothing_at_once() -> None:
    found = budget(plan(30 * MIB, operation=Operation.EXPIRE), snapshot())
    assert (found.plan_bytes, found.enough) == (0, False)
    assert "within 10m00s, nothing at once" in found.words


def test_a_large_plan_wants_a_word() -> None:
    assert confirm_word(plan(*[1] * 1000)) is None
    assert confirm_word(plan(*[1] * 1001)) == "delete"
    assert confirm_word(plan(1, 1, keyspace=19)) == "delete"
    assert confirm_word(plan(1, 1, keyspace=19, operation=Operation.EXPIRE)) == "expire"


def test_a_plan_that_is_large_in_bytes_wants_a_word() -> None:
    assert confirm_word(plan(MIB, 9 * MIB), used_bytes=200 * MIB) is None
    assert confirm_word(plan(MIB, 9 * MIB), used_bytes=90 * MIB) == "delete"
    assert confirm_word(plan(MIB, 1025 * MIB), used_bytes=10**12) == "delete"


def test_a_plan_that_cannot_be_taken_back_wants_a_word() -> None:
    assert confirm_word(plan(MIB, MIB), BackupChoice()) is None
    assert confirm_word(plan(MIB, MIB), BackupChoice(wanted=False)) == "delete"
    assert confirm_word(plan(MIB, operation=Operation.EXPIRE), BackupChoice(wanted=False)) == "expire"
    assert confirm_word(plan(MIB, 17 * MIB), BackupChoice()) == "delete"
    assert confirm_word(plan(MIB, 17 * MIB), BackupChoice(keep_unsaved=True)) is None
    assert confirm_word(plan(MIB, 4 * MIB), BackupChoice(room_bytes=5 * MIB)) == "delete"
    assert confirm_word(plan(MIB, 4 * MIB), BackupChoice(room_bytes=50 * MIB)) is None


def test_consent_tells_what_has_no_room_to_be_read() -> None:
    assert consent(plan(4 * MIB), BackupChoice(room_bytes=MIB))[1] == (
        "No key can be saved (too large to be read now, with 1.0 MiB free below maxmemory): this cannot be undone."
    )
    kept = consent(plan(MIB, 4 * MIB), BackupChoice(room_bytes=5 * MIB, keep_unsaved=True))
    assert "1 key may be kept: too large to be read now, with 5.0 MiB free below maxmemory." in kept
    lost = consent(plan(MIB, 4 * MIB), BackupChoice(room_bytes=5 * MIB))
    assert "1 key may have no undo: too large to be read now, with 5.0 MiB free below maxmemory." in lost


def test_consent_names_the_deed_the_place_and_what_has_no_undo() -> None:
    words = consent(plan(MIB, 50 * MIB), BackupChoice())
    assert words[0] == "Delete 2 keys (51.0 MiB) in database 0 of cache-1:6379 (primary)."
    assert any("1 key (50.0 MiB) over 16.0 MiB each" in sentence and "no undo" in sentence for sentence in words)
    assert words[2] == "Restoring requires as much free memory, below maxmemory where one is set."
    assert "cannot be undone" in consent(plan(MIB), BackupChoice(wanted=False))[1]


def test_consent_promises_no_copy_of_what_is_too_large_to_save() -> None:
    large = plan(50 * MIB, 20 * MIB)
    assert consent(large, BackupChoice())[1:] == ("Each is over 16.0 MiB, too large to save: this cannot be undone.",)
    assert consent(large, BackupChoice(keep_unsaved=True))[1:] == (
        "Each is over 16.0 MiB, too large to save: nothing will be deleted.",
    )
    one = consent(plan(50 * MIB), BackupChoice())
    assert one[1:] == ("It is over 16.0 MiB, too large to save: this cannot be undone.",)
    mixed = plan(MIB, 50 * MIB)
    assert consent(mixed, BackupChoice(keep_unsaved=True))[1] == (
        "Each key is written to the backup before it is deleted, and 1 key (50.0 MiB) over 16.0 MiB each is kept, as"
        " too large to save."
    )


def test_consent_tells_a_cap_that_small_keys_reach_by_their_names_alone() -> None:
    many = plan(*[85] * 1111)
    assert not any("cap" in words for words in consent(many, BackupChoice()))
    assert any(
        "may reach its cap of 100.0 KiB" in words for words in consent(many, BackupChoice(max_total_bytes=102400))
    )


def test_consent_tells_a_large_share_of_all_keys() -> None:
    assert "2 keys (2 B), 20% of all keys, in database 0" in consent(plan(1, 1, keyspace=10), BackupChoice())[0]
    assert "of all keys" not in consent(plan(1, 1, keyspace=20), BackupChoice())[0]


@pytest.mark.parametrize(
    ("held", "operation", "said"),
    [
        (90, "delete", "Its keys took 90.0 MiB: restoring them all would reach 95% of maxmemory."),
        (300, "delete", "restoring them all would reach 200% of maxmemory; restore stops at 95%."),
        (None, "delete", None),
        (90, "expire", None),
    ],
)
def test_what_putting_back_does_to_the_pressure_is_told(held: int | None, operation: str, said: str | None) -> None:
    backup = Backup("b", 0.0, "s", "redis", "7", 9, 9, operation, None if held is None else held * MIB)
    sentence = pressure_after_restore(backup, snapshot(200 * MIB))
    assert sentence is None if said is None else said in str(sentence)
    assert pressure_after_restore(backup, snapshot(None)) is None


@pytest.mark.parametrize(
    ("ended", "counts", "said"),
    [
        (9.0, {"restored": 4, "failed": 5}, "4 keys were restored before"),
        (9.0, {"exists": 9}, ""),
        (None, {}, "a restore of it was interrupted before"),
    ],
)
def test_what_earlier_restores_brought_back_makes_it_the_most_that_is_needed(
    ended: float | None, counts: dict[str, int], said: str
) -> None:
    backup = Backup("b", 0.0, "s", "redis", "7", 9, 9, "delete", 90 * MIB)
    entry = AuditEntry(1.0, "a", "restore", "s", "me", "restore", ended=ended, counts=counts, undo="b")
    sentence = str(pressure_after_restore(backup, snapshot(200 * MIB), [entry, replace(entry, undo="other")]))
    reached = "restoring them all would reach 95% of maxmemory"
    assert (f"{reached} at most ({said}: what is still there takes no more)." if said else f"{reached}.") in sentence
    room = room_words(backup, snapshot(200 * MIB), [entry])
    assert room.startswith("It needs at most about" if said else "It needs about")


def test_where_nothing_would_be_put_back_it_says_to_make_room_first() -> None:
    backup = Backup("b", 0.0, "s", "redis", "7", 9, 9, "delete", MIB)
    sentence = str(pressure_after_restore(backup, snapshot(102 * MIB)))
    assert "It is at 98% already, and restore stops at 95%: make room first." in sentence


def test_keys_of_unknown_size_are_not_called_too_large() -> None:
    assert unsaved(plan(None, 17 * MIB), BackupChoice()) == (1, 17 * MIB)


@pytest.mark.parametrize("operation", list(Operation))
@pytest.mark.parametrize("limits", [(100 * MIB, 50 * MIB), (None, 100 * MIB), (100 * MIB, None)])
def test_an_earlier_budget_of_the_plan_saves_the_sums_and_changes_nothing(
    operation: Operation, limits: tuple[int, int]
) -> None:
    made = plan(15 * MIB, 9 * MIB, None, operation=operation, kind="hash")
    before = budget(made, snapshot(limits[0]))
    assert budget(made, snapshot(limits[1]), before=before) == budget(made, snapshot(limits[1]))


def test_a_range_that_reads_as_the_figure_itself_is_left_out() -> None:
    key = PlannedKey(KeyId(0, b"k"), "hash", 5 * MIB, size_low=5 * MIB - 1, size_high=5 * MIB + 1)
    assert "estimated" not in budget(Plan((key,), Criteria(), 0.0, "s"), snapshot()).words
