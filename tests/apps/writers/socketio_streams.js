// socket.io with the Redis streams adapter: packets and kept sessions.
const { Server } = require("socket.io");
const { createAdapter } = require("@socket.io/redis-streams-adapter");
const { createClient } = require("redis");

async function main() {
  const client = createClient({ url: process.argv[2] });
  await client.connect();
  const io = new Server({ adapter: createAdapter(client), connectionStateRecovery: { maxDisconnectionDuration: 120000 } });
  io.emit("news", { text: "hello" });
  io.to("room").emit("news", { text: "hello" });
  await io.of("/").adapter.persistSession({ sid: "s1", pid: "private1", rooms: ["room"], data: {} });
  await client.ping();
  process.exit(0);
}

main();
