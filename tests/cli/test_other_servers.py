"""Servers that are not plain Redis, imitated: the commands neither fail nor guess, and no refused write is a success.

`check` and `limits` on the same texts are in test_public_reports.py, the panes in tests/tui/test_reported_states.py.
"""

import re
from dataclasses import replace
from typing import Any

import pytest
from redis.asyncio import Redis

from redis_oom_tui.cli.main import main
from redis_oom_tui.models.address import Address
from redis_oom_tui.models.errors import CommandRefused
from redis_oom_tui.models.keys import HotKeys
from redis_oom_tui.rules.flavours import MANAGED, PRODUCTS, REFUSAL
from redis_oom_tui.server import server_logs
from redis_oom_tui.server.server_logs import hot_keys_in
from tests.support.cluster import clustered
from tests.support.json_documents import document_of
from tests.support.replayed import case, replayed, reply
from tests.support.servers import RunningServer

KEYS = ("cache:1", "cache:2", "job:1")
REFUSALS = {product.name: product.refusal for product in (*PRODUCTS, *MANAGED)}
# The INFO of each, and how it refuses a write for want of room.
SERVERS = {
    "keydb188-active-replica": REFUSALS["KeyDB"],
    "dragonfly1936-cache-mode": REFUSALS["Dragonfly"],
    "kvrocks3208-replica": REFUSALS["Kvrocks"],
    "garnet-documented": REFUSAL,
    "upstash-documented": REFUSALS["Upstash"],
    "enterprise-documented": REFUSALS["Redis Enterprise"],
    "azure-managed-documented": REFUSALS["Redis Enterprise"],
    "azure-cache60-documented": REFUSALS["Azure Cache for Redis"],
    "azure-cache40-documented": REFUSALS["Azure Cache for Redis"],
    "elasticache-serverless-like": REFUSAL,
    "memorydb-documented": REFUSAL,
    "memorystore-documented": REFUSAL,
    "tair-documented": REFUSAL,
    "ser828-redis3-windows": REFUSAL,
}


