// connect-redis: the sessions of three visitors of an Express application.
const express = require("express");
const session = require("express-session");
const { createClient } = require("redis");
const { RedisStore } = require("connect-redis");
const http = require("node:http");

async function main() {
  const client = createClient({ url: process.argv[2] });
  await client.connect();
  const app = express();
  app.use(session({ store: new RedisStore({ client }), resave: false, saveUninitialized: true, secret: "not one",
    cookie: { maxAge: 86400000 } }));
  app.get("/", (request, response) => { request.session.user = 1; response.send("hello"); });
  const server = app.listen(0, "127.0.0.1", async () => {
    const { port } = server.address();
    for (let at = 0; at < 3; at++) {
      await new Promise((resolve) => http.get({ host: "127.0.0.1", port, path: "/" }, (r) => r.resume().on("end", resolve)));
    }
    process.exit(0);
  });
}

main();
