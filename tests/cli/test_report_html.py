"""`report` as one HTML file: whole, closed to the network and to scripts, and readable without its pictures."""

import re
import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path

import pytest

from redis_oom_tui.cli.main import main
from redis_oom_tui.formatting.charts import memory_chart
from redis_oom_tui.models.trend import TrendSample
from tests.cli.test_report import load, recording, reported
from tests.rules.snapshots import MIB
from tests.support.servers import RunningServer

pytestmark = pytest.mark.usefixtures("_own_home")
_CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
_ALONE = {"meta"}


@pytest.fixture
def _own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    monkeypatch.delenv("REDIS_URL", raising=False)


class Page(HTMLParser):
    """The elements of a page, its text, and whether each that was opened was closed."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in _ALONE:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words.append(data)

    def pictures(self) -> list[str]:
        """What each picture says to those who do not see it."""
        return [attributes["aria-label"] or "" for tag, attributes in self.elements if tag == "svg"]


def test_a_live_server_becomes_one_closed_page(
    server: RunningServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with server.client() as client:
        client.set(b'"><script>alert(1)</script>:1', b"x" * 50_000)
        client.set(b"\xff\x00\x1b]0;x\x07\xe2\x80\xae:1", b"x" * 40_000)
    load(server)
    out = tmp_path / "incident.html"
    assert reported(capsys, "-s", server.socket_path, "report", "--output", str(out)) == ""
    text = out.read_text()
    page = Page(text)
    assert page.open == []
    assert len(text) < 500_000
    assert out.stat().st_mode & 0o777 == 0o600
    assert {tag for tag, _ in page.elements}.isdisjoint({"script", "img", "link", "iframe", "a", "object"})
    assert not any(name.startswith("on") or name in ("src", "href", "style") for _, a in page.elements for name in a)
    assert "default-src 'none'" in text
    assert re.search(r"[\x00-\x08\x0b-\x1f\x7f\u202e]", text) is None
    words = " ".join(page.words)
    for wanted in ("OOM: Refusing writes", "Figures", "Findings", "What uses the memory", "<script>alert(1)</script>"):
        assert wanted in words
    assert any(label.startswith("The keyspace by bytes: ") and "session:*" in label for label in page.pictures())


def test_without_names_no_picture_tells_one(valkey: RunningServer, capsys: pytest.CaptureFixture[str]) -> None:
    load(valkey)
    text = reported(capsys, "-s", valkey.socket_path, "report", "--no-names", "--html")
    assert "session" not in text
    assert "customer" not in text
    assert "pattern-1" in text


def test_a_recording_has_its_curve_and_its_verdicts(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    page = Page(reported(capsys, "report", "--from", str(recording(tmp_path / "r")), "--html"))
    memory, verdicts = page.pictures()
    assert memory == (
        "Used memory went from 100.0 MiB to 1001 MiB in 19m50s, at most 1001 MiB; 1,150 writes were refused and"
        " ? keys evicted."
    )
    assert verdicts.startswith("Verdicts: ok for ")
    assert [word for word in ("warning", "critical", "oom") if word not in verdicts] == []


def test_ttls_that_are_not_told_are_not_drawn_as_expiring(
    server: RunningServer, capsys: pytest.CaptureFixture[str]
) -> None:
    load(server)
    with server.client() as client:
        client.execute_command("ACL", "SETUSER", "blind", "on", ">x", "~*", "+@all", "-pttl", "-ttl")
    text = reported(capsys, "-s", server.socket_path, "--user", "blind", "-a", "x", "report", "--html")
    assert "TTL unknown" in text
    assert "TTLs are unknown here" in text
    assert re.search(r'rect class="(lasting|mixed|expiring)', text) is None


def test_what_a_server_does_not_count_is_unknown_and_not_0() -> None:
    samples = [TrendSample(at, at, MIB, MIB, refused_writes=0, evicted_keys=int(at)) for at in (0.0, 60.0, 120.0)]
    picture = memory_chart(samples, refused_known=False)
    assert "refused writes: ?" in picture
    assert "evicted keys: 120" in picture
    assert "? writes were refused and 120 keys evicted" in picture


def test_a_report_has_one_form(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["report", "--from", str(recording(tmp_path / "r")), "--html", "--json"])
    assert ended.value.code == 2
    assert "--html cannot be given with --json" in capsys.readouterr().err


@pytest.mark.skipif(_CHROMIUM is None, reason="Chromium is not installed")
def test_a_browser_shows_it_and_blocks_nothing_of_its_own(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out, shot = tmp_path / "incident.html", tmp_path / "incident.png"
    reported(capsys, "report", "--from", str(recording(tmp_path / "r")), "--output", str(out))
    options = ("--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-sync")
    options += ("--disable-component-update", "--enable-logging=stderr", f"--user-data-dir={tmp_path / 'profile'}")
    run = subprocess.run(
        [str(_CHROMIUM), *options, "--window-size=1000,1400", f"--screenshot={shot}", out.as_uri()],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert "Content Security Policy" not in run.stderr
    # A blank page of this size is a few KB.
    assert shot.stat().st_size > 50_000
