"""Settings that were to go back by themselves: which of them nobody took back."""

from redis_oom_tui.formatting.report import markdown
from redis_oom_tui.models.action import AuditEntry
from redis_oom_tui.models.settings import Change, ChangeResult, Setting
from redis_oom_tui.models.structs import replace
from redis_oom_tui.models.trend import IncidentReport
from redis_oom_tui.models.verdict import Level, Verdict
from redis_oom_tui.rules.report import not_returned, overdue
from tests.rules.snapshots import snapshot_of

MIB = 1024 * 1024
LIMIT = ChangeResult(Change("maxmemory", str(64 * MIB), str(96 * MIB)), took=True, now=str(96 * MIB))
SET = AuditEntry(
    1000.0, "a", "set", "n:1", "sre", "", 1000.1, "maxmemory is 96 MiB now", True, change=LIMIT, returns_at=1060.0
)
BACK = ChangeResult(Change("maxmemory", str(96 * MIB), str(64 * MIB)), took=True, now=str(64 * MIB))
NOW = 1300.0


def later(**changes) -> AuditEntry:
    return replace(SET, id="b", at=1050.0, returns_at=None, **changes)


def test_a_return_of_which_nothing_tells_is_overdue() -> None:
    assert overdue([SET], NOW) == (SET,)


def test_one_that_is_not_due_or_due_only_just_now_is_not() -> None:
    assert overdue([SET], 1059.0) == ()
    assert overdue([SET], 1061.0) == ()


def test_what_went_back_was_kept_or_was_set_again_is_settled() -> None:
    for settled in (
        later(action="undo", change=BACK),
        later(action="keep", change=None, what="maxmemory stays 96.0 MiB"),
        later(action="set", change=LIMIT),
    ):
        assert overdue([settled, SET], NOW) == ()


def test_a_return_that_failed_another_setting_and_another_server_settle_nothing() -> None:
    other = ChangeResult(Change("maxmemory-samples", "5", "10"), took=True, now="10")
    for other_entry in (
        later(action="undo", change=None, ok=False),
        later(action="set", change=other),
        later(action="undo", change=BACK, server="n:2"),
        later(action="delete", change=None, what="maxmemory stays"),
    ):
        assert overdue([other_entry, SET], NOW) == (SET,)


def test_a_change_that_did_not_take_and_one_that_was_to_stay_are_not_overdue() -> None:
    assert overdue([replace(SET, ok=False), replace(SET, returns_at=None)], NOW) == ()


def test_what_still_has_its_new_value_is_told_in_a_sentence() -> None:
    (sentence,) = not_returned([SET], "n:1", [Setting("maxmemory", str(96 * MIB))], NOW)
    assert sentence == (
        "maxmemory was to revert to 64.0 MiB (67,108,864 bytes) 4 minutes ago, and the tool was killed before that:"
        " it is still 96.0 MiB (100,663,296 bytes)"
    )


def test_what_somebody_has_changed_since_and_what_is_of_another_server_is_not_told() -> None:
    assert not_returned([SET], "n:1", [Setting("maxmemory", str(64 * MIB))], NOW) == ()
    assert not_returned([SET], "n:2", [Setting("maxmemory", str(96 * MIB))], NOW) == ()
    assert not_returned([SET], "n:1", [Setting("maxmemory", None)], NOW) == ()


def test_a_value_that_nobody_has_read_is_told_where_that_is_wanted() -> None:
    assert not_returned([SET], "n:1", [], NOW) == ()
    (sentence,) = not_returned([SET], "n:1", [], NOW, unread=True)
    assert sentence.endswith("4 minutes ago, with no record that it did: check it")


def test_a_change_that_could_not_be_read_back_is_overdue_as_well() -> None:
    unknown = replace(SET, ok=False, change=replace(LIMIT, took=False, now=None, unread=True))
    assert overdue([unknown], NOW) == (unknown,)
    assert overdue([later(action="undo", change=BACK), unknown], NOW) == ()
    doubt = replace(BACK, took=False, now=None, unread=True)
    assert overdue([later(action="undo", change=doubt, ok=False), unknown], NOW) == (unknown,)
    due = "maxmemory was to revert to 64.0 MiB (67,108,864 bytes) 4 minutes ago, with no record that it did"
    (still,) = not_returned([unknown], "n:1", [Setting("maxmemory", str(96 * MIB))], NOW)
    assert still == f"{due}: it is still 96.0 MiB (100,663,296 bytes)"
    assert not_returned([unknown], "n:1", [Setting("maxmemory", None)], NOW) == (f"{due}: check it",)
    assert not_returned([unknown], "n:1", [Setting("maxmemory", str(64 * MIB))], NOW) == ()


def test_a_report_without_names_does_not_say_failed_of_what_is_unknown() -> None:
    unknown = replace(SET, ok=False, change=replace(LIMIT, took=False, now=None, unread=True))
    verdict = Verdict(Level.OK, "It is well.", rule="healthy")
    text = markdown(IncidentReport(NOW, snapshot_of(), snapshot_of(), verdict, actions=(unknown,), names=False))
    assert f"unknown; {64 * MIB} to unknown" in text
