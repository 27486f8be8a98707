"""Every --json prints exactly one JSON document, also where the command fails: a script never reads nothing."""

from pathlib import Path

import pytest

from redis_oom_tui.cli.main import main
from redis_oom_tui.formatting.documents import DOCUMENTS
from tests.support.json_documents import document_of
from tests.support.ports import free_ports
from tests.support.servers import RunningServer


def ran(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, dict[str, object], str]:
    with pytest.raises(SystemExit) as ended:
        main(list(words))
    said = capsys.readouterr()
    command = next(word for word in words if word in DOCUMENTS)
    return int(str(ended.value.code)), document_of(command, said.out), said.err


COMMANDS = [
    ("check", "--json"),
    ("hogs", "--json"),
    ("limits", "--json"),
    ("limits", "--json", "--policy", "allkeys-lru", "--yes"),
    ("cleanup", "--json", "--match", "a*"),
    ("report", "--json"),
]


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_with_nobody_listening(words: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    code, document, err = ran(capsys, "-p", str(free_ports()[0]), *words)
    assert code == 3
    said = str(document.get("error") or document["reason"])
    assert "127.0.0.1" in said
    if words[0] != "check":
        assert said in err
    if words[0] == "hogs":
        assert (document["state"], document["keys"], document["bytes"]) == ("failed", [], None)
    else:
        assert document["verdict"] == "unknown"


@pytest.mark.parametrize(
    "words",
    [
        ("hogs", "--json", "--match", ""),
        ("hogs", "--json", "--no-such-option"),
        ("limits", "--json", "--node", "a:1"),
        ("cleanup", "--json"),
        ("restore", "--json", "nowhere.jsonl"),
        ("check", "--json", "--nonsense"),
        ("report", "--json", "--from", "nowhere"),
    ],
    ids=" ".join,
)
def test_with_an_input_that_cannot_be_used(
    valkey: RunningServer, words: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    code, document, err = ran(capsys, "-s", valkey.socket_path, *words)
    assert code != 0
    assert document["error"]
    assert err


@pytest.mark.defects
def test_with_a_defect_of_ours(
    valkey: RunningServer, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("redis_oom_tui.cli.hogs._options", lambda *given: 1 // 0)
    code, document, err = ran(capsys, "-s", valkey.socket_path, "hogs", "--json")
    assert code == 1
    assert "ZeroDivisionError" in str(document["error"])
    assert "Traceback" not in err


def test_a_document_that_is_out_is_followed_by_no_other(
    valkey: RunningServer, capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was found is printed though it cannot be kept; the failure is told on stderr alone."""
    monkeypatch.setattr("redis_oom_tui.cli.hogs.save_scan", lambda *given: (_ for _ in ()).throw(OSError(28, "full")))
    code, document, err = ran(capsys, "-s", valkey.socket_path, "hogs", "--json", "--save", str(tmp_path / "kept"))
    assert code == 1
    assert document["state"] == "complete"
    assert "the system refused" in err


def test_words_are_followed_by_none(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["-p", str(free_ports()[0]), "hogs"])
    assert capsys.readouterr().out == ""
