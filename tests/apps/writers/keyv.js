// Keyv with its Redis store: entries with and without a TTL.
const KeyvRedis = require("@keyv/redis").default;
const Keyv = require("keyv").default || require("keyv").Keyv || require("keyv");

async function main() {
  const keyv = new Keyv(new KeyvRedis(process.argv[2]), { namespace: "shop" });
  await keyv.set("article", { title: "one" });
  await keyv.set("visits", 7, 60000);
  const plain = new Keyv(new KeyvRedis(process.argv[2]));
  await plain.set("article", { title: "one" });
  process.exit(0);
}

main();
