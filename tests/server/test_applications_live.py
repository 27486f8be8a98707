"""What is told of applications on live servers, and whether it is true: by deleting what may go."""

import uuid

import redis
from redis.crc import key_slot

from redis_oom_tui.actions.cluster import Cluster
from redis_oom_tui.actions.operator import LiveOperator
from redis_oom_tui.models.capabilities import Feature
from redis_oom_tui.models.keys import KeyId
from redis_oom_tui.models.scan import Pace, ScanOptions, ScanState
from redis_oom_tui.models.structs import replace
from redis_oom_tui.rules.applications import recognize
from redis_oom_tui.rules.findings import find
from redis_oom_tui.server.cluster.source import ClusterSource
from redis_oom_tui.server.live import LiveServer
from redis_oom_tui.server.values import sample_patterns
from tests.apps import samples
from tests.server.test_findings_live import examined
from tests.support.cluster import clustered
from tests.support.servers import RunningServer, started
from tests.support.shapes import used_at_rest

MIB = 2**20


def queue(client: redis.Redis, name: str, *, completed: int, failed: int, waiting: int, data: bytes) -> None:
    """A queue of BullMQ, as its library writes it."""
    root, pipeline = f"bull:{name}", client.pipeline(transaction=False)
    states = ["completed"] * completed + ["failed"] * failed + ["wait"] * waiting
    for number, state in enumerate(states, 1):
        job = {"name": "send", "data": data, "opts": "{}", "timestamp": 1_700_000_000_000 + number, "delay": 0}
        if state == "wait":
            pipeline.lpush(f"{root}:wait", number)
        else:
            job |= {"finishedOn": 1_700_000_001_000 + number, "returnvalue": "null", "atm": 1}
            pipeline.zadd(f"{root}:{state}", {str(number): 1_700_000_001_000 + number})
            pipeline.xadd(f"{root}:events", {"event": state, "jobId": number})
        pipeline.hset(f"{root}:{number}", mapping=job)
    pipeline.hset(f"{root}:meta", mapping={"version": "bullmq:5.1.0", "opts.maxLenEvents": 10000})
    pipeline.set(f"{root}:id", len(states))
    pipeline.execute()


def delete_finished(client: redis.Redis, name: str, state: str) -> int:
    """Delete what may go; by how much used_memory fell."""
    before = client.info("memory")["used_memory"]
    jobs = client.zrange(f"bull:{name}:{state}", 0, -1)
    client.delete(*(f"bull:{name}:{job.decode()}" for job in jobs), f"bull:{name}:{state}")
    return int(before - client.info("memory")["used_memory"])


async def reads_lengths(server: RunningServer) -> bool:
    live = LiveServer(server.connection)
    try:
        await live.open()
        return (await live.capabilities()).has(Feature.NO_TOUCH)
    finally:
        await live.close()


async def test_finished_jobs_are_counted_named_and_worth_what_is_said(server: RunningServer) -> None:
    with server.client() as client:
        queue(client, "mail", completed=300, failed=10, waiting=60, data=b"x" * 9000)
        queue(client, "sms", completed=5, failed=0, waiting=3, data=b"x" * 90)
        found, _ = await examined(server)
        if not await reads_lengths(server):
            assert "finished-work" not in found
            data = found["application-data"]
            assert data.title.startswith("BullMQ: jobs of 2 queues (mail, sms) hold ")
            assert "removeOnComplete" in data.in_the_application
            assert "ZCARD bull:mail:completed tells how many are completed" in data.evidence
            assert "Do not delete" not in data.advice
            assert "Which of them are finished was not read here" in data.advice
            command = "`redis-oom-tui cleanup --finished bullmq --state completed --older-than 1d`"
            assert any(sentence.endswith(f"(nothing is deleted): {command}") for sentence in data.evidence)
            return
        jobs = found["finished-work"]
        assert jobs.title.startswith("BullMQ: 305 completed jobs of 2 queues (mail, sms) hold about ")
        assert jobs.advice == (
            "removeOnComplete by default: every completed job is kept for ever. These 305 may go. To plan it:"
            " `redis-oom-tui cleanup --finished bullmq --state completed --older-than 1d`."
        )
        assert jobs.in_the_application.startswith("Set removeOnComplete to { count: 1000 } (")
        assert jobs.evidence[0] == "305 of 378 jobs: the length of bull:mail:completed and 1 more"
        freed = delete_finished(client, "mail", "completed") + delete_finished(client, "sms", "completed")
        low, high = jobs.saves_bytes
        assert low <= freed <= high


