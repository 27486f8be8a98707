"""The maxmemory guard: no change of the limit without its consequence in words and numbers."""

import pytest

from redis_oom_tui.models.action import HostMemory
from redis_oom_tui.models.activity import Activity
from redis_oom_tui.models.address import Address, ClusterNode
from redis_oom_tui.models.errors import BadInput
from redis_oom_tui.models.settings import Change
from redis_oom_tui.models.snapshot import Database, Memory, NodeView, Server, Snapshot
from redis_oom_tui.models.structs import replace
from redis_oom_tui.rules import tuning
from redis_oom_tui.rules.limit_change import parse_limit, propose_limit
from redis_oom_tui.rules.other_nodes import PER_NODE

MIB = 1024 * 1024
ROOM = HostMemory(limit_bytes=1000 * MIB, free_bytes=500 * MIB)


def snapshot(
    *, policy: str = "noeviction", used: int = 100 * MIB, limit: int | None = 90 * MIB, **more: object
) -> Snapshot:
    memory = Memory(used_bytes=used, maxmemory_bytes=limit, policy=policy, startup_bytes=MIB)
    server = Server("redis", "7.0.15", "master", Address())
    return Snapshot(0.0, 0.0, server, memory, databases=(Database(0, 1000, 400),), **more)  # type: ignore[arg-type]


def proposed(new: int, seen: Snapshot, host_memory: HostMemory = ROOM) -> Change:
    return propose_limit("94371840", new, seen, host_memory)


@pytest.mark.parametrize("text", ["", " ", "0", "50%", "1e9", "-1", "4GiB", "0x10"])
def test_what_cannot_be_meant_is_refused(text: str) -> None:
    with pytest.raises(BadInput):
        parse_limit(text)


def test_lifting_the_limit_takes_a_word() -> None:
    assert parse_limit(" Unlimited ") == 0


def test_raising_above_what_is_used_cures() -> None:
    change = proposed(200 * MIB, snapshot())
    assert "writes are accepted again" in change.consequence
    assert "50.0%" in change.consequence
    assert change.new == str(200 * MIB)


def test_under_noeviction_a_limit_below_what_is_used_is_called_an_outage() -> None:
    change = proposed(50 * MIB, snapshot())
    assert "every write is refused" in change.consequence
    assert any("Writes will be refused until 50.0 MiB is freed" in warning for warning in change.warnings)


def test_under_a_policy_that_finds_no_ttl_it_is_called_an_outage_as_well() -> None:
    change = proposed(50 * MIB, replace(snapshot(policy="volatile-lru"), databases=(Database(0, 1000, 0),)))
    assert "every write is refused" in change.consequence
    assert any("no key has a TTL" in warning for warning in change.warnings)
    assert not any("All 0 keys" in warning for warning in change.warnings)


def test_under_allkeys_it_says_how_many_keys_go_and_that_there_is_no_undo() -> None:
    change = proposed(50 * MIB, snapshot(policy="allkeys-lru"))
    assert any("About 505 of 1,000 keys" in warning and "no undo" in warning for warning in change.warnings)


def test_under_volatile_the_keys_with_a_ttl_are_the_most_that_can_go() -> None:
    change = proposed(10 * MIB, snapshot(policy="volatile-lru"))
    assert any("All 400 keys with a TTL" in warning and "refused after that" in warning for warning in change.warnings)


def test_below_what_can_never_be_evicted_everything_goes() -> None:
    seen = snapshot(policy="allkeys-lru")
    seen = replace(seen, memory=replace(seen.memory, clients_normal_bytes=60 * MIB))
    assert any("every key that may be evicted would be" in warning for warning in proposed(50 * MIB, seen).warnings)


@pytest.mark.parametrize(
    ("policy", "used", "new", "word"),
    [
        ("allkeys-lru", 100 * MIB, 50 * MIB, "evict"),
        ("allkeys-lru", 100 * MIB, 100 * MIB, None),
        ("allkeys-lru", 100 * MIB, 0, None),
        ("noeviction", 100 * MIB, 50 * MIB, None),
        ("volatile-ttl", 100 * MIB, 50 * MIB, "evict"),
        ("unknown", 100 * MIB, 50 * MIB, "evict"),
        ("allkeys-lru", None, 50 * MIB, "evict"),
        ("allkeys-lru", None, 200 * MIB, None),
    ],
)
def test_a_limit_that_evicts_at_once_wants_a_typed_word(
    policy: str, used: int | None, new: int, word: str | None
) -> None:
    seen = snapshot(policy=policy)
    assert proposed(new, replace(seen, memory=replace(seen.memory, used_bytes=used))).word == word


