// Bull: jobs done, failed, waiting, delayed, prioritized, repeated.
const Queue = require("bull");
const where = { host: "127.0.0.1", port: Number(new URL(process.argv[2]).port) };

async function main() {
  const queue = new Queue("mail", { redis: where });
  for (let at = 0; at < 3; at++) await queue.add({ to: at });
  await queue.add({ to: "nobody" });
  let ended = 0;
  const all = new Promise((resolve) => {
    const count = () => { if (++ended === 4) resolve(); };
    queue.on("completed", count);
    queue.on("failed", count);
  });
  queue.process(async (job) => {
    await job.log("sending");
    if (job.data.to === "nobody") throw new Error("no such order");
    return { sent: true };
  });
  await all;
  await queue.pause(true);
  const other = new Queue("orders", { redis: where });
  await other.add({ to: 4 });
  await other.add({ to: 5 }, { delay: 3600000 });
  await other.add({ to: 6 }, { priority: 5 });
  await other.add({ to: 7 }, { repeat: { cron: "0 3 * * *" } });
  await other.pause();
}

main().then(() => process.exit(0));