async def test_finished_jobs_of_more_lists_than_were_read_are_an_estimate() -> None:
    with started("valkey") as server, server.client() as client:
        for number in range(120):
            queue(client, f"q{number}", completed=1 + 40 * (number % 5 == 0), failed=0, waiting=2, data=b"x" * 2000)
        jobs = (await examined(server))[0]["finished-work"]
        assert jobs.title.startswith("BullMQ: about ")
        assert " They may go. " in jobs.advice
        assert jobs.evidence[0].endswith(" of 1,320 jobs: the lengths of some of bull:q*:completed")
        assert jobs.saves_bytes is None, "1,080 are done, which nobody has counted"


async def test_finished_jobs_of_a_scan_that_goes_on_are_an_estimate() -> None:
    with started("valkey") as server, server.client() as client:
        queue(client, "mail", completed=200, failed=0, waiting=0, data=b"x" * 2000)
        live = LiveServer(server.connection)
        try:
            await live.open()
            view = await live.scan(ScanOptions(pace=Pace.FULL_SPEED)).run()
            values = await sample_patterns(live, view)
        finally:
            await live.close()
        for state, exact in ((ScanState.COMPLETE, True), (ScanState.STOPPED, False)):
            (application,) = recognize(replace(view, state=state), values).found
            (jobs,) = application.finished
            assert (jobs.jobs, jobs.exact) == (200, exact)
            assert (jobs.low == jobs.high) is exact


async def test_jobs_that_are_all_finished_are_measured_not_guessed() -> None:
    with started("valkey") as server, server.client() as client:
        queue(client, "mail", completed=200, failed=0, waiting=0, data=b"x" * 20_000)
        found, _ = await examined(server)
        jobs = found["finished-work"]
        assert jobs.title.startswith("BullMQ: 200 completed jobs of queue mail hold 3.")
        assert jobs.advice.endswith("cleanup --finished bullmq:mail --state completed --older-than 1d`.")
        low, high = jobs.saves_bytes
        assert low * 0.95 <= delete_finished(client, "mail", "completed") <= high * 1.05


async def test_jobs_that_are_done_are_measured_where_others_are_smaller() -> None:
    with started("valkey") as server, server.client() as client:
        queue(client, "mail", completed=400, failed=0, waiting=900, data=b"x" * 20)
        pipeline = client.pipeline(transaction=False)
        for number in range(1, 401):
            pipeline.hset(f"bull:mail:{number}", "returnvalue", b"r" * (2000 + number % 7 * 4000))
        pipeline.execute()
        jobs = (await examined(server))[0]["finished-work"]
        low, high = jobs.saves_bytes
        assert high < 2.5 * low, "by which jobs were read"
        assert low <= delete_finished(client, "mail", "completed") <= high


async def test_what_a_setting_would_bound_is_told_with_the_setting() -> None:
    with started("valkey") as server, server.client() as client:
        pipeline = client.pipeline(transaction=False)
        for number in range(22):
            name = f"0f0d00b0-2222-4333-8444-{number:012d}.reply.celery.pidbox"
            pipeline.lpush(name, *(b"r" * 5000 for _ in range(20)))
        # So many are not read.
        pipeline.sadd("_kombu.binding.celery", *(f"celery\x06\x16\x06\x16celery{number}" for number in range(2100)))
        pipeline.execute()
        found, _ = await examined(server)
        assert "orphaned-keys" not in found
        replies = found["application-data"]
        assert replies.title.startswith("Celery: reply queues hold 2.")
        assert replies.advice.endswith("that no list of the application names any more may go; the others are in use.")
        assert "To plan it: `redis-oom-tui cleanup --orphans celery`" in replies.evidence
        assert replies.saves_bytes is None, "how many are orphaned was not read"
        assert "control_queue_expires" in replies.in_the_application
        assert (replies.remedy.pane, replies.remedy.orphans_of) == ("cleanup", "Celery")


