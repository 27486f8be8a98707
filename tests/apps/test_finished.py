"""`cleanup --finished` on what the libraries themselves left: finished jobs go whole, and nothing else goes."""

import re
from pathlib import Path

import pytest

from redis_oom_tui.cli import main as entry
from tests.apps import samples
from tests.support.servers import started

GOING = [
    # What goes; <ids> stands for the members of the keys that list the finished jobs.
    ("bullmq", "BullMQ", "completed", rb"(myapp:)?bull:(mail|orders):(completed|(<ids>)(:logs)?)"),
    ("bullmq_python", "BullMQ", "failed", rb"bull:mail:(failed|<ids>)"),
    ("bull", "Bull", "completed", rb"bull:mail:(completed|(<ids>)(:logs)?)"),
    ("rq", "RQ", "finished", rb"rq:finished:mail|rq:(job|results):(<ids>)"),
    ("rq", "RQ", "failed", rb"rq:failed:mail|rq:(job|results):(<ids>)"),
    ("horizon", "Laravel Horizon", "completed", rb"shop_horizon:(completed_jobs|<ids>)"),
    ("asynq", "Asynq", "archived", rb"asynq:{mail}:(archived|t:(<ids>))"),
]


@pytest.mark.parametrize(
    ("name", "application", "state", "going"), GOING, ids=[f"{name}-{state}" for name, _, state, _ in GOING]
)
def test_finished_jobs_go_with_all_that_is_theirs(
    name: str, application: str, state: str, going: bytes, capsys: pytest.CaptureFixture[str]
) -> None:
    keys = samples.load(name, years_ago=9).keys
    lists = [of["value"] for key, of in keys.items() if re.search(rb"[:{](%b)(_jobs|:mail)?$" % state.encode(), key)]
    ids = b"|".join(re.escape(member.encode()) for members in lists for member in members)
    expected = {key for key in keys if re.fullmatch(going.replace(b"<ids>", ids), key)}
    with started("valkey") as server, server.client() as client:
        samples.write(client, keys)
        words = ["-s", server.socket_path, "cleanup", "--finished", application, "--state", state, "--older-than", "1d"]
        with pytest.raises(SystemExit) as ended:
            entry.main([*words, "--no-backup", "--yes", "--json"])
        assert ended.value.code == 0, capsys.readouterr().err
        assert expected
        assert set(keys) - set(client.keys()) == expected


def test_jobs_that_are_all_old_go_as_one_key(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """Sidekiq's dead jobs are members of one sorted set, which does not stay where all of them go."""
    with started("valkey") as server, server.client() as client:
        samples.write(client, samples.load("sidekiq", years_ago=9).keys)
        before = samples.read(client)
        assert client.exists("dead")
        backup = str(tmp_path / "b")
        for more in (["--finished", "sidekiq", "--older-than", "1d", "--backup", backup, "--yes"], ["restore", backup]):
            words = ["cleanup", *more] if more[0].startswith("--") else [*more, "--yes"]
            with pytest.raises(SystemExit) as ended:
                entry.main(["-s", server.socket_path, *words])
            printed = capsys.readouterr()
            assert ended.value.code == 0, printed.err
            if words[0] == "cleanup":
                assert set(before) - set(samples.read(client)) == {b"dead"}, printed.out
        assert samples.read(client).keys() == before.keys()
