"""The ledger of unattended cleanups: it outlives the process, and holds one of them back."""

import os
from pathlib import Path

import pytest

from redis_oom_tui.files.ledger import Ledger
from redis_oom_tui.models.errors import BadInput
from redis_oom_tui.rules.emergency import Spent


def test_what_was_taken_is_known_to_the_next_watch(tmp_path: Path) -> None:
    path = tmp_path / "state" / "emergency.json"
    Ledger(path).put("a", Spent(1000.0, 5, 50))
    Ledger(path).put("b", Spent(1001.0, 7, 70))
    assert Ledger(path).spent("a", 1002.0) == (Spent(1000.0, 5, 50),)
    assert path.stat().st_mode & 0o777 == 0o600


def test_what_was_taken_counts_at_every_address_of_the_server(tmp_path: Path) -> None:
    ledger, taken = Ledger(tmp_path / "emergency.json"), Spent(1000.0, 5, 50)
    ledger.put("a", taken, run_id="f00d")
    assert [ledger.spent(server, 1002.0, run_id=run_id) for server, run_id in (("b", "f00d"), ("a", "beef"))] == [
        (taken,),
        (taken,),
    ]
    assert [ledger.spent("b", 1002.0, run_id=run_id) for run_id in ("beef", None)] == [(), ()]
    ledger.put("b", Spent(1001.0, 1, 1))
    assert ledger.spent("c", 1002.0) == ()


def test_what_a_run_took_in_the_end_replaces_what_it_was_to_take(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "emergency.json")
    planned = Spent(1000.0, 100, 999)
    ledger.put("a", planned)
    ledger.put("a", Spent(1000.0, 40, 400), instead_of=planned)
    assert ledger.spent("a", 1001.0) == (Spent(1000.0, 40, 400),)


def test_the_file_holds_only_the_last_hour(tmp_path: Path) -> None:
    path = tmp_path / "emergency.json"
    ledger = Ledger(path)
    for minute in range(0, 600, 5):
        ledger.put("a", Spent(minute * 60.0, 1, 1))
    assert len(ledger.spent("a", 599 * 60.0)) == 12
    assert path.stat().st_size < 1000


def test_only_one_at_a_time(tmp_path: Path) -> None:
    path = tmp_path / "emergency.json"
    with Ledger(path).held(), pytest.raises(BadInput, match="Another watch"), Ledger(path).held():
        pass
    with Ledger(path).held():
        pass


def test_a_ledger_that_cannot_be_read_stops_everything(tmp_path: Path) -> None:
    path = tmp_path / "emergency.json"
    path.write_text('[{"server": "a"}]')
    with pytest.raises(BadInput, match="is damaged"):
        Ledger(path).spent("a", 0.0)
    path.unlink()
    path.mkdir()
    with pytest.raises(BadInput, match="cannot be read"):
        Ledger(path).spent("a", 0.0)
    (tmp_path / "file").write_text("")
    with pytest.raises(BadInput, match="Not a directory"):
        Ledger(tmp_path / "file" / "emergency.json").put("a", Spent(0.0, 1, 1))


@pytest.mark.parametrize(
    "content",
    [
        b"[" * 60000,
        b"{}",
        b'[{"server":"a","at":"1","keys":1,"size":1}]',
        b'[{"server":"a","at":1e999,"keys":1,"size":1}]',
        b'[{"server":"a","at":1,"keys":true,"size":1}]',
        b'[{"server":"a","at":1,"keys":-5,"size":1}]',
        b"\0" * 2_000_000,
    ],
    ids=["deep", "object", "string", "infinite", "flag", "negative", "large"],
)
def test_a_damaged_ledger_stops_everything(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "emergency.json").write_bytes(content)
    with pytest.raises(BadInput):
        Ledger(tmp_path / "emergency.json").spent("a", 0.0)


def test_a_pipe_in_the_place_of_the_ledger_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "emergency.json")
    with pytest.raises(BadInput, match="not a plain file"):
        Ledger(tmp_path / "emergency.json").spent("a", 0.0)