@pytest.mark.parametrize("name", SERVERS)
def test_keys_are_read_and_a_refused_deletion_is_no_success(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    known = case(name)
    info = re.sub(r"(?m)^(db0:keys)=\d+,expires=\d+", rf"\1={len(KEYS)},expires=0", known.info)
    info = info.replace("role:slave", "role:master")
    shown = replace(known, info=info, keys=KEYS, refusal=SERVERS[name])

    def run(*words: str) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as ended:
            main(["-p", str(port), *words])
        printed = capsys.readouterr()
        return int(ended.value.code or 0), printed.out, printed.err

    with replayed(shown) as port:
        _, hogs, _ = run("hogs", "--json")
        planned, plan, _ = run("cleanup", "--match", "cache:*")
        code, text, _ = run("cleanup", "--match", "cache:*", "--yes")
        set_code, changed, _ = run("limits", "--set", "maxmemory-samples=7", "--yes")
    document = document_of("hogs", hogs)
    assert document["scanned_keys"] == len(KEYS)
    assert document["bytes"] == 100 * len(KEYS)
    assert planned == 0
    assert "Delete 2 keys (200 B)" in plan
    assert code != 0
    assert "Deleted 0 of 2 keys; 2 " in text
    refused_by_its_limit = SERVERS[name].startswith("OOM ")
    assert refused_by_its_limit or SERVERS[name].removeprefix("ERR ") in text
    assert set_code != 0
    assert "is 7 now" not in changed


def test_keys_that_are_never_evicted_are_counted_out(capsys: pytest.CaptureFixture[str]) -> None:
    """As Redis 8.12 reports them, by its documentation: INFO stats has how many keys BLESS SET has marked."""
    info = case("memorystore-documented").info
    info = re.sub(r"(?m)^db0:keys=\d+,expires=\d+", f"db0:keys={len(KEYS)},expires=2", info)
    info = info.replace("# Stats\n", "# Stats\nblessed_keys:2\n")

    def run(port: int, *words: str) -> str:
        with pytest.raises(SystemExit):
            main(["-p", str(port), *words])
        return capsys.readouterr().out

    with replayed(replace(case("memorystore-documented"), info=info, keys=KEYS)) as port:
        document = document_of("limits", run(port, "limits", "--scan", "--json"))
        plan = run(port, "cleanup", "--match", "cache:*")
    views = {each["name"]: each for each in document["policies"]}
    assert views["noeviction"]["evictable_keys_total"] == 0
    assert views["noeviction"]["warnings"] == []
    for name in ("allkeys-lru", "volatile-ttl"):
        assert views[name]["evictable_keys_total"] == 1
        assert any("2 keys of this server are never evicted (BLESS)" in each for each in views[name]["warnings"])
    assert "2 keys of this server are never evicted (BLESS): one that this plan deletes" in plan


# HOTKEYS GET by its documentation: one list within another, names and values in turn.
HOT = [
    *("tracking-active", 1, "sample-ratio", 10, "selected-slots", [], "all-commands-all-slots-us", 200_000),
    *("net-bytes-all-commands-all-slots", 1000, "collection-start-time-unix-ms", 1_770_824_933_147),
    *(
        "collection-duration-ms",
        6408,
        "total-cpu-time-user-ms",
        3,
        "by-cpu-time-us",
        ["cold", 1500, "hot:\x1b[1m", 150_000],
    ),
    *("by-net-bytes", ["hot:\x1b[1m", 900]),
]


def test_hot_keys_are_read_where_they_are_tracked_and_no_tracking_is_started(
    capsys: pytest.CaptureFixture[str], server: RunningServer
) -> None:
    def run(*words: str) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as ended:
            main([*words])
        return int(ended.value.code or 0), *capsys.readouterr()

    for shape in ([HOT], HOT):
        with replayed(replace(case("tair-documented"), answers={"HOTKEYS GET": reply(shape)})) as port:
            _, text, _ = run("-p", str(port), "hogs", "--hot")
            document = document_of("hogs", run("-p", str(port), "hogs", "--hot", "--json")[1])
        assert "tracked since 2026-02-1" in text
        assert "for 6s, one key of 10" in text
        assert re.search(r"150\.0 ms +75%  hot:", text)
        assert "\x1b" not in text
        assert [each["cpu_seconds"] for each in document["by_cpu"]] == [0.15, 0.0015]
        assert [(each["network_bytes"], each["share"]) for each in document["by_network"]] == [(900, 0.9)]
    for nothing in (None, []):
        with replayed(replace(case("tair-documented"), answers={"HOTKEYS GET": reply(nothing)})) as port:
            code, text, _ = run("-p", str(port), "hogs", "--hot")
            document = document_of("hogs", run("-p", str(port), "hogs", "--hot", "--json")[1])
        assert code == 0
        assert text.startswith("No hot keys are tracked here.")
        assert (document["tracked"], document["active"], document["by_cpu"]) == (False, None, None)
        assert document["nodes"] is None
    # Of those that the tests run on, none has it.
    code, _, err = run("-s", str(server.socket_path), "hogs", "--hot")
    assert (code, err.count("HOTKEYS")) == (3, 2)
    assert "has no HOTKEYS GET: unknown command" in err
    for words, why in ((("--sample", "3"), "--sample"), (("--csv",), "--csv")):
        assert why in run("-s", str(server.socket_path), "hogs", "--hot", *words)[2]


def _as_read(reply: Any) -> Any:
    if isinstance(reply, list):
        return [_as_read(each) for each in reply]
    return reply.encode() if isinstance(reply, str) else reply


def test_hot_keys_of_a_cluster_are_those_of_each_node(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def run(*words: str) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as ended:
            main([*words])
        return int(ended.value.code or 0), *capsys.readouterr()

    with clustered(replicas=False) as cluster:
        words = ("-c", "-p", str(cluster.primaries[0].port), "hogs", "--hot")
        code, _, err = run(*words)
        assert (code, "has no HOTKEYS GET: unknown command" in err) == (3, True)
        # As their documentation has it; the first of the nodes does not know the command.
        first, second, third = (node.name for node in cluster.primaries)
        replies = {second: HOT, third: None}

        async def answered(_: Redis, address: Address) -> HotKeys:
            if str(address) == first:
                raise CommandRefused(f"{first} has no HOTKEYS GET", command="HOTKEYS GET")
            return hot_keys_in(_as_read(replies[str(address)]))

        monkeypatch.setattr(server_logs, "hot_keys", answered)
        text = run(*words)[1]
        document = document_of("hogs", run(*words, "--json")[1])
    assert re.search(rf"{second}: hot keys, tracked since .* for 6s, one key of 10", text)
    assert f"{third}: no hot keys are tracked" in text
    assert f"{first}: not known: {first} has no HOTKEYS GET" in text
    assert re.search(rf"150\.0 ms +75%  {second}  hot:", text)
    assert [each["node"] for each in document["by_cpu"]] == [second, second]
    assert {each["node"]: each["tracked"] for each in document["nodes"]} == {first: None, second: True, third: False}
    assert (document["tracked"], document["active"], document["sample_ratio"]) == (True, True, None)
