"""The undo list: which changes and backups stand, and what speaks against each."""

from typing import Any

from redis_oom_tui.models.action import AuditEntry, Backup
from redis_oom_tui.models.settings import Change, ChangeResult
from redis_oom_tui.models.snapshot import Snapshot
from redis_oom_tui.models.structs import replace
from redis_oom_tui.rules.undoing import ServerNow, Undoable, kept_elsewhere, undo_list
from tests.rules.snapshots import MIB, snapshot_of

NOW = 10_000.0
HERE = "127.0.0.1:6379"


def entry(ago: float, action: str = "set", server: str = HERE, **facts: Any) -> AuditEntry:
    at = NOW - ago
    return AuditEntry(
        at, f"id{ago}", action, server, "sre", facts.pop("what", "it"), **{"ended": at, "ok": True, **facts}
    )


def change(ago: float, old: str | None, new: str, name: str = "maxmemory-samples", **facts: Any) -> AuditEntry:
    return entry(ago, change=ChangeResult(Change(name, old, new), took=True, now=facts.pop("now", new)), **facts)


def backup(ago: float, **facts: Any) -> Backup:
    given = {"path": "/b/1", "made_at": NOW - ago, "server": HERE, "flavour": "redis", "version": "7.0.15"}
    return Backup(**{"keys": 10, "size": 99, "held_bytes": MIB, "restored_bytes": MIB, **given, **facts})


def listed(
    *history: AuditEntry, backups: tuple[Backup, ...] = (), seen: Snapshot | None = None, **facts: Any
) -> tuple[Undoable, ...]:
    return undo_list(history, backups, ServerNow({HERE}, NOW, seen or snapshot_of(), **facts))


def test_newest_first_of_this_server_alone_and_nothing_that_was_undone() -> None:
    rows = listed(
        change(10, "noeviction", "allkeys-lru", "maxmemory-policy"),
        change(20, "7", "5", action="undo"),
        change(40, "5", "7"),
        change(45, "1", "2", "hz", server="other:1"),
        entry(50, "kill-client"),
        backups=(backup(15), backup(5, path="/b/2", server="other:1"), backup(3, path="/b/3", keys=0)),
    )
    assert [row.what for row in rows] == ["set maxmemory-policy back to noeviction", "restore 10 keys"]


def test_of_the_primary_before_a_failover_keys_come_back_and_no_setting() -> None:
    rows = listed(
        change(10, "noeviction", "allkeys-lru", "maxmemory-policy", server="former:1"),
        entry(20, "delete", server="former:1", undo="/b/1", counts={"deleted": 4, "not attempted": 6}),
        backups=(backup(20, server="former:1"), backup(30, path="/b/2", server="other:1")),
        former=("former:1",),
    )
    assert [(row.what, row.refused) for row in rows] == [("restore 4 keys", "")]


def test_a_run_that_was_stopped_had_saved_more_than_it_took() -> None:
    def reported(action: str = "delete", **facts: Any) -> str:
        stopped = entry(10, action, undo="/b/1", counts={"deleted": 5, "in doubt": 1, "not attempted": 90}, **facts)
        (row,) = listed(stopped, backups=(backup(10, operation=action),))
        return row.what

    assert reported() == "restore 6 keys"
    # A run that was cut off did not record what it took.
    assert reported(ended=None) == "restore 10 keys"
    assert reported("shrink") == "restore 10 elements removed from a key"


def test_settings_changed_under_another_address_of_the_server_are_of_one_history() -> None:
    elsewhere: dict[str, Any] = {"server": "cache-1:6379", "run_id": "r1"}
    rows = listed(change(30, "5", "7", **elsewhere), change(20, "7", "9"))
    assert [row.refused for row in rows] == ["", "It was changed again since: undo the newer change first."]
    (row,) = listed(change(30, "5", "7", **elsewhere), change(20, "7", "9"), change(10, "9", "7", action="undo"))
    assert (row.what, row.refused) == ("set maxmemory-samples back to 5", "")
    assert listed(change(30, "5", "7", server="cache-1:6379", run_id="r2")) == ()


