"""`cleanup --finished` and `--orphans`: finished jobs, results and queues that applications leave."""

from pathlib import Path

import pytest

from tests.apps import samples
from tests.cli.ran import Tool
from tests.support.servers import RunningServer


def test_finished_jobs_go_and_come_back_on_the_command_line(server: RunningServer, tool: Tool, tmp_path: Path) -> None:
    backup = str(tmp_path / "b")
    with server.client() as client:
        samples.write(client, samples.load("bullmq").keys)
        before = client.dbsize()
        words = ("cleanup", "--finished", "bullmq:mail", "--older-than", "0s")
        code, out, _ = tool(*words)
        assert code == 0
        assert "(primary)" in out
        assert "Delete 3 of 3 jobs that BullMQ lists as completed (bull:mail:completed), older than 0s" in out
        assert "Waiting and active jobs are not touched." in out
        assert client.dbsize() == before
        code, ran = tool.json(*words, "--yes", "--backup", backup)
        assert (code, ran["report"]["counts"]) == (0, {"deleted": 3})
        assert ran["finished"]["jobs"][0] == {"list": "bull:mail:completed", "job": "1"}
        code, out, _ = tool("restore", backup, "--yes")
        assert (code, out) == (0, "Restored 3 of 3 jobs.\n")
        assert client.dbsize() == before
        code, out, _ = tool("cleanup", "--finished", "bullmq:mail", "--older-than", "3650d")
        assert (code, out) == (0, "None of the 3 completed jobs is that old: there is nothing to do.\n")


def test_dead_jobs_of_sidekiq_are_elements_and_results_of_celery_are_keys(
    valkey: RunningServer, valkey_tool: Tool
) -> None:
    with valkey.client() as client:
        samples.write(client, samples.load("sidekiq").keys)
        samples.write(client, samples.load("celery").keys)
        client.zadd("dead", {"older": 1_000_000_001, "newer": 4_000_000_000})
        _, document = valkey_tool.json("cleanup", "--finished", "Sidekiq", "--older-than", "1d")
        assert (document["shrink"]["key"], document["shrink"]["score_unit"]) == ("dead", "s")
        assert document["shrink"]["removed_elements_total"] < document["shrink"]["elements_total"]
        results = client.keys("celery-task-meta-*")
        client.restore("celery-task-meta-old", 0, client.dump(results[0]), idletime=90_000)
        _, document = valkey_tool.json("cleanup", "--finished", "celery", "--older-than", "1d")
        assert [key["key"] for key in document["keys"]] == ["celery-task-meta-old"]


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (("--finished", "bullmq"), "--finished requires --older-than TIME"),
        (("--finished", "nonsense", "--older-than", "1d"), "is no application that is known with finished work: "),
        (("--finished", "bullmq", "--older-than", "1d", "--match", "a"), "--match cannot be given with --finished"),
        (("--state", "failed"), "--state requires --finished APP"),
        (("--finished", "bullmq", "--older-than", "1d", "--state", "x"), "--state completed or failed"),
        (("--finished", "bullmq", "--older-than", "1d"), "No list of completed jobs of BullMQ is here"),
    ],
)
def test_finished_work_that_means_nothing_is_one_sentence(
    valkey_tool: Tool, words: tuple[str, ...], reason: str
) -> None:
    code, out, err = valkey_tool("cleanup", *words)
    assert (code, out) == (2, "")
    assert reason in err
    assert len(err.splitlines()) == 1


def test_reply_queues_that_no_binding_names_are_orphans(server: RunningServer, tool: Tool) -> None:
    with server.client() as client:
        samples.write(client, samples.load("celery").keys)
        live, orphan = (f"{number * 8}-0000-3000-8000-{number * 12}.reply.celery.pidbox" for number in "12")
        other = f"{'3' * 8}-0000-3000-8000-{'3' * 12}.reply.celery.pidbox"
        client.delete(*client.keys("*.reply.celery.pidbox"), "unused")
        client.sadd("_kombu.binding.reply.celery.pidbox", f"{live[:36]}\x06\x16\x06\x16{live}")
        for name in (live, orphan, other):
            client.rpush(name, "answer")
        client.rpush("mail:reply", "a")
        code, document = tool.json("cleanup", "--orphans", "celery")
        assert code == 0
        assert {key["key"] for key in document["keys"]} == {orphan, other}
        code, document = tool.json("cleanup", "--orphans", "celery", "--yes", "--no-backup")
        assert (code, client.exists(live), client.exists(orphan)) == (0, 1, 0)
        code, out, _ = tool("cleanup", "--orphans", "celery")
        assert (code, "there is nothing to do" in out) == (0, True)


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (("--orphans", "bullmq"), "'bullmq' is no application whose orphans are known: Celery\n"),
        (("--orphans", "x"), "'x' is no application whose orphans are known: Celery\n"),
        (("--orphans", "celery", "--match", "a"), "--match cannot be given with --orphans"),
    ],
)
def test_orphans_that_cannot_be_told_are_one_sentence(valkey_tool: Tool, words: tuple[str, ...], reason: str) -> None:
    code, _, err = valkey_tool("cleanup", *words)
    assert (code, reason in err) == (2, True)
