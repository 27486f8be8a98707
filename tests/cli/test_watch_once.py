"""`watch --once` serves what it was given: hooks and the metrics file, before it leaves; or it says that it cannot."""

import json
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from tests.cli.ran import Ran, ran
from tests.cli.test_check import fill
from tests.support.ports import free_ports
from tests.support.servers import RunningServer


def once(*words: str, where: list[str]) -> Ran:
    return ran(*where, "watch", "--once", *words)


def test_a_command_and_the_metrics_file_are_served(server: RunningServer, tmp_path: Path) -> None:
    fill(server, 1.2)
    written, metrics = tmp_path / "told.json", tmp_path / "metrics.prom"
    done = once(
        "--exec-shell",
        "--exec",
        f"cat > {written}",
        "--prometheus-file",
        str(metrics),
        where=["-s", server.socket_path],
    )
    assert done.returncode == 2, done.stderr
    assert json.loads(written.read_text())["event"] == "oom"
    assert 'redis_oom_verdict{level="oom"' in metrics.read_text()
    assert "hook: " in done.stdout


def test_a_level_need_not_be_held_and_a_quiet_server_calls_nobody(valkey: RunningServer, tmp_path: Path) -> None:
    for share, kind in ((0.85, "warning"), (0.5, None)):
        fill(valkey, share)
        written = tmp_path / f"{share}.json"
        once("--exec-shell", "--exec", f"cat > {written}", where=["-s", valkey.socket_path])
        assert (json.loads(written.read_text())["event"] if written.exists() else None) == kind


def test_a_webhook_is_delivered(valkey: RunningServer, tmp_path: Path) -> None:
    got: list[dict[str, object]] = []

    class Receiver(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            got.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *given: object) -> None:
            """Nothing on stderr."""

    fill(valkey, 1.2)
    with HTTPServer(("127.0.0.1", 0), Receiver) as receiver:
        threading.Thread(target=receiver.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{receiver.server_port}/"
        once("--webhook", url, where=["-s", valkey.socket_path])
        receiver.shutdown()
    assert [event["event"] for event in got] == ["oom"]


def test_a_server_that_is_away_is_told(tmp_path: Path) -> None:
    written = tmp_path / "told.json"
    done = once("--exec-shell", "--exec", f"cat > {written}", where=["-p", str(free_ports()[0])])
    assert done.returncode == 3
    assert json.loads(written.read_text())["event"] == "lost"


@pytest.mark.parametrize(
    ("words", "named"), [(("--prometheus", "0"), "--prometheus"), (("--scan-every", "60s"), "--scan-every")]
)
def test_what_only_a_lasting_watch_can_serve_is_refused(
    valkey: RunningServer, tmp_path: Path, words: tuple[str, ...], named: str
) -> None:
    done = once(*words, where=["-s", valkey.socket_path])
    assert done.returncode == 3
    assert f"{named} cannot be combined with --once" in done.stderr
    assert "Traceback" not in done.stderr