def test_a_value_that_another_changed_since_is_refused_and_so_is_all_but_the_last_change() -> None:
    newer, older = listed(change(10, "7", "9"), change(20, "5", "7"), values={"maxmemory-samples": "9"})
    assert newer.refused == ""
    assert older.refused == "It was changed again since: undo the newer change first."
    (row,) = listed(change(10, "7", "9"), values={"maxmemory-samples": "6"})
    assert row.refused == "It is 6 now, not 9: changed since."
    (row,) = listed(change(10, None, "9"))
    assert "cannot be set again" in row.refused
    (row,) = listed(change(10, "7", "9"), why_no_setting="Read-only")
    assert row.refused == "Read-only"
    assert "not known here" in listed(change(10, "7", "9"))[0].warnings[0]


def test_a_change_whose_end_was_not_recorded_is_listed_only_where_it_took() -> None:
    broken = change(10, "7", "9", now=None, ended=None, ok=None)
    assert listed(broken, values={"maxmemory-samples": "7"}) == ()
    (row,) = listed(broken, values={"maxmemory-samples": "9"})
    assert "interrupted" in row.warnings[0]
    timed = change(10, "7", "9", returns_at=NOW + 50)
    assert "reverts by itself" in listed(timed, values={"maxmemory-samples": "9"})[0].warnings[0]


def test_a_change_that_could_not_be_read_back_is_listed_unless_it_is_seen_not_to_have_taken() -> None:
    unknown = ChangeResult(Change("maxmemory-samples", "7", "9"), took=False, now=None, unread=True)
    unread = entry(10, change=unknown, ok=False, returns_at=NOW + 50)
    assert listed(unread, values={"maxmemory-samples": "7"}) == ()
    (row,) = listed(unread, values={"maxmemory-samples": "9"})
    assert (row.what, row.refused) == ("set maxmemory-samples back to 7", "")
    assert row.warnings == (
        "It could not be read back then: it may never have been set.",
        "It reverts by itself, unless it was kept.",
    )
    assert listed(unread, change(5, "9", "7", action="undo")) == ()
    refused = entry(10, change=replace(unknown, unread=False, now="7"), ok=False)
    assert listed(refused) == ()


def test_a_lower_limit_is_held_against_what_is_used() -> None:
    raised = change(10, str(50 * MIB), str(400 * MIB), "maxmemory")
    (row,) = listed(raised, seen=snapshot_of(100 * MIB, 400 * MIB))
    assert row.needs == "100.0 MiB are used, 200% of that limit: writes would be refused, or keys evicted."
    (row,) = listed(replace(raised, change=ChangeResult(Change("maxmemory", "0", "9"), took=True, now="9")))
    assert row.needs == "100.0 MiB are used; there would be no limit."


def test_the_room_that_a_backup_needs_against_the_room_that_there_is() -> None:
    def needs(seen: Snapshot, **facts: Any) -> Undoable:
        return listed(backups=(backup(9, **facts),), seen=seen)[0]

    row = needs(snapshot_of(50 * MIB, 100 * MIB))
    assert (row.needs, row.warnings, row.refused) == (
        "It needs about 1.0 MiB; 45.0 MiB free below 95% of maxmemory.",
        (),
        "",
    )
    assert needs(snapshot_of(95 * MIB - 9, 100 * MIB)).warnings == (
        "Not all of it fits: a restore stops at 95% of maxmemory.",
    )
    assert "Nothing is restored there above 95%" in needs(snapshot_of(99 * MIB, 100 * MIB)).refused
    assert needs(snapshot_of(99 * MIB, 100 * MIB), operation="expire").needs == "It needs no memory."
    assert needs(snapshot_of(50 * MIB, None)).needs.endswith("the server has no limit that is known.")
    unknown = needs(snapshot_of(), held_bytes=None, restored_bytes=None)
    assert unknown.needs.startswith("How much memory it needs is unknown;")


