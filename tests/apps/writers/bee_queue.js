// Bee-Queue: a job done and kept, one failed, one waiting, one delayed.
const Queue = require("bee-queue");
const redis = { host: "127.0.0.1", port: Number(new URL(process.argv[2]).port) };

async function main() {
  const queue = new Queue("mail", { redis, activateDelayedJobs: false });
  await queue.createJob({ to: 1 }).save();
  await queue.createJob({ to: "nobody" }).save();
  let ended = 0;
  const all = new Promise((resolve) => {
    const count = () => { if (++ended === 2) resolve(); };
    queue.on("succeeded", count);
    queue.on("failed", count);
  });
  queue.process(async (job) => {
    if (job.data.to === "nobody") throw new Error("no such order");
    return { sent: true };
  });
  await all;
  const other = new Queue("orders", { redis, isWorker: false });
  await other.createJob({ to: 3 }).save();
  await other.createJob({ to: 4 }).delayUntil(Date.now() + 3600000).save();
  await queue.close();
  await other.close();
}

main().then(() => process.exit(0));
