// express-rate-limit with rate-limit-redis: two addresses ask.
const { rateLimit } = require("express-rate-limit");
const { RedisStore } = require("rate-limit-redis");
const { createClient } = require("redis");

async function main() {
  const client = createClient({ url: process.argv[2] });
  await client.connect();
  const store = new RedisStore({ sendCommand: (...parts) => client.sendCommand(parts) });
  const limiter = rateLimit({ windowMs: 900000, limit: 100, store });
  for (const ip of ["10.0.0.1", "10.0.0.2"]) {
    const headers = {};
    await new Promise((resolve) => limiter(
      { ip, headers, app: { get: () => false }, socket: {} },
      { setHeader() {}, getHeader() {}, append() {}, on() {}, headersSent: false, statusCode: 200 }, resolve));
  }
  process.exit(0);
}

main();