async def test_results_that_never_expire_are_told() -> None:
    with started("valkey") as server, server.client() as client:
        pipeline = client.pipeline(transaction=False)
        for number in range(300):
            result = f'{{"status": "SUCCESS", "result": "{"x" * 2000}", "date_done": null, "task_id": "{number}"}}'
            name = f"celery-task-meta-{uuid.UUID(int=number * 7919)}"
            pipeline.set(name, result, ex=None if number % 3 else 80_000)
        pipeline.execute()
        found, _ = await examined(server)
        results = found["application-data"]
        assert results.title.startswith("Celery: results hold ")
        assert results.advice == (
            "result_expires by default: results are kept for one day. 200 of 300 never expire: only a deletion or an"
            " eviction removes these. They may go."
        )
        pipeline.execute()
        for key in client.scan_iter():
            client.expire(key, 80_000)
        assert "never" not in (await examined(server))[0]["application-data"].advice


async def test_reply_queues_that_no_binding_names_are_counted() -> None:
    with started("valkey") as server, server.client() as client:
        pipeline = client.pipeline(transaction=False)
        for number in range(22):
            name = f"0f0d00b0-2222-4333-8444-{number:012d}.reply.celery.pidbox"
            pipeline.lpush(name, *(b"r" * 5000 for _ in range(20)))
            if number % 2:
                pipeline.sadd("_kombu.binding.reply.celery.pidbox", "\x06\x16".join((name[:36], "", name)))
        pipeline.sadd("_kombu.binding.celery", "celery\x06\x16\x06\x16celery")
        pipeline.execute()
        found, _ = await examined(server)
        assert "application-data" not in found
        lost = found["orphaned-keys"]
        assert lost.title.startswith("Celery: 11 of 22 reply queues are named by no binding and hold 1.1 MiB")
        assert lost.advice.endswith("To plan it: `redis-oom-tui cleanup --orphans celery`.")
        assert (lost.remedy.pane, lost.remedy.orphans_of) == ("cleanup", "Celery")
        before = used_at_rest(client)
        client.delete(*(f"0f0d00b0-2222-4333-8444-{number:012d}.reply.celery.pidbox" for number in range(0, 22, 2)))
        low, high = lost.saves_bytes
        assert low <= before - used_at_rest(client) <= high


async def test_reply_queues_of_a_cluster_are_compared_with_the_lists_of_all_nodes() -> None:
    names = [f"0f0d00b0-2222-4333-8444-{number:012d}.reply.celery.pidbox" for number in range(22)]
    with clustered(replicas=False) as cluster:
        for number, name in enumerate(names):
            with cluster.owner(key_slot(name.encode())).server.client() as client:
                client.lpush(name, *(b"r" * 5000 for _ in range(60)))
            binding = f"_kombu.binding.{'ab'[number // 2 % 2]}"
            with cluster.owner(key_slot(binding.encode())).server.client() as client:
                client.sadd(binding, *["\x06\x16".join((name[:36], "", name))] * (number % 2), "other")
        source = ClusterSource(cluster.connection)
        try:
            await source.open()
            scan = await source.scan(ScanOptions(pace=Pace.FULL_SPEED)).run()
            found = find(await source.snapshot(), scan, values=await source.samples(scan))
            (lost,) = [one for one in found if one.id == "orphaned-keys"]
            assert lost.title.startswith("Celery: 11 of 22 reply queues are named by no binding and hold ")
            operator = LiveOperator(Cluster(source))
            assert {key.key.decode() for key in await operator.steps.orphans("celery", 0)} == set(names[::2])
        finally:
            await source.close()


