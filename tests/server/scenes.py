"""What fills a server, one cause at a time, as clients do it."""

from tests.support.scene import Scene
from tests.support.shapes import used_at_rest
from tests.support.waiting import until

MIB = 2**20
EVERY = ("redis6", "redis7", "redis8", "valkey")
SEVEN_ON = EVERY[1:]


_HALF = b"*3\r\n$3\r\nSET\r\n$1\r\nh\r\n$6000000\r\n" + b"x" * 4_000_000


def full(scene: Scene) -> None:
    scene.keys(1100, 10_000)


def few_large_values(scene: Scene) -> None:
    """Each new value evicts one that was of use a moment ago."""
    for number in range(30):
        scene.client.set(f"page:{number % 20}", b"x" * 3_000_000)
        scene.client.get(f"page:{(number + 1) % 20}")


def paused(scene: Scene, share: float = 1.2) -> None:
    """It passes its limit after the pause began: its clock stands still."""
    scene.keys(1000, 5000)
    limit = int(used_at_rest(scene.client) / share)
    scene.client.execute_command("CLIENT", "PAUSE", 60_000, "WRITE")
    scene.client.config_set("maxmemory", limit)


def failing_over(scene: Scene) -> None:
    """It waits for a replica that never gets its copy."""
    scene.keys(1000, 5000)
    scene.hold((b"PSYNC", b"?", b"-1"))
    until(lambda: scene.client.info("replication")["connected_slaves"], "a replica")
    scene.keys(10, 5000, "unread")
    limit = int(used_at_rest(scene.client) / 1.2)
    scene.client.execute_command("FAILOVER", "TIMEOUT", 60_000)
    scene.client.config_set("maxmemory", limit)


def few_evictable(scene: Scene) -> None:
    scene.keys(1000, 5000)
    scene.keys(20, 5000, "short", ttl=5000)
    scene.limit_at(0.97)


def lowered(scene: Scene) -> None:
    scene.keys(500, 10_000)
    scene.client.config_set("maxmemory", 3 * MIB)


def loaded(scene: Scene) -> None:
    scene.keys(500, 10_000)
    scene.client.save()
    scene.server.kill()
    with (scene.server.folder / "server.conf").open("a") as file:
        file.write("maxmemory 3mb\n")
    scene.server.start()


def field_ttls(scene: Scene) -> None:
    scene.several(("HSET", f"h:{n}", "f", "x" * 10_000) for n in range(400))
    scene.several(("HEXPIRE", f"h:{n}", 9000, "FIELDS", 1, "f") for n in range(400))
    scene.keys(1000, 10_000)


def query_buffers(scene: Scene) -> None:
    scene.keys(100, 10_000)
    scene.hold(raw=_HALF, count=3)
    # The server books each client's buffers when its cron comes round to it.
    scene.wait("memory", "mem_clients_normal", 10_000_000)


def large_value(scene: Scene) -> None:
    """By a client that has written before: its next value is arriving."""
    scene.keys(500, 10_000)
    scene.hold((b"SET", b"k:0", b"x"), raw=b"*3\r\n$3\r\nSET\r\n$1\r\nh\r\n$30000000\r\n" + b"x" * 8_000_000)
    scene.wait("memory", "mem_clients_normal", 7_000_000)


def many_arguments(scene: Scene) -> None:
    """A command of many arguments, of which those that are whole have left the query buffer."""
    pairs = [b"$5\r\nk%04d\r\n$10000\r\n%b\r\n" % (n, b"x" * 10_000) for n in range(1200)]
    scene.keys(10, 1000)
    scene.hold(raw=b"*9001\r\n$4\r\nMSET\r\n" + b"".join(pairs))
    scene.wait("memory", "used_memory", 12_000_000)


def buffers_over_half_data(scene: Scene) -> None:
    """Fine without them: 58 % data."""
    scene.keys(580, 10_000)
    scene.hold(raw=_HALF)
    scene.wait("memory", "mem_clients_normal", 3_500_000)
    if scene.server.flavour == "redis6":
        # It takes what is spare of such a buffer back a little later.
        until(lambda: all(int(one["qbuf-free"]) < MIB for one in scene.client.client_list()), "no spare room")
    scene.limit_at(1.03)


