"""The overview on real servers and clusters."""

from pathlib import Path

from redis_oom_tui.cli.context import Invocation
from redis_oom_tui.cli.screen import ConfiguredProfiles
from redis_oom_tui.files.config import load
from redis_oom_tui.models.address import Address
from redis_oom_tui.tui.deferred_startup import PlaceholderSource
from tests.support.cluster import clustered
from tests.support.servers import started
from tests.tui.support import an_app, rows, screen_text, until
from tests.tui.test_overview import answered
from tests.tui.test_overview_rows import names


async def test_real_servers_and_a_cluster_are_a_row_each(tmp_path: Path):
    with started("valkey") as quiet, started("redis7") as full, clustered(3, replicas=False) as cluster:
        with full.client() as client:
            client.set("a", b"x" * 100_000)
            client.config_set("maxmemory", 1)
        file = tmp_path / "config.toml"
        file.write_text(
            f'[profiles.quiet]\nsocket = "{quiet.socket_path}"\n[profiles.full]\nsocket = "{full.socket_path}"\n'
            f"[profiles.ring]\nport = {cluster.primaries[0].port}\ncluster = true\n"
            f'[profiles.gone]\nsocket = "{tmp_path}/nowhere"\n'
        )
        file.chmod(0o600)
        app = an_app(PlaceholderSource(Address()))
        invocation = Invocation(configuration=load(file), read_only=True)
        app.switchboard, app.begins_at_overview = ConfiguredProfiles(invocation), True
        async with app.run_test(size=(120, 36)) as pilot:
            await answered(pilot)
            assert names(app)[:2] == ["full", "gone"]
            assert "ring (3 nodes)" in screen_text(app)
            assert "? UNKNOWN   unix:" in screen_text(app)
            assert "full   read-only " in screen_text(app)
            assert "4 profiles: " in rows(app)[0]
            await pilot.press("slash", *"ring", "enter", "enter")
            nodes = [f"127.0.0.1:{each.port}" for each in cluster.primaries]
            await until(pilot, lambda: all(node in screen_text(app) for node in nodes))
            assert len(names(app)) == 4
            # Folded from one of them, the cursor is on the cluster.
            await pilot.press("down", "down", "left")
            await until(pilot, lambda: names(app) == ["ring"])
            assert app.overview.table.model.current.node is None
            await pilot.press("right", "down")
            chosen = app.overview.table.model.current.node.name
            await until(pilot, lambda: f" {chosen} of ring" in screen_text(app))
            await pilot.press("enter")
            await until(pilot, lambda: not app.at_overview and f"{chosen} is shown" in screen_text(app))
            await until(pilot, lambda: app.session.source.shown == chosen)
            assert "read-only" in rows(app)[0]
            assert app.session.profile.read_only
            # The same again: it is not taken for the wish to see the worst.
            await pilot.press("O", "enter")
            await until(pilot, lambda: not app.at_overview and f"{chosen} is shown" in screen_text(app))
            await pilot.press("O", "left", "o")
            await until(pilot, lambda: not app.at_overview and "Nodes (3), worst first" in screen_text(app))


async def test_one_server_by_two_profiles_and_a_node_of_a_cluster_say_so(tmp_path: Path):
    with started("valkey") as server, clustered(3, replicas=False) as cluster:
        file = tmp_path / "config.toml"
        port = cluster.primaries[0].port
        file.write_text(
            f'[profiles.cache]\nsocket = "{server.socket_path}"\n'
            f'[profiles.cache-2]\nsocket = "{server.socket_path}"\ndb = 2\n'
            f"[profiles.node]\nport = {port}\n[profiles.ring]\nport = {port}\ncluster = true\n"
        )
        file.chmod(0o600)
        app = an_app(PlaceholderSource(Address()))
        app.switchboard, app.begins_at_overview = ConfiguredProfiles(Invocation(configuration=load(file))), True
        async with app.run_test(size=(120, 24)) as pilot:
            await answered(pilot)
            shown = screen_text(app)
            assert "4 profiles of 2 servers: 4 ok" in shown
            assert all(text in shown for text in ("cache = cache-2", "cache-2 = cache", "node in ring"))
            await pilot.press("slash", *"cache-2", "enter")
            await until(pilot, lambda: "The same server as cache (same run_id)." in screen_text(app))