def test_what_speaks_against_a_backup() -> None:
    def warned(**facts: Any) -> str:
        return " ".join(listed(backups=(backup(9, **facts),))[0].warnings)

    assert "was interrupted, or it was cut" in warned(whole=False)
    assert "2 keys more were deleted without a copy" in warned(left_out_keys=2)
    assert "redis 7.2.0, which this server may not be able to read" in warned(version="7.2.0")
    assert "valkey 7.0.15, which" in warned(flavour="valkey")
    assert warned(version="6.2.7") == ""


def test_a_backup_is_known_by_the_run_id_of_its_server() -> None:
    (same,) = listed(backups=(backup(15, run_id="r1"),))
    (elsewhere,) = listed(backups=(backup(15, run_id="r1", server="cache-1:6379"),))
    (restarted,) = listed(backups=(backup(15, run_id="r0"),))
    assert listed(backups=(backup(15, run_id="r0", server="cache-1:6379"),)) == ()
    assert listed(backups=(backup(15, run_id="r1", server="the cluster behind cache-1:6379"),)) == ()
    room = "It needs about 1.0 MiB; 850.0 MiB free below 95% of maxmemory."
    assert [row.needs.removeprefix(room) for row in (same, elsewhere, restarted)] == [
        "",
        " It was made on this server, reached at another address then: cache-1:6379 (same run_id).",
        " The run_id is not that of the backup: the server was restarted since, or another one has its address.",
    ]
    assert [row.warnings for row in (same, elsewhere, restarted)] == [(), (), ()]
    assert all(listed(backups=(backup(15, run_id=unknown),))[0].needs == room for unknown in (None, "0000"))


def test_a_cleanup_without_its_file_or_without_a_copy_says_so() -> None:
    history = (
        entry(10, "delete", what="delete 4 keys", counts={"deleted": 4}),
        entry(20, "delete", what="delete 5 keys", counts={"deleted": 3, "not attempted": 2}, undo="/gone"),
        entry(30, "delete", what="delete 6 keys", counts={"changed": 6}),
    )
    assert kept_elsewhere(history, ServerNow({HERE}, NOW)) == ("/gone",)
    without, missing = listed(*history)
    assert (without.what, without.refused) == ("cleanup: delete 4 keys", "No copy was made: it cannot be undone.")
    assert missing.what == "cleanup: delete 5 keys, of which 3 went"
    assert missing.refused == "Its backup is missing, or is not a backup now: /gone"


def test_a_restored_backup_says_when_by_the_clock_of_this_computer() -> None:
    restores = entry(60, "restore", undo="/b/1", counts={"restored": 9}, result="Restored 9.")
    (row,) = listed(restores, backups=(backup(90),))
    assert row.done == "restored a minute ago"
    (row,) = listed(replace(restores, ok=False, result="It was full."), backups=(backup(90),))
    assert row.done == ""
    assert row.warnings == ("A restore a minute ago: It was full.",)
    (row,) = listed(replace(restores, counts={"exists": 9}, result="Restored 0 of 9."), backups=(backup(90),))
    assert (row.done, row.warnings) == ("", ("A restore a minute ago: Restored 0 of 9.",))
    for missing in ("failed", "not attempted", "alike"):
        part = replace(restores, counts={"restored": 8, missing: 1}, result="Restored 8 of 9.")
        (row,) = listed(part, backups=(backup(90),))
        assert (row.done, row.warnings) == ("", ("A restore a minute ago: Restored 8 of 9.",))
    skewed = replace(snapshot_of(), clock_skew_seconds=100.0)
    assert listed(backups=(backup(90, clock_skew_seconds=70.0),), seen=skewed)[0].at == NOW - 120