def slow_readers(scene: Scene) -> None:
    scene.client.set("blob", b"x" * 1_000_000)
    scene.hold(*[(b"GET", b"blob")] * 6, count=2)
    scene.wait("memory", "mem_clients_normal", 8_000_000)


def slow_subscriber(scene: Scene) -> None:
    scene.hold((b"CLIENT", b"SETNAME", b"feed"), (b"SUBSCRIBE", b"news"))
    until(lambda: scene.client.pubsub_numsub("news")[0][1], "a subscriber")
    scene.several(("PUBLISH", "news", b"x" * 10_000) for _ in range(1200))


def shared_messages(scene: Scene) -> None:
    """Valkey keeps a large message once, and books little of it to those who have not read it."""
    scene.keys(100, 1000)
    scene.hold((b"CLIENT", b"SETNAME", b"feed"), (b"SUBSCRIBE", b"news"))
    until(lambda: scene.client.pubsub_numsub("news")[0][1], "a subscriber")
    scene.several(("PUBLISH", "news", b"x" * 1_000_000) for _ in range(9))


def monitor(scene: Scene) -> None:
    scene.hold((b"MONITOR",))
    until(lambda: any("O" in one["flags"] for one in scene.client.client_list()), "a MONITOR")
    for _ in range(3):
        scene.keys(600, 5000, "same")
        scene.client.flushall()
    # Valkey frees them in a thread: until it has, the limit would be set too high.
    until(lambda: not scene.client.info("memory")["lazyfree_pending_objects"], "freed")
    scene.keys(1, 10)
    scene.limit_at(1.03)


def multi(scene: Scene) -> None:
    """On 6.2 it is booked nowhere."""
    scene.hold((b"MULTI",), *[(b"SET", b"k%d" % n, b"x" * 10_000) for n in range(1200)])
    until(lambda: any(one["multi"] == "1200" for one in scene.client.client_list()), "all commands to be queued")
    scene.limit_at(1.03)


def connections(scene: Scene) -> None:
    scene.keys(10, 1000)
    scene.hold((b"PING",), count=600)
    scene.wait("clients", "connected_clients", 600)
    scene.limit_at(1.03)


def backlog(scene: Scene) -> None:
    scene.hold((b"PSYNC", b"?", b"-1"))
    until(lambda: scene.client.info("replication")["connected_slaves"], "a replica")
    scene.several(("SET", "hot", b"x" * 100_000) for _ in range(130))
    scene.client.config_set("maxmemory", 10 * MIB)
    # 6.2 books what a replica has not read when its cron comes round to it.
    scene.wait("memory", "mem_clients_slaves", 1)


def full_then_busy(scene: Scene) -> None:
    """Full of data; what a client then sends takes it further over its limit than writes alone do."""
    scene.keys(1100, 10_000)
    scene.hold(raw=b"*3\r\n$3\r\nSET\r\n$1\r\nh\r\n$1110000\r\n" + b"x" * 1_100_000)
    scene.wait("memory", "mem_clients_normal", 1_100_000)


def all_expire(scene: Scene) -> None:
    scene.keys(1100, 10_000, ttl=90_000)


def waiting_replica(scene: Scene) -> None:
    """What is written while its copy is made waits for it: the copy takes ten seconds a key."""
    scene.keys(3, 1000)
    scene.hold((b"PSYNC", b"?", b"-1"))
    until(lambda: scene.client.info("persistence")["rdb_bgsave_in_progress"], "its copy to begin")
    scene.several(("SET", "hot", b"x" * 100_000) for _ in range(400))
    scene.wait("memory", "mem_clients_slaves", 20_000_000)


def scripts(scene: Scene) -> None:
    scene.several(("SCRIPT", "LOAD", f"return '{n:020000}'") for n in range(450))


def functions(scene: Scene) -> None:
    body = "#!lua name=lib{0}\nredis.register_function('f{0}', function() return '{1}' end)"
    scene.several(("FUNCTION", "LOAD", body.format(n, "x" * 20_000)) for n in range(250))
    scene.keys(5, 10)
    scene.limit_at(1.02)


def tracking(scene: Scene) -> None:
    asked = b"HELLO 3\r\nCLIENT TRACKING ON\r\n" + b"".join(b"GET user:%d\r\n" % n for n in range(60_000))
    scene.hold(raw=asked)
    scene.wait("stats", "tracking_total_keys", 60_000)
    scene.limit_at(1.02)


