"""INFO of other products: named, and judged by what they report."""

from collections.abc import Iterator

import pytest

from redis_oom_tui.models.snapshot import LimitSource
from redis_oom_tui.models.verdict import Level
from redis_oom_tui.rules import guarded
from redis_oom_tui.rules.info_fields import with_settings
from redis_oom_tui.rules.verdict import judge
from tests.rules.captured import REDIS_6_2
from tests.rules.test_garbled_info import spoilt, taken


@pytest.fixture(autouse=True, scope="module")
def _faults_are_seen() -> Iterator[None]:
    """What a rule cannot judge is shown as not judged: here each failure is to be seen."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(guarded, "FAULTS", ())
        yield


@pytest.mark.parametrize(
    ("fields", "product"),
    [
        ({"dragonfly_version": "df-v1.31.0"}, "Dragonfly"),
        ({"kvrocks_version": "2.9.0"}, "Kvrocks"),
        ({"garnet_version": "1.0.40"}, "Garnet"),
        ({"executable": "/usr/bin/keydb-server"}, "KeyDB"),
        ({"role": "active-replica"}, "KeyDB"),
        ({"storage_provider": "none"}, "KeyDB"),
        ({"server_name": "redict"}, "redict"),
    ],
)
def test_a_server_that_is_neither_is_named(fields: dict[str, object], product: str) -> None:
    now = taken({**REDIS_6_2, **fields})
    assert (now.server.flavour, now.server.product) == ("other", product)
    assert f"{product} is neither Redis nor Valkey" in judge(now).reason


def test_a_managed_redis_is_redis() -> None:
    server = taken({**REDIS_6_2, "rlec_version": "7.4.2-54"}).server
    assert (server.flavour, server.product) == ("redis", "Redis Enterprise")


def test_kvrocks_reports_no_memory_and_is_not_blamed_on_permissions() -> None:
    info = {"kvrocks_version": "2.9.0", "redis_version": "7.0.0", "used_memory_rss": 10**8, "connected_clients": 3}
    now = taken({**info, "role": "master", "db0": {"keys": 100, "expires": 3}})
    verdict = judge(now)
    assert verdict.level is Level.UNKNOWN
    assert verdict.rule == "count-unknown"
    assert "its used_memory is not reported" in verdict.reason
    assert "Kvrocks is neither Redis nor Valkey" in verdict.reason


def test_a_server_that_does_not_say_who_it_is_is_judged_as_any() -> None:
    now = taken(spoilt(REDIS_6_2, {"redis_version"}, {}))
    assert now.server.flavour == "other"
    assert not now.server.is_foreign


GARNET = {
    "garnet_version": "1.0.40", "redis_version": "7.4.3", "redis_mode": "standalone", "system_page_size": "4096",
    "proc_physical_memory_size": "310000000", "total_main_store_size": "134217728",
}  # fmt: skip


def test_garnet_is_named_though_it_shares_hardly_a_field() -> None:
    verdict = judge(taken(GARNET))
    assert verdict.level is Level.UNKNOWN
    assert "its used_memory is not reported" in verdict.reason
    assert "Garnet is neither Redis nor Valkey" in verdict.reason


def test_config_get_stands_for_what_info_leaves_out_but_its_0_is_no_answer() -> None:
    missing = taken(spoilt(REDIS_6_2, {"maxmemory", "maxmemory_policy"}, {}))
    filled = with_settings(missing, {"maxmemory": "3145728", "maxmemory-policy": "noeviction"})
    assert filled.memory.maxmemory_bytes == 3145728
    assert filled.memory.limit_source is LimitSource.SERVER
    assert filled.memory.policy == "noeviction"
    assert {"is not reported by INFO: CONFIG GET's answer stands for it"} == {one.reason for one in filled.doubts}
    for answer in ("0", "", "?", "-1"):
        assert with_settings(missing, {"maxmemory": answer}) == missing
