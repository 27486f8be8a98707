"""A plan that was run before says so, with where the copies of that run are."""

from redis_oom_tui.models.action import AuditEntry
from redis_oom_tui.models.structs import replace
from redis_oom_tui.rules.report import prior_runs
from tests.support.scripted_runs import a_plan, some_keys

PLAN = a_plan(some_keys(3))
RUN = AuditEntry(
    1000.0, "a", "delete", PLAN.server, "sre", "delete 3 keys", 1002.0, "Deleted 2 of 3 keys.", True,
    undo="/backups/a.jsonl", plan=PLAN.hash,
)  # fmt: skip


def test_a_run_that_ended_is_told_with_its_result_and_its_backup() -> None:
    (sentence,) = prior_runs([RUN], PLAN, 1060.0)
    assert (
        sentence
        == "A run of this plan, begun a minute ago, ended: Deleted 2 of 3 keys. Its copies are in /backups/a.jsonl"
    )


def test_a_run_that_was_cut_off_is_told_as_such() -> None:
    (sentence,) = prior_runs([replace(RUN, ended=None, ok=None, result="")], PLAN, 1060.0)
    assert "was interrupted, or still runs: its keys are counted here, too" in sentence
    assert sentence.endswith("Its copies are in /backups/a.jsonl")


def test_other_plans_and_other_servers_are_not_told_and_the_newest_comes_first() -> None:
    others = [replace(RUN, plan="f00"), replace(RUN, server="n:2"), replace(RUN, plan="", action="purge")]
    assert prior_runs(others, PLAN, 1060.0) == ()
    several = [replace(RUN, id=str(n), at=1000.0 + n, undo="") for n in range(5)]
    sentences = prior_runs(several, PLAN, 1060.0)
    assert [sentence.split(" ago")[0] for sentence in sentences] == [
        f"A run of this plan, begun {left} seconds" for left in (56, 57, 58)
    ]