def tracked_prefixes(scene: Scene) -> None:
    """By many clients: each new prefix is compared with all that its client tracks."""
    words = [word for number in range(15_000) for word in (b"PREFIX", b"p%05d:" % number)]
    for at in range(0, len(words), 2000):
        asked = (b"CLIENT", b"TRACKING", b"ON", b"BCAST", *words[at : at + 2000])
        scene.hold(asked, before=b"HELLO 3\r\n")
    scene.wait("stats", "tracking_total_prefixes", 15_000)
    scene.limit_at(1.02)


def slow_log(scene: Scene) -> None:
    scene.several(("DEL", *[b"y" * 120] * 30) for _ in range(2200))


def made_at_once(scene: Scene) -> None:
    """The command passes while there is room before it."""
    scene.keys(100, 1000)
    scene.client.setrange("bitmap", 15 * MIB, b"x")


def channels(scene: Scene) -> None:
    scene.hold(*[(b"SUBSCRIBE", *(b"c%05d" % (n * 1000 + i) for i in range(1000))) for n in range(30)])
    scene.wait("stats", "pubsub_channels", 30_000)
    scene.limit_at(1.02)


def patterns(scene: Scene) -> None:
    """Each pattern is compared with each message, so the test publishes none."""
    scene.hold(*[(b"PSUBSCRIBE", *(b"p%05d*" % (n * 1000 + i) for i in range(1000))) for n in range(20)])
    scene.wait("stats", "pubsub_patterns", 20_000)
    scene.limit_at(1.02)


def shard_channels(scene: Scene) -> None:
    scene.hold(*[(b"SSUBSCRIBE", *(b"s%05d" % (n * 1000 + i) for i in range(1000))) for n in range(30)])
    scene.wait("stats", "pubsubshard_channels", 30_000)
    scene.limit_at(1.02)


def expired(scene: Scene, living: int = 0) -> None:
    """The server's own cycle stands still, as it would be far behind."""
    scene.client.execute_command("DEBUG", "SET-ACTIVE-EXPIRE", 0)
    scene.keys(living, 1000, "user")
    scene.several(("SET", f"session:{n}", "x" * 1000, "PX", 1) for n in range(9000))


def one_database(scene: Scene) -> None:
    """Database 9 holds nearly all; the others a key each."""
    for number in (0, 3, 15):
        scene.several([("SELECT", number), ("SET", "k", "v")])
    scene.several([("SELECT", 9), *(("SET", f"k:{n}", b"x" * 10_000) for n in range(1100)), ("SELECT", 0)])


def refused_before(scene: Scene) -> None:
    """Refused until the limit was raised; now a third is used."""
    scene.keys(1100, 10_000)
    scene.client.config_set("maxmemory", 30 * MIB)


def lowered_and_evicted(scene: Scene) -> None:
    """Eviction has brought it under its new limit already."""
    scene.keys(2000, 5000)
    scene.client.config_set("maxmemory", 6 * MIB)
    scene.keys(200, 5000, "later")
    # Some room for the connections of the look, which would be made by evicting more.
    scene.client.config_set("maxmemory", 6 * MIB + 300_000)


def watched(scene: Scene) -> None:
    """By several clients: each new key is compared with all that its client watches."""
    for client in range(10):
        names = [b"w%d:%05d" % (client, number) for number in range(3000)]
        scene.hold((b"WATCH", *names))
    scene.wait("clients", "total_watched_keys", 30_000)
    scene.limit_at(1.02)


def client_names(scene: Scene) -> None:
    scene.hold((b"CLIENT", b"SETNAME", b"n" * 60_000), count=150)
    scene.wait("clients", "connected_clients", 150)
    scene.limit_at(1.02)


def giant(scene: Scene) -> None:
    for _ in range(90):
        scene.client.rpush("export:2026", *[b"x" * 9000] * 10)
    scene.keys(300, 3000)
    scene.limit_at(0.87)  # what a look takes itself may evict keys at a limit closer by


def queue(scene: Scene) -> None:
    for _ in range(90):
        scene.client.rpush("queue", *[b"x" * 9000] * 10)
    scene.keys(300, 10_000)


def module(scene: Scene) -> None:
    scene.client.execute_command(
        "GRAPH.QUERY", "people", "UNWIND range(1, 60000) AS i CREATE (:P {name: 'name' + toString(i), n: i})"
    )
    scene.limit_at(1.02)