def test_a_replica_evicts_nothing_of_its_own() -> None:
    seen = snapshot(policy="allkeys-lru")
    assert proposed(50 * MIB, replace(seen, server=replace(seen.server, role="slave"))).word is None


def policy_change(new: str, seen: Snapshot) -> Change:
    return tuning.propose("maxmemory-policy", "noeviction", new, seen, policies=(), host_memory=ROOM, scan=None)


@pytest.mark.parametrize(
    ("policy", "used", "ttls", "word"),
    [
        ("allkeys-lru", 100 * MIB, 400, "evict"),
        ("volatile-lru", 100 * MIB, 400, "evict"),
        ("volatile-lru", 100 * MIB, 0, None),
        ("noeviction", 100 * MIB, 400, None),
        ("allkeys-lru", 80 * MIB, 400, None),
        ("allkeys-lru", None, 400, "evict"),
    ],
)
def test_a_policy_that_evicts_at_once_wants_a_typed_word(
    policy: str, used: int | None, ttls: int, word: str | None
) -> None:
    seen = replace(snapshot(), databases=(Database(0, 1000, ttls),))
    assert policy_change(policy, replace(seen, memory=replace(seen.memory, used_bytes=used))).word == word


def test_a_policy_that_evicts_at_once_says_about_how_much() -> None:
    said = policy_change("allkeys-lru", snapshot()).warnings[0]
    assert said.startswith("The server is over its limit: about 10.0 MiB, about 101 of 1,000 keys, would be evicted")


def test_raising_above_the_machine_is_warned_of() -> None:
    assert any("kernel would kill" in warning for warning in proposed(2000 * MIB, snapshot()).warnings)


def test_what_the_machine_has_informs_and_does_not_warn() -> None:
    host_memory = replace(ROOM, words="The host has 1.0 GiB.")
    change = proposed(200 * MIB, snapshot(), host_memory)
    assert change.consequence.endswith("The host has 1.0 GiB.")
    assert change.warnings == proposed(200 * MIB, snapshot()).warnings == ()
    assert "machine has" not in proposed(50 * MIB, snapshot(), host_memory).consequence


def test_raising_near_the_machine_asks_for_room_to_fork() -> None:
    assert any("BGSAVE" in warning for warning in proposed(800 * MIB, snapshot()).warnings)


def test_an_unknown_machine_is_said_to_be_unknown() -> None:
    assert any("not known" in warning for warning in proposed(200 * MIB, snapshot(), HostMemory()).warnings)


def test_no_limit_at_all_is_warned_of() -> None:
    assert any("OOM killer" in warning for warning in proposed(0, snapshot()).warnings)


def test_replicas_that_nobody_asked_are_named() -> None:
    seen = snapshot(activity=Activity(connected_replicas=2))
    assert any("2 replicas have limits of their own" in warning for warning in proposed(200 * MIB, seen).warnings)


def replica(limit: int | None, policy: str = "noeviction") -> NodeView:
    return NodeView(ClusterNode("r:1", "r:1", Address("r", 1), "m:1"), snapshot(limit=limit, policy=policy))


@pytest.mark.parametrize(
    ("view", "said"),
    [
        (replica(50 * MIB), "a limit of 50.0 MiB: after a failover it would refuse writes at once"),
        (replica(50 * MIB, "allkeys-lru"), "it would evict by allkeys-lru at once"),
        (replica(150 * MIB), "it would refuse writes from there on"),
        (replica(300 * MIB), "300.0 MiB: it keeps that"),
        (replica(200 * MIB), None),
        (replica(None), None),
        (NodeView(ClusterNode("r:1", "r:1", Address("r", 1), "m:1"), error="r:1 is silent"), "could not be asked"),
    ],
)
def test_a_replica_with_another_limit_is_told_of(view: NodeView, said: str | None) -> None:
    seen = snapshot(activity=Activity(connected_replicas=1))
    warnings = propose_limit("94371840", 200 * MIB, seen, ROOM, [view]).warnings
    assert [said in warning for warning in warnings if "r:1" in warning] == ([] if said is None else [True])
    assert not any("not known from here" in warning for warning in warnings)


