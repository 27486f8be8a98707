"""`check`, `limits` and the findings on the state of each public report: the right cause, and no claim beyond it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from redis_oom_tui.cli.main import main
from redis_oom_tui.models.verdict import Finding, Verdict
from redis_oom_tui.rules.clients import with_clients
from redis_oom_tui.rules.findings import Case as Evidence
from redis_oom_tui.rules.findings import examine
from redis_oom_tui.rules.verdict import judge
from tests.support.json_documents import document_of
from tests.support.replayed import NAMES, Case, case, replayed

pytestmark = pytest.mark.usefixtures("looks_longer_for_a_moment")


@dataclass(frozen=True)
class Right:
    """What is right to say: a level, clauses of the sentence, findings, doubtful fields, and what must not be said."""

    rule: str
    verdict: str
    says: Sequence[str]
    findings: Sequence[str] = ()
    doubts: Sequence[str] = ()
    never: Sequence[str] = ()
    growing: Mapping[str, int] = field(default_factory=dict)
    refused: Sequence[str] = ()


NOT_REDIS = "is neither Redis nor Valkey: when it refuses and what it evicts is not judged here"
UNLIMITED = ("No limit", "no limit")
INDEX: dict[str, tuple[str, Right]] = {
    "valkey2994": (
        "valkey2994-underflow",
        Right(
            "refusing-count-unknown", "oom",
            ("its own count is broken", "2^64 - 6.9 MiB", "over its limit by its own clock for 1d00h"),
            ("one-cluster-node",),
            ("used_memory", "used_memory_peak", "used_memory_dataset"),
            ("permission", "user who may", "swap"),
        ),
    ),
    "elasticache": (
        "elasticache-serverless-like",
        Right(
            "limit-unknown", "warning",
            ("its limit is not reported", "800 writes refused since restart or RESETSTAT"),
            ("one-cluster-node",),
            ("maxmemory", "maxmemory_policy"),
            (*UNLIMITED, "writes are accepted", "noeviction"),
            refused=("CONFIG GET",),
        ),
    ),
    "elasticache, refusing": (
        "elasticache-serverless-like",
        Right(
            "refusing-limit-unknown", "oom",
            ("its limit is not reported, so the cause is not known", "at least 5 refused"),
            ("one-cluster-node",),
            ("maxmemory", "maxmemory_policy"),
            (*UNLIMITED, "evicts", "each needed more room"),
            {"errorstat_OOM": 5},
            ("CONFIG GET",),
        ),
    ),
    "redis14310": (
        "redis14310-cluster-links",
        Right(
            "refusing-links", "oom",
            ("links of the cluster bus hold 1.9 GiB of it, not data",),
            ("cluster-links", "one-cluster-node"),
            never=("noeviction evicts nothing", "maxmemory could go"),
        ),
    ),
    "redis13547": (
        "redis13547-rss-zero",
        Right("healthy", "ok", ("at 58% of 512.0 MiB",), (), ("used_memory_rss",), ("swap", "in RAM")),
    ),
    "redis4574": (
        "redis4574-query-buffers",
        Right(
            "refusing-buffers", "oom",
            ("client and replica buffers use 4.8 GiB of it, not data",),
            ("client-hogs",),
            ("mem_clients_normal",),
            ("maxmemory could go", "noeviction evicts nothing"),
        ),
    ),
    "ser828": ("ser828-redis3-windows", Right("healthy", "ok", ("Healthy",), ("one-cluster-node",), never=("swap",))),
    "ot1760": (
        "ot1760-operator-5pct",
        Right(
            "healthy", "ok",
            ("409 writes refused", "its peak reached the limit: a burst that is over)"),
            ("refused-at-peak",),
        ),
    ),
    "redis9231": (
        "redis9231-tracking-items",
        Right(
            "close-tracking", "warning",
            ("client-side caching (tracking) holds about 6.1 GiB to 8.6 GiB of it, not data",),
            ("tracking",),
            never=("noeviction evicts nothing",),
        ),
    ),
    "redis11830": (
        "redis11830-fat-argv",
        Right("healthy", "ok", ("37 writes refused", "large values"), ("refused-large", "client-hogs")),
    ),
    "keydb188": ("keydb188-active-replica", Right("behind", "critical", ("182% of 2.0 GiB", NOT_REDIS), ("not-redis",),
                 never=("make room fast enough",))),
    "keydb234": (
        "keydb234-oom-no-keys",
        Right(
            "close-nothing-left", "critical",
            ("132.6 MiB is held by no key", NOT_REDIS),
            ("held-by-no-key", "not-redis"),
        ),
    ),
    "dragonfly1936": (
        "dragonfly1936-cache-mode",
        Right("healthy", "ok", ("Dragonfly is at 73% of 6.4 GiB by its own figures", NOT_REDIS), ("not-redis",)),
    ),
    "dragonfly5431": (
        "dragonfly5431-lsn-buffers",
        Right(
            "foreign-rss", "warning",
            ("its RSS of 394.6 MiB is at the limit", NOT_REDIS),
            ("not-redis",),
            never=("Healthy", "PURGE", "does not count"),
        ),
    ),
    "kvrocks3208": (
        "kvrocks3208-replica",
        Right(
            "count-unknown", "unknown",
            ("used_memory is not reported", "Kvrocks is neither Redis nor Valkey"),
            ("not-redis",),
            ("used_memory", "maxmemory", "maxmemory_policy"),
            (*UNLIMITED, "Healthy", "noeviction"),
            refused=("CONFIG GET",),
        ),
    ),
    "garnet": (
        "garnet-documented",
        Right(
            "count-unknown", "unknown",
            ("used_memory is not reported", f"Garnet {NOT_REDIS}"),
            ("not-redis",),
            ("used_memory", "maxmemory", "maxmemory_policy", "keyspace"),
            (*UNLIMITED, "Healthy", "noeviction", " 0 keys"),
            refused=("CONFIG GET",),
        ),
    ),
    "upstash": (
        "upstash-documented",
        Right(
            "count-unknown", "unknown",
            ("used_memory is not reported", f"Upstash {NOT_REDIS}"),
            ("not-redis",),
            ("used_memory", "maxmemory", "maxmemory_policy"),
            (*UNLIMITED, "Healthy", "noeviction"),
            refused=("CONFIG GET",),
        ),
    ),
    "redis enterprise": (
        "enterprise-documented",
        Right(
            "limit-unknown", "unknown",
            ("its limit is not reported",),
            ("refusals-unknown",),
            ("maxmemory", "maxmemory_policy"),
            (*UNLIMITED, "Healthy", "writes are accepted"),
            refused=("CONFIG GET",),
        ),
    ),
    "azure managed": (
        "azure-managed-documented",
        Right(
            "limit-unknown", "unknown",
            ("its limit is not reported",),
            ("refusals-unknown",),
            ("maxmemory", "maxmemory_policy"),
            (*UNLIMITED, "Healthy", "writes are accepted"),
            refused=("CONFIG GET",),
        ),
    ),
    "azure cache, 6.0": (
        "azure-cache60-documented",
        Right(
            "close-critical", "critical", ("at 98% of 5.7 GiB",), ("refusals-unknown",), refused=("CONFIG",)
        ),
    ),
    "azure cache, 4.0": (
        "azure-cache40-documented",
        Right(
            "fragmented", "warning", ("1.6 GiB is fragmentation",), ("refusals-unknown", "fragmentation"),
            never=("does not count towards maxmemory",), refused=("CONFIG",),
        ),
    ),
    "memorydb": (
        "memorydb-documented",
        Right("healthy", "ok", ("at 49% of 4.0 GiB",), ("refusals-unknown",), refused=("CONFIG",)),
    ),
    "memorystore": (
        "memorystore-documented",
        Right("close-critical", "critical", ("at 95% of 4.0 GiB",), ("refusals-unknown",), refused=("CONFIG",)),
    ),
    "tair": (
        "tair-documented",
        Right("healthy", "ok", ("at 49% of 4.0 GiB",), ("refusals-unknown",), refused=("CONFIG",)),
    ),
    "redis13973": (
        "redis13973-overhead-over-used",
        Right("close-warning", "warning", ("88% of 600.0 MiB",), (), ("used_memory_overhead", "used_memory_dataset")),
    ),
}  # fmt: skip


def test_every_report_is_in_the_index() -> None:
    assert {name for name, _ in INDEX.values()} == set(NAMES)


@pytest.fixture(params=INDEX)
def right(request: pytest.FixtureRequest) -> tuple[Case, Right]:
    name, right = INDEX[request.param]
    return case(name, refused=right.refused, growing=right.growing), right


def run(port: int, capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str]:
    with pytest.raises(SystemExit) as ended:
        main(["-p", str(port), *words])
    return int(ended.value.code or 0), capsys.readouterr().out


def test_check_tells_it(right: tuple[Case, Right], capsys: pytest.CaptureFixture[str]) -> None:
    shown, wanted = right
    with replayed(shown) as port:
        code, text = run(port, capsys, "check")
        _, output = run(port, capsys, "check", "--json")
    document = document_of("check", output)
    assert (document["rule"], document["verdict"]) == (wanted.rule, wanted.verdict), document["reason"]
    assert code == {"ok": 0, "warning": 1, "critical": 2, "oom": 2, "unknown": 3}[wanted.verdict]
    assert text.startswith(f"{wanted.verdict.upper()}: ")
    for clause in wanted.says:
        assert clause in text
        assert clause in document["reason"]
    found = {finding["id"] for finding in document["findings"]}
    assert set(wanted.findings) <= found
    assert {doubt["field"] for doubt in document["doubts"]} >= set(wanted.doubts)
    for phrase in wanted.never:
        assert phrase not in text
        assert not any(phrase in finding["title"] + finding["advice"] for finding in document["findings"])


def test_what_is_different_on_another_server_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    for name, words in (("kvrocks3208-replica", "keeps data on disk"), ("dragonfly1936-cache-mode", "compares RSS")):
        with replayed(case(name)) as port:
            assert words in run(port, capsys, "check")[1]


def test_a_plan_says_where_scan_ended_before_all_keys(capsys: pytest.CaptureFixture[str]) -> None:
    missing = ", and the server counts 97,998: keys are missing."
    with replayed(replace(case("dragonfly1936-cache-mode"), keys=["k"])) as port:
        for words in (("--match", "x*"), ("--type", "hash"), ("--larger-than", "1kb")):
            code, text = run(port, capsys, "cleanup", *words)
            assert code == 1
            assert missing in text
            assert "of 97,998 matches" not in text
            assert "not all keys were read" in text


@pytest.mark.parametrize("pages", [40, 1], ids=["goes on", "ends"])
def test_a_server_that_skips_what_a_filter_leaves_out_has_read_all(
    pages: int, capsys: pytest.CaptureFixture[str]
) -> None:
    page = [f"k{number}" for number in range(100)]
    shown = replace(case("dragonfly1936-cache-mode"), keys=["k"], unfiltered=[page] * pages)
    with replayed(shown) as port:
        code, text = run(port, capsys, "cleanup", "--match", "x*")
    assert (code, "keys are missing" in text) == ((1, True) if pages == 1 else (0, False))


def test_limits_tell_it(right: tuple[Case, Right], capsys: pytest.CaptureFixture[str]) -> None:
    shown, _ = right
    snapshot = shown.snapshot()
    with replayed(shown) as port:
        code, text = run(port, capsys, "limits")
        _, output = run(port, capsys, "limits", "--json")
    document = document_of("limits", output)
    assert code == 0
    assert document["maxmemory_bytes"] == snapshot.memory.maxmemory_bytes
    assert document["limit_source"] == snapshot.memory.limit_source.value
    if snapshot.memory.limit_unknown:
        assert text.startswith("maxmemory ?, policy ?")
        assert "not reported by this server: state it with --limit SIZE" in text
        assert "the write is accepted" not in text.split("Policies:")[0]


def findings(shown: Case) -> tuple[Verdict, tuple[Finding, ...]]:
    now = with_clients(shown.snapshot(1), shown.buffers())
    return judge(now, shown.snapshot()), examine(Evidence(now, clients=shown.buffers()))


def test_the_screen_and_the_command_tell_the_same(right: tuple[Case, Right]) -> None:
    shown, wanted = right
    verdict, found = findings(shown)
    assert verdict.level.value == wanted.verdict
    assert set(wanted.findings) <= {finding.id for finding in found}


def memory(port: int, capsys: pytest.CaptureFixture[str], *words: str) -> dict[str, Any]:
    _, output = run(port, capsys, *words, "check", "--json")
    document: dict[str, Any] = document_of("check", output)
    return document


def test_a_stated_limit_counts(capsys: pytest.CaptureFixture[str]) -> None:
    shown = case("elasticache-serverless-like", refused=("CONFIG GET",))
    with replayed(shown) as port:
        document = memory(port, capsys, "--limit", "6gb")
        _, text = run(port, capsys, "--limit", "6gb", "check")
        _, limits = run(port, capsys, "--limit", "6gb", "limits")
    assert document["memory"]["maxmemory_bytes"] == 6 * 2**30
    assert document["memory"]["limit_source"] == "operator"
    assert document["memory"]["pressure"] == round(5_100_000_000 / (6 * 2**30), 4)
    assert "limit-stated" in {finding["id"] for finding in document["findings"]}
    assert "79.2% of stated 6.0 GiB" in text
    assert limits.startswith("maxmemory 6.0 GiB (stated)")


def test_the_servers_own_limit_counts_more_than_a_stated_one(capsys: pytest.CaptureFixture[str]) -> None:
    with replayed(case("ot1760-operator-5pct")) as port:
        document = memory(port, capsys, "--limit", "6gb")
    assert document["memory"]["maxmemory_bytes"] == 104857600
    assert document["memory"]["limit_source"] == "server"
    assert [doubt["field"] for doubt in document["doubts"]] == ["limit"]


def test_no_limit_is_stated_by_0(capsys: pytest.CaptureFixture[str]) -> None:
    with replayed(case("ot1760-operator-5pct")) as port, pytest.raises(SystemExit):
        main(["-p", str(port), "--limit", "0", "check"])
    assert "--limit 0 states no limit" in capsys.readouterr().out
