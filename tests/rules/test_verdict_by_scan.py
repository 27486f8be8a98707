"""What a scan of the keys adds to the verdict, and what it cannot tell: of small servers, and of what came since."""

import pytest

from redis_oom_tui.models.address import ClientBuffer
from redis_oom_tui.models.structs import replace
from redis_oom_tui.models.trend import Forecast, Trend
from redis_oom_tui.rules.findings import find
from redis_oom_tui.rules.verdict import holders, judge
from redis_oom_tui.rules.verdict.clauses import unexplained
from redis_oom_tui.rules.verdict.facts import Facts
from tests.rules.scanned import scanned
from tests.rules.snapshots import MIB, snapshot_of
from tests.rules.test_applications import CELERY, SIDEKIQ, UUID
from tests.rules.test_verdict_rules import GIANT, SCAN_OF_LITTLE, SCAN_OF_ONE


def test_what_a_small_server_needs_for_itself_is_no_cause() -> None:
    """Seen of Redis 7.0 with ten connections and a limit of 2 MB: 0.8 MiB in no key."""
    small = {"overhead_bytes": MIB, "clients_normal_bytes": 0}
    scan = replace(SCAN_OF_LITTLE, bytes_seen=MIB // 5, explained_share=0.1)
    verdict = judge(snapshot_of(used=2 * MIB, limit=2 * MIB, over_ms=500, memory=small), scan=scan)
    assert verdict.rule == "refusing-noeviction"


def test_what_came_after_a_scan_is_not_said_to_be_in_no_key() -> None:
    """A list grew a hundredfold since the keys of a nearly empty server were scanned."""
    scan = replace(SCAN_OF_LITTLE, bytes_seen=MIB, explained_share=0.4)
    full = snapshot_of(used=1001 * MIB, over_ms=500)
    assert judge(full, scan=scan).rule == "refusing-noeviction"
    assert "held-by-no-key" not in [finding.id for finding in find(full, scan)]


def test_a_scan_of_which_the_share_is_not_known_tells_of_no_other_memory() -> None:
    """It was one of some keys only."""
    scan = replace(SCAN_OF_LITTLE, explained_share=None)
    assert judge(snapshot_of(used=1001 * MIB, over_ms=500), scan=scan).rule == "refusing-noeviction"


def test_cause_and_finding_name_the_same_bytes() -> None:
    """What is booked for clients is in no key either, and is told on its own."""
    full = snapshot_of(
        used=1001 * MIB, over_ms=500, memory={"clients_normal_bytes": 100 * MIB, "overhead_bytes": 110 * MIB}
    )
    assert holders.in_no_key(Facts(full, scan=SCAN_OF_LITTLE)) == pytest.approx(800 * MIB, rel=0.02)
    verdict = judge(full, scan=SCAN_OF_LITTLE)
    found = next(finding for finding in find(full, SCAN_OF_LITTLE) if finding.id == "held-by-no-key")
    assert verdict.rule == "refusing-unexplained"
    said = verdict.reason.partition("and ")[2].partition(" is in no key")[0]
    assert said in found.title


def test_what_is_booked_elsewhere_is_not_unexplained() -> None:
    """Less than half is in keys, and nearly all of the rest is in buffers, scripts and tables."""
    booked = {"clients_normal_bytes": 400 * MIB, "scripts_bytes": 300 * MIB, "overhead_bytes": 710 * MIB}
    full = snapshot_of(used=1001 * MIB, over_ms=500, memory=booked)
    assert not unexplained(Facts(full, scan=replace(SCAN_OF_LITTLE, bytes_seen=280 * MIB, explained_share=0.28)))


def test_a_giant_that_is_gone_is_no_cause() -> None:
    shrunk = snapshot_of(used=850 * MIB, limit=900 * MIB)
    assert (GIANT.size or 0) > 850 * MIB
    assert judge(shrunk, scan=SCAN_OF_ONE).rule == "close-warning"
    assert "export" not in judge(shrunk, scan=SCAN_OF_ONE).reason
    nobody_knows = replace(snapshot_of(), memory=replace(snapshot_of().memory, used_bytes=None))
    assert Facts(nobody_knows, scan=SCAN_OF_ONE).giant is None


def test_growth_of_buffers_is_no_reason_to_free_keys() -> None:
    soon = Forecast(Trend.GROWING, 1e6, (1200.0, 2400.0), 600.0)
    held = {"clients_normal_bytes": 500 * MIB, "overhead_bytes": 510 * MIB}
    verdict = judge(snapshot_of(used=700 * MIB, memory=held), forecast=soon)
    assert verdict.rule == "growing"
    assert "buffers use" in verdict.reason
    assert "evicting keys will not help" in verdict.first_step


def test_a_giant_that_an_application_needs_is_not_to_be_deleted() -> None:
    full = snapshot_of(used=1001 * MIB, over_ms=500)
    sidekiq = scanned([*SIDEKIQ, ("queue:critical", "list", 900 * MIB)])
    verdict = judge(full, scan=sidekiq)
    assert verdict.rule == "refusing-giant"
    assert "It belongs to Sidekiq (waiting jobs): do not delete it unseen" in verdict.first_step
    assert find(full, sidekiq)[0].id == "application-data"
    harmless = scanned([*CELERY, (f"{UUID.format(99)}.reply.celery.pidbox", "list", 900 * MIB)])
    for scan in (harmless, scanned([("export:2026", "list", 900 * MIB)]), SCAN_OF_ONE):
        assert "split it or delete it" in judge(full, scan=scan).first_step


def test_a_giant_that_looks_like_a_queue_is_looked_at_before_it_is_deleted() -> None:
    full = snapshot_of(used=1001 * MIB, over_ms=500)
    for name, kind, use in (("queue:default", "list", "queue"), ("log", "stream", "stream"), ("locks", "set", "lock")):
        step = judge(full, scan=scanned([(name, kind, 900 * MIB)])).first_step
        assert f"it may be a {use}: check first that nobody needs it" in step
    assert "nobody needs it" not in judge(full, scan=SCAN_OF_ONE).first_step


@pytest.mark.parametrize("number", [1, 3])
def test_of_several_subscribers_that_do_not_read_the_largest_is_named_and_how_many_there_are(number: int) -> None:
    feeds = [
        ClientBuffer(n, f"10.0.0.{n}:1", name=b"feed%d" % n, flags="P", subscriptions=1, total_bytes=n, unread=True)
        for n in range(1, number + 1)
    ]
    facts = Facts(snapshot_of(used=1001 * MIB, over_ms=500), clients=tuple(feeds))
    (first, *_), step = holders.suspects(facts), holders.unbooked_step(facts)
    assert f"named feed{number} " in first
    assert ("the largest of 3 such subscribers" in first, "There are 3 such clients." in step) == (number > 1,) * 2
