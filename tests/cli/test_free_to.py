"""`cleanup --free-to`: what harms least is proposed, or it says why nothing helps."""

import uuid
from pathlib import Path

import pytest

from tests.apps import samples
from tests.cli.ran import Tool
from tests.support.acting import fill, settled
from tests.support.servers import RunningServer


def test_free_to_proposes_and_frees_what_harms_least(server: RunningServer, tool: Tool, tmp_path: Path) -> None:
    with server.client() as client:
        fill(client, [b"old:%d" % n for n in range(1000)], b"x" * 3000, idle=40 * 86400)
        fill(client, [b"app:cache:%d" % n for n in range(1000)], b"x" * 3000, idle=60)
        fill(client, [b"queue:mail:%d" % n for n in range(1000)], b"x" * 3000, idle=90 * 86400)
        limit = settled(client)
        client.config_set("maxmemory", limit)
        code, out, _ = tool("cleanup", "--free-to", "60%")
        assert code == 0
        assert "1. caches without a TTL: app:cache:" in out
        assert "2. keys that nobody used for 30 days: old:" in out
        assert "Risk: nothing tells whether somebody needs them all the same" in out
        assert "Not proposed: 1,000 keys" in out
        assert "Dry run." in out
        code, document = tool.json("cleanup", "--free-to", "60%", "--yes", "--backup", str(tmp_path / "b"))
        assert code == 0
        assert document["proposal"]["parts"][0]["keys_total"] == 1000
        assert document["budget"]["enough"]
        gone = document["report"]["counts"]["deleted"]
        left = [client.keys(pattern) for pattern in ("app:cache:*", "old:*", "queue:mail:*")]
        assert gone == 2000 - len(left[0]) - len(left[1])
        assert 0 < len(left[0]) + len(left[1]) < 1000
        assert len(left[2]) == 1000
        # On so few MB what the run itself leaves on the server counts, and was reckoned with.
        assert 0.5 < settled(client) / limit <= 0.6
        assert tool("restore", str(tmp_path / "b"), "--yes")[0] in (0, 1)
        code, out, _ = tool("cleanup", "--free-to", "99%")
        assert (code, "it is under 99% already." in out, "Nothing" in out) == (0, True, False)


def test_free_to_says_where_no_deletion_helps_before_any_scan(server: RunningServer, tool: Tool) -> None:
    with server.client() as client:
        fill(client, [b"app:cache:%d" % n for n in range(300)], b"x" * 3000, idle=60)
        pipeline = client.pipeline(transaction=False)
        for number in range(450):
            pipeline.execute_command("SCRIPT", "LOAD", f"return '{number:020000}'")
        pipeline.execute()
        client.config_set("maxmemory", settled(client))
        scans = client.info("commandstats").get("cmdstat_scan")
        code, out, _ = tool("cleanup", "--free-to", "80%")
        assert code == 0
        assert "No deletion helps: cached scripts hold" in out
        assert "First step: " in out
        assert "SCRIPT FLUSH" in out
        assert "Nothing:" not in out
        assert client.info("commandstats").get("cmdstat_scan") == scans
        code, document = tool.json("cleanup", "--free-to", "80%")
        assert (code, document["proposal"]["parts"]) == (0, [])
        assert document["proposal"]["cause"].startswith("No deletion helps: ")


def test_free_to_says_that_results_are_still_in_use(valkey: RunningServer, valkey_tool: Tool) -> None:
    with valkey.client() as client:
        for number in range(400):
            result = '{"status": "SUCCESS", "result": "' + "x" * 3000 + '", "date_done": null, "task_id": "a"}'
            client.set(f"celery-task-meta-{uuid.UUID(int=number * 7919)}", result)
        client.config_set("maxmemory", settled(client))
        code, out, _ = valkey_tool("cleanup", "--free-to", "80%")
        assert code == 0
        assert "Not proposed: 400 keys (" in out
        assert "which are results used within the last hour, such as celery-task-meta-" in out


def test_free_to_names_finished_jobs_or_the_command_that_counts_them(server: RunningServer, tool: Tool) -> None:
    with server.client() as client:
        samples.write(client, samples.load("bullmq").keys)
        for job in range(1000, 1300):
            client.hset(f"bull:mail:{job}", mapping={"name": "a", "data": "x" * 5000, "opts": "{}", "timestamp": "1"})
            client.zadd("bull:mail:completed", {str(job): 1_700_000_000_000})
        client.config_set("maxmemory", settled(client))
        code, out, _ = tool("cleanup", "--free-to", "80%")
        command = next(line.rpartition(": ")[2].split() for line in out.splitlines() if "cleanup --finished" in line)
        assert (code, "cleanup" in command) == (0, True)
        code, out, _ = tool(*command[command.index("cleanup") :])
        assert (code, "that BullMQ lists as completed" in out) == (0, True)


@pytest.mark.parametrize("share", ["0%", "100%", "x", "-5"])
def test_a_share_that_cannot_be_meant_is_one_sentence(valkey_tool: Tool, share: str) -> None:
    code, _, err = valkey_tool("cleanup", "--free-to", share)
    assert code == 2
    assert "a share of maxmemory from 1% to 99%" in err


def test_free_to_without_a_limit_says_so(valkey_tool: Tool) -> None:
    code, _, err = valkey_tool("cleanup", "--free-to", "80%")
    assert (code, "No limit is known here" in err) == (2, True)
