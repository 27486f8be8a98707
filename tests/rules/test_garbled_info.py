"""INFO that is garbled, cut or absurd: unknown is said, and nothing fails."""

import json
import math
import re
from collections.abc import Iterator, Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from redis_oom_tui.cli.check_answer import Answer, lines
from redis_oom_tui.formatting.check import check_document
from redis_oom_tui.models.address import Address
from redis_oom_tui.models.snapshot import LimitSource, Snapshot
from redis_oom_tui.models.structs import replace
from redis_oom_tui.models.verdict import Finding, Level, Verdict
from redis_oom_tui.rules import guarded
from redis_oom_tui.rules.breakdown import break_down, counted_buffers
from redis_oom_tui.rules.emergency import in_vain
from redis_oom_tui.rules.findings import Case, examine
from redis_oom_tui.rules.forecast import forecast
from redis_oom_tui.rules.history import History
from redis_oom_tui.rules.info import snapshot_from_info
from redis_oom_tui.rules.verdict import judge
from redis_oom_tui.rules.whatif import policy_views, write_path
from redis_oom_tui.server.replies import info_in
from tests.rules.captured import REDIS_6_2, VALKEY_9_1
from tests.support.replayed import NAMES, case

TEXTS: Mapping[str, Mapping[str, object]] = {
    **{name: info_in(case(name).info.encode()) for name in NAMES},
    "redis 6.2": REDIS_6_2,
    "valkey 9.1": VALKEY_9_1,
}


ABSURD = st.sampled_from(
    (
        "0", "-1", "1", "", "?", "nan", "inf", "-5000000", "1e6", "99999999", "1000000.00", "340%", "1_000",
        str(2**31), str(2**53 + 1), str(2**63 - 1), str(2**63), str(2**64 - 7 * 2**20), str(2**70), "9" * 400,
    )
)  # fmt: skip


