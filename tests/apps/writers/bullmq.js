// BullMQ: jobs done, failed, waiting, delayed, prioritized, repeated, a flow, logs, under two prefixes.
const { Queue, Worker, FlowProducer, QueueEvents } = require("bullmq");
const connection = { host: "127.0.0.1", port: Number(new URL(process.argv[2]).port), maxRetriesPerRequest: null };

async function fill(prefix, name) {
  const options = { connection, prefix };
  const queue = new Queue(name, options);
  for (let at = 0; at < 3; at++) await queue.add("send", { to: at });
  await queue.add("fail", { to: "nobody" });
  let ended = 0;
  const worker = new Worker(name, async (job) => {
    await job.log("sending");
    if (job.name === "fail") throw new Error("no such order");
    return { sent: true };
  }, options);
  await new Promise((resolve) => {
    const count = () => { if (++ended === 4) resolve(); };
    worker.on("completed", count);
    worker.on("failed", count);
  });
  await worker.close();
  await queue.add("send", { to: 4 });
  await queue.add("send", { to: 5 }, { delay: 3600000 });
  await queue.add("send", { to: 6 }, { priority: 5 });
  await queue.upsertJobScheduler("nightly", { pattern: "0 3 * * *" });
  await queue.add("send", { to: 7 }, { deduplication: { id: "seven", ttl: 60000 } });
  const flow = new FlowProducer(options);
  await flow.add({ name: "parent", queueName: name, children: [{ name: "child", queueName: name, data: {} }] });
  await flow.close();
  await queue.close();
}

fill("bull", "mail").then(() => fill("myapp:bull", "orders")).then(() => process.exit(0));
