"""What systemd hears: ready at the first look, a sign of life at each, and the end."""

import asyncio
import socket
from pathlib import Path

from redis_oom_tui.monitor.listeners import Service
from tests.monitor.scripted import snapshot
from tests.monitor.test_metrics import server_state


async def test_it_is_ready_with_the_first_look_and_lives_with_each(tmp_path: Path) -> None:
    address = str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as heard:
        heard.bind(address)
        heard.settimeout(10)
        service = Service.from_environment({"NOTIFY_SOCKET": address})
        assert service is not None
        service.on_state(server_state(snapshot(50)))
        service.on_state(server_state(None))
        stop = asyncio.Event()
        stop.set()
        await service.run(stop)
        messages = [heard.recv(4096).decode() for _ in range(3)]
    assert messages[0].startswith("READY=1\nWATCHDOG=1\nSTATUS=ok: Healthy")
    assert messages[1] == "WATCHDOG=1\nSTATUS=unknown: gone."
    assert messages[2] == "STOPPING=1"


def test_where_systemd_does_not_listen_nothing_happens(tmp_path: Path) -> None:
    assert Service.from_environment({}) is None
    assert Service.from_environment({"NOTIFY_SOCKET": "vsock:2:1"}) is None
    service = Service.from_environment({"NOTIFY_SOCKET": str(tmp_path / "gone")})
    assert service is not None
    service.on_state(server_state(snapshot(50)))