@pytest.fixture(autouse=True, scope="module")
def _faults_are_seen() -> Iterator[None]:
    """What a rule cannot judge is shown as not judged: here each failure is to be seen."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(guarded, "FAULTS", ())
        yield


def spoilt(text: Mapping[str, object], dropped: set[str], changed: Mapping[str, object]) -> dict[str, object]:
    info = {name: changed.get(name, value) for name, value in text.items() if name not in dropped}
    for name, value in list(info.items()):
        if isinstance(value, Mapping) and name in changed:
            info[name] = dict.fromkeys(value, changed[name])
    return info


def taken(info: Mapping[str, object], at: float = 100.0, stated_limit: int | None = None) -> Snapshot:
    return snapshot_from_info(info, address=Address(), monotonic=at, wall=1e9 + at, stated_limit=stated_limit)


@st.composite
def infos(draw: st.DrawFn) -> dict[str, object]:
    text = TEXTS[draw(st.sampled_from(sorted(TEXTS)))]
    names = st.sampled_from(sorted(text))
    # Something tells a server, as `snapshot_from_info` asks for it: Garnet's text is short, and has no used_memory.
    kept = {"used_memory", "redis_mode", "server_mode", "total_commands_processed"}
    dropped = draw(st.sets(names, max_size=20)) - kept
    changed = draw(st.dictionaries(names, ABSURD, max_size=12))
    changed.pop("redis_mode", None)
    return spoilt(text, dropped, changed)


def sentences(verdict: Verdict, found: tuple[Finding, ...]) -> str:
    parts = [verdict.reason, verdict.first_step, *verdict.evidence]
    for finding in found:
        parts += [finding.title, finding.advice, *finding.evidence]
    return "\n".join(parts)


def everything(
    info: Mapping[str, object], before: Mapping[str, object]
) -> tuple[Snapshot, Verdict, tuple[Finding, ...]]:
    history = History()
    first, now = taken(before), taken(info, 101.0)
    history.add(first)
    history.add(now)
    verdict = judge(now, first, forecast=forecast(history.samples))
    return now, verdict, examine(Case(now))


@given(infos(), infos())
def test_no_rule_fails_and_none_claims_what_is_not_there(info: dict[str, object], before: dict[str, object]) -> None:
    now, verdict, found = everything(info, before)
    memory, text = now.memory, sentences(verdict, found)
    if str(info.get("maxmemory")) not in ("0", "0.0"):
        assert "No limit is set" not in text
        assert "writes are accepted" not in text
    if memory.limit_unknown:
        assert "maxmemory" in {doubt.field for doubt in now.doubts}
        assert "room to write" not in text
    if memory.used_bytes is None:
        assert "used_memory" in {doubt.field for doubt in now.doubts}
        assert verdict.level is not Level.OK or verdict.rule in ("replica-copying", "loading")
    if memory.policy == "unknown":
        assert "noeviction evicts nothing" not in text
    if not now.server.product:
        assert "neither Redis nor Valkey" not in text
    if memory.rss_bytes is None:
        assert "swapping" not in text
        assert "in RAM" not in text


def assert_plausible(now: Snapshot, text: str) -> None:
    """No share of a whole above 100%, but of a limit that used_memory or the peak is over."""
    # 340% is one of the values that may stand in any field, also in one that is shown as it is.
    shares = [float(share) for share in re.findall(r"([\d.]+)%", text.replace("340%", ""))]
    pressure, limit, peak = now.memory.pressure or 0.0, now.memory.maxmemory_bytes, now.memory.peak_bytes
    highest = max(1.0, pressure, (peak or 0) / limit if limit else 0.0, (limit or 0) / (now.memory.host_bytes or 2**62))
    assert all(share <= 100.05 * highest + 0.5 for share in shares), (max(shares), text)


@given(infos())
def test_the_document_and_the_breakdown_hold(info: dict[str, object]) -> None:
    now, verdict, found = everything(info, info)
    document = check_document(verdict, now.server.address, now, found)
    json.loads(json.dumps(document, allow_nan=False))
    figures = document["memory"]
    for name, value in figures.items():
        assert not isinstance(value, int | float) or 0 <= value < 2**53, name
    assert now.memory.pressure is None or math.isfinite(now.memory.pressure)
    split = break_down(now.memory, now.keys)
    assert sum(part.size for part in split.parts) == (now.memory.used_bytes or 0)
    assert all(part.size > 0 for part in split.parts)
    assert 0 <= counted_buffers(now.memory) <= (now.memory.counted_bytes or 0)
    assert 0 <= now.expires <= now.keys
    assert_plausible(now, "\n".join(lines(Answer(verdict, now, found))) + sentences(verdict, found))
    assert not re.search(r"(?<![\d-])-\d[\d.,]* (?:B|[KMGTP]iB|%)", sentences(verdict, found))
    for step in write_path(now):
        assert step.answer
    assert policy_views((), now, None)


@pytest.mark.parametrize("name", sorted(TEXTS))
def test_one_missing_field_ends_nothing(name: str) -> None:
    for field in TEXTS[name]:
        now, verdict, _ = everything(spoilt(TEXTS[name], {field}, {}), TEXTS[name])
        assert now.memory.used_bytes is not None or verdict.rule != "healthy"


def test_a_limit_of_0_is_none_and_a_missing_one_is_unknown() -> None:
    assert taken({**REDIS_6_2, "maxmemory": 0}).memory.unlimited
    missing = taken(spoilt(REDIS_6_2, {"maxmemory"}, {})).memory
    assert missing.limit_unknown
    assert missing.pressure is None
    assert not missing.unlimited


@pytest.mark.parametrize("value", ["-1", "lots", str(2**63), str(2**60)])
def test_an_absurd_limit_is_unknown_with_its_reason(value: str) -> None:
    now = taken({**REDIS_6_2, "maxmemory": value})
    assert now.memory.limit_unknown
    assert any(doubt.field == "maxmemory" and value[:4] in doubt.reason for doubt in now.doubts)
    assert "its limit is not known: maxmemory reads" in judge(now).reason


def test_a_stated_limit_fills_in_for_a_missing_one_and_for_none() -> None:
    for info in (spoilt(REDIS_6_2, {"maxmemory"}, {}), {**REDIS_6_2, "maxmemory": 0}):
        memory = taken(info, stated_limit=4 * 2**20).memory
        assert memory.maxmemory_bytes == 4 * 2**20
        assert memory.limit_source is LimitSource.OPERATOR
        assert memory.pressure == pytest.approx(3140824 / 2**22)


def healthy(**changed: object) -> Snapshot:
    """A server with room, on a host with plenty, but for what is changed."""
    info = {**REDIS_6_2, "maxmemory": 96 * 2**30, "used_memory": 40 * 2**30, "used_memory_rss": 42 * 2**30}
    info |= {"used_memory_peak": 41 * 2**30, "mem_fragmentation_ratio": 1.05, "total_system_memory": 128 * 2**30}
    return taken({**info, "used_memory_overhead": 2**30, "used_memory_dataset": 39 * 2**30, **changed})


def test_an_rss_of_0_is_unknown_and_not_swapping() -> None:
    now = healthy(used_memory_rss=0, mem_fragmentation_ratio="0.00")
    assert now.memory.rss_bytes is None
    assert now.memory.fragmentation_ratio is None
    assert judge(now).level is Level.OK


def test_more_in_use_than_the_host_has_is_a_contradiction() -> None:
    now = healthy(total_system_memory=32 * 2**30, used_memory_rss=30 * 2**30)
    verdict = judge(now)
    assert verdict.rule == "contradictory"
    assert "used_memory is 40.0 GiB, but the host has 32.0 GiB of memory" in verdict.reason
    assert "swapping" not in verdict.reason


def test_rss_near_the_hosts_memory_is_a_warning_whatever_the_limit() -> None:
    now = healthy(used_memory_rss=round(0.956 * 128 * 2**30), maxmemory=round(0.83 * 128 * 2**30))
    verdict = judge(now)
    assert verdict.level is Level.WARNING
    assert "The host is nearly full: the server takes 95.6% of the 128.0 GiB" in verdict.reason.replace("96%", "95.6%")


@pytest.mark.parametrize(
    ("field", "value", "part"),
    [
        ("mem_clients_slaves", 2**45, "clients_replicas_bytes"),
        ("mem_replication_backlog", 2**45, "replication_backlog_bytes"),
        ("used_memory_startup", 2**45, "startup_bytes"),
        ("used_memory_overhead", 2**45, "overhead_bytes"),
        ("used_memory_dataset", 2**64 - 5, "dataset_bytes"),
        ("mem_fragmentation_ratio", "1000000.00", "fragmentation_ratio"),
        ("used_memory_peak", 2**20, "peak_bytes"),
        ("used_memory_rss", 2**45, "rss_bytes"),
    ],
)
def test_a_part_that_cannot_be_is_unknown(field: str, value: object, part: str) -> None:
    now = healthy(**{field: value})
    assert getattr(now.memory, part) is None
    assert field in {doubt.field for doubt in now.doubts}


def test_what_is_not_counted_cannot_exceed_what_is_used() -> None:
    now = healthy(mem_not_counted_for_evict=2**45)
    assert now.memory.not_counted_bytes == 0
    assert now.memory.pressure == pytest.approx(40 / 96)


def test_more_keys_with_a_ttl_than_keys() -> None:
    now = healthy(db0={"keys": 10, "expires": 12})
    assert now.expires <= now.keys
    assert "db0" in {doubt.field for doubt in now.doubts}


def test_a_keyspace_that_cannot_be_read_is_not_empty() -> None:
    now = taken({**REDIS_6_2, "maxmemory_policy": "allkeys-lru", "db0": {"keys": "x", "expires": 0}})
    assert not now.keyspace_known
    assert "no key" not in judge(now).reason


def test_an_unknown_policy_makes_no_refusal_certain() -> None:
    info = {**spoilt(REDIS_6_2, {"maxmemory_policy"}, {}), "maxmemory": 3 * 10**6}
    verdict = judge(taken(info))
    assert verdict.level is Level.CRITICAL
    assert "its policy is not reported" in verdict.reason


def test_a_broken_count_is_told_by_the_refusals_alone() -> None:
    info = {**REDIS_6_2, "used_memory": 2**64 - 7 * 2**20, "errorstat_OOM": {"count": 5}}
    before, now = taken(info), taken({**info, "errorstat_OOM": {"count": 9}}, 101.0)
    verdict = judge(now, before)
    assert verdict.level is Level.OOM
    assert "its own count is broken: used_memory reads 18446744073702211584 (2^64 - 7.0 MiB)" in verdict.reason
    assert "4 refused in the last" in verdict.reason


def test_refusals_without_a_limit_name_no_cause() -> None:
    info = {**REDIS_6_2, "maxmemory": 0, "errorstat_OOM": {"count": 5}}
    verdict = judge(taken({**info, "errorstat_OOM": {"count": 9}}, 101.0), taken(info))
    assert verdict.level is Level.OOM
    assert verdict.rule == "refusing-no-limit"
    assert "though it reports no limit (maxmemory 0): one is set elsewhere" in verdict.reason


def test_an_uptime_shorter_than_the_time_over_the_limit_is_unknown() -> None:
    now = taken({**REDIS_6_2, "uptime_in_seconds": 0, "current_eviction_exceeded_time": 3_600_000})
    assert now.server.uptime_seconds is None
    assert now.counters.eviction_exceeded_ms == 3_600_000


def test_counters_below_zero_are_unknown() -> None:
    counters = taken({**REDIS_6_2, "evicted_keys": -4, "expired_stale_perc": "340.00"}).counters
    assert counters.evicted_keys_total is None
    assert counters.expired_stale_percent is None


def test_scripts_that_hold_most_are_named() -> None:
    info = {**VALKEY_9_1, "used_memory": 33 * 2**20, "used_memory_peak": 33 * 2**20, "maxmemory": 32 * 2**20}
    info |= {"used_memory_scripts_eval": 30 * 2**20, "used_memory_overhead": 2**20, "number_of_cached_scripts": 30_000}
    now = taken({**info, "current_eviction_exceeded_time": 5000, "mem_clients_normal": 0})
    assert "cached scripts hold 30.0 MiB of it, not data" in judge(now).reason
    assert examine(Case(now))[0].id == "scripts"


@pytest.mark.parametrize("policy", ["noeviction", "allkeys-lru"])
def test_where_no_key_holds_it_an_armed_cleanup_stays_away(policy: str) -> None:
    tracking = {"tracking_total_keys": 6 * 10**6, "tracking_total_items": 15 * 10**7}
    info = {**TEXTS["redis9231-tracking-items"], **tracking, "maxmemory_policy": policy}
    said = set()
    for limit in (11_100_000_000, 10_000_000_000):
        verdict = judge(taken({**info, "maxmemory": limit}))
        assert verdict.level in (Level.CRITICAL, Level.OOM) or policy == "allkeys-lru"
        assert in_vain(verdict.rule)
        said.add(verdict.rule)
    assert said <= {"refusing-tracking", "close-tracking", "behind-tracking", "full-cache"}
    assert "refusing-tracking" in said or policy == "allkeys-lru"
    assert "behind-tracking" in said or policy == "noeviction"


def test_more_for_clients_than_is_used_is_a_doubt_and_no_part() -> None:
    now = healthy(mem_clients_normal=2**45)
    assert "mem_clients_normal" in {doubt.field for doubt in now.doubts}
    assert break_down(now.memory).clients_unbelievable == 2**45


def test_a_count_of_another_order_than_the_host_is_broken() -> None:
    now = healthy(used_memory=2**44, used_memory_peak=2**44)
    assert now.memory.used_bytes is None
    assert "its own count is broken: used_memory reads 17592186044416 (16.0 TiB)" in judge(now).reason


@pytest.mark.parametrize("host", [1, 4096, 3 * 2**30])
def test_a_host_of_another_order_than_its_server_is_unknown(host: int) -> None:
    now = healthy(total_system_memory=host)
    assert now.memory.host_bytes is None
    assert now.memory.used_bytes == 40 * 2**30
    assert "total_system_memory" in {doubt.field for doubt in now.doubts}
    assert judge(now).level is Level.OK


def test_over_a_stated_limit_without_a_refusal_the_statement_is_doubted() -> None:
    info = spoilt(TEXTS["elasticache-serverless-like"], {"maxmemory_policy"}, {})
    verdict = judge(taken(info, 101.0, 2**30), taken(info, 100.0, 2**30))
    assert verdict.level is Level.CRITICAL
    assert "no write is refused, so the stated limit may be too low" in verdict.reason
    assert verdict.rule != "refusing-noeviction"


def test_an_rss_that_falls_behind_fast_growth_is_not_swapping() -> None:
    late = {"used_memory_rss": 20 * 2**30, "mem_fragmentation_ratio": 0.5}
    now = replace(healthy(**late), taken_monotonic=101.0)
    assert judge(now, healthy(**late)).rule == "swapped"
    assert judge(now, healthy(**late, used_memory=25 * 2**30)).rule != "swapped"


def test_the_way_of_a_write_goes_by_the_clock_where_the_count_is_broken() -> None:
    steps = write_path(taken(TEXTS["valkey2994-underflow"]))
    assert [step.answer for step in steps] == [
        "yes: 10.0 GiB",
        "yes, by its own clock; its used_memory is not known",
        "noeviction: the write is refused with OOM",
    ]
    assert steps[-1].lit