async def test_readers_of_a_stream_that_have_gone_are_told_with_the_trap() -> None:
    with started("valkey") as server, server.client() as client:
        pipeline = client.pipeline(transaction=False)
        for _ in range(3000):
            pipeline.xadd("orders", {"data": "x" * 300})
        pipeline.xgroup_create("orders", "mail", "0")
        pipeline.xreadgroup("mail", "worker-1", {"orders": ">"}, count=2000)
        pipeline.xgroup_create("orders", "pods", "0")
        for number in range(1200):
            pipeline.execute_command("XGROUP CREATECONSUMER", "orders", "pods", f"worker-{number}")
        pipeline.execute()
        found, _ = await examined(server)
        readers = found["stream-readers"]
        assert readers.title == (
            "Readers of orders have gone or fallen behind: 2 groups, 1,201 consumers, 2,000 pending entries"
        )
        assert "XGROUP DELCONSUMER, which loses what its consumer holds" in readers.advice
        assert readers.evidence[0].startswith("a stream of about ")
        assert readers.evidence[1].startswith("Group 'pods' has 1,200 consumers.")
        assert (readers.remedy.key, readers.remedy.kind) == (KeyId(0, b"orders"), "stream")


async def test_what_an_application_needs_is_not_offered_as_passing_data() -> None:
    with started("valkey") as server, server.client() as client:
        pipeline = client.pipeline(transaction=False)
        index = "spring:session:index:org.springframework.session.FindByIndexNameSessionRepository"
        for number in range(400):
            pipeline.sadd(f"{index}.PRINCIPAL_NAME_INDEX_NAME:user{number}", *(f"{number}-{n}" * 4 for n in range(30)))
            pipeline.set(f"spring:session:sessions:expires:0f0d00b0-2222-4333-8444-{number:012d}", "", ex=1800)
        pipeline.execute()
        found, _ = await examined(server)
        assert "no-ttl-family" not in found, "an index of sessions is not session data"
        index_finding = found["application-data"]
        assert index_finding.title.startswith("Spring Session: indexes hold ")
        assert "none of them expires" in index_finding.evidence


async def test_jobs_whose_names_tell_no_queue_are_counted_by_the_index_of_each() -> None:
    with started("valkey") as server, server.client() as client:
        samples.write(client, samples.load("rq").keys)
        live = LiveServer(server.connection)
        await live.open()
        try:
            view = await live.scan(ScanOptions(pace=Pace.FULL_SPEED)).run()
            (rq,) = recognize(view, await live.samples(view, applications_only=True)).found
        finally:
            await live.close()
        finished_jobs = {jobs.state: jobs for jobs in rq.finished}
        assert {state: (jobs.jobs, jobs.of_jobs, jobs.instance) for state, jobs in finished_jobs.items()} == {
            "finished": (2, 7, b"mail"),
            "failed": (1, 7, b"mail"),
        }
        ids = client.zrange("rq:finished:mail", 0, -1)
        held = [client.memory_usage(name + job, samples=0) for job in ids for name in (b"rq:job:", b"rq:results:")]
        assert (
            finished_jobs["finished"].low
            <= sum(held) + client.memory_usage("rq:finished:mail")
            <= finished_jobs["finished"].high
        )


async def test_what_an_application_needs_is_not_told_to_be_shortened() -> None:
    with started("valkey") as server, server.client() as client:
        samples.write(client, samples.load("sidekiq").keys)
        jobs = {f'{{"class":"Mail","jid":"{number:024x}","args":["{"x" * 900}"]}}': number for number in range(2500)}
        client.zadd("retry", jobs)
        client.zadd("dead", jobs)
        client.zadd("old board", {name[::-1]: score for name, score in jobs.items()})
        for number in range(2500):
            client.xadd("orders", {"body": "x" * 900, "n": number})
        live = LiveServer(server.connection)
        await live.open()
        try:
            view = await live.scan(ScanOptions(pace=Pace.FULL_SPEED)).run()
            found = find(await live.snapshot(), view)
        finally:
            await live.close()
        logs = {one.title.split(" is a ")[0]: one for one in found if one.id == "zset-log"}
        assert set(logs) == {"dead", "old board"}
        command = "`redis-oom-tui cleanup --shrink 'old board' --keep-last 1000`"
        assert f"{command} plans to keep the 1,000 highest scores." in logs["old board"].advice
        advice = [one.advice for one in found if one.title.startswith("Sidekiq: failed jobs hold 2.")]
        assert any("Do not delete them unseen" in text for text in advice), advice
        stream = next(one for one in found if one.id == "stream-untrimmed")
        assert "cleanup --shrink orders --keep-last 1000" in stream.advice