def test_replicas_with_another_policy_are_told_of_in_one_sentence() -> None:
    def said(*replicas: NodeView, mode: str = "standalone", role: str = "master") -> tuple[str, ...]:
        seen = snapshot(used=MIB, activity=Activity(connected_replicas=2))
        seen = replace(seen, server=replace(seen.server, role=role, mode=mode))
        change = tuning.propose(
            "maxmemory-policy",
            "noeviction",
            "allkeys-lru",
            seen,
            policies=(),
            host_memory=ROOM,
            scan=None,
            replicas=replicas,
        )
        return tuple(warning for warning in change.warnings if "own" in warning or "per node" in warning)

    lost = NodeView(ClusterNode("r:2", "r:2", Address("r", 2), "m:1"), error="r:2 is silent")
    kept = "also after a failover: CONFIG SET is not replicated. Set it there as well."
    assert said(replica(None), lost) == (
        f"Its replicas keep their own maxmemory-policy (r:1: noeviction, r:2: not known), {kept}",
    )
    assert said(replica(None, "allkeys-lru"), lost)[0].startswith("Its replica keeps its own maxmemory-policy (r:2")
    assert said(replica(None, "allkeys-lru")) == ()
    assert said() == (f"Its replicas keep their own maxmemory-policy, {kept}",)
    assert said(mode="cluster") == (PER_NODE,)
    assert said(role="slave") == ("This is a replica: the setting is its own, and takes effect when it is promoted.",)


@pytest.mark.parametrize(
    ("name", "text", "sent"),
    [
        ("maxmemory-samples", " 10 ", "10"),
        ("maxmemory-eviction-tenacity", "100", "100"),
        ("maxmemory-clients", "5 %", "5%"),
        ("maxmemory-clients", "1gb", "1073741824"),
        ("lazyfree-lazy-expire", "YES", "yes"),
        ("active-expire-effort", "10", "10"),
    ],
)
def test_other_settings_are_read_as_people_write_them(name: str, text: str, sent: str) -> None:
    change = tuning.propose(name, "x", text, snapshot(), policies=(), host_memory=ROOM, scan=None)
    assert (change.name, change.new) == (name, sent)
    assert change.consequence


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("maxmemory-samples", "0"),
        ("maxmemory-samples", "many"),
        ("maxmemory-eviction-tenacity", "101"),
        ("maxmemory-clients", "101%"),
        ("activedefrag", "perhaps"),
        ("maxmemory-policy", "allkeys-lrx"),
        ("requirepass", "x"),
        ("save", ""),
    ],
)
def test_settings_that_cannot_be_meant_or_are_not_ours_are_refused(name: str, text: str) -> None:
    with pytest.raises(BadInput):
        tuning.propose(name, "x", text, snapshot(), policies=(), host_memory=ROOM, scan=None)


def test_a_policy_that_this_server_lists_is_taken_even_if_unknown_to_us() -> None:
    seen = snapshot()
    change = tuning.propose(
        "maxmemory-policy",
        "noeviction",
        "allkeys-lrm",
        seen,
        policies=("noeviction", "allkeys-lrm"),
        host_memory=ROOM,
        scan=None,
    )
    assert change.new == "allkeys-lrm"
    assert any("evicted at once" in warning for warning in change.warnings)


def test_a_limit_that_returns_by_itself_says_what_becomes_of_what_was_written_beyond_it() -> None:
    (refused,) = proposed(200 * MIB, snapshot()).returns
    assert refused == (
        "When it reverts to 90.0 MiB, every write is refused until the excess is freed; 10.0 MiB over it now."
    )
    (evicted,) = proposed(200 * MIB, snapshot(policy="allkeys-lru", used=50 * MIB)).returns
    assert evicted == (
        "When it reverts to 90.0 MiB while more is in use, allkeys-lru evicts the excess at once, and there is no undo."
    )
    assert proposed(0, snapshot()).returns, "lifted, it can grow beyond the old one, too"
    assert proposed(80 * MIB, snapshot()).returns == (), "what goes back up costs nothing"
    assert propose_limit("0", 80 * MIB, snapshot(), ROOM).returns == ()
    assert propose_limit(None, 80 * MIB, snapshot(), ROOM).returns == ()


@pytest.mark.parametrize(
    ("policy", "does"), [("noeviction", "refuse every write"), ("allkeys-lru", "evict by allkeys-lru")]
)
def test_a_replica_neither_refuses_nor_evicts_before_it_is_promoted(policy: str, does: str) -> None:
    seen = snapshot(policy=policy)
    seen = replace(seen, server=replace(seen.server, role="slave"))
    change = proposed(50 * MIB, seen)
    assert change.consequence.endswith(f"if promoted, it would {does} at once.")
    assert change.warnings[0] == f"It holds 50.0 MiB more than that: if promoted, it would {does} at once."
    assert proposed(200 * MIB, seen).returns == ()
