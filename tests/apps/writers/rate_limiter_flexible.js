// rate-limiter-flexible: points that two users have consumed.
const { RateLimiterRedis } = require("rate-limiter-flexible");
const Redis = require("ioredis").Redis;

async function main() {
  const storeClient = new Redis(Number(new URL(process.argv[2]).port));
  const limiter = new RateLimiterRedis({ storeClient, points: 10, duration: 3600, keyPrefix: "rlflx" });
  await limiter.consume("10.0.0.1");
  await limiter.consume("10.0.0.2", 3);
  process.exit(0);
}

main();
