// The package ws of npm, as its documentation shows a broadcast: a loop of send.
//
// node ws.mjs <folder with node_modules> <body>
//
// Obeys lines as the peers in Python do, see ../bursts.py.

import { createRequire } from "node:module";
import { createInterface } from "node:readline";

const [folder, body] = process.argv.slice(2);
const { WebSocketServer } = createRequire(`${folder}/`)("ws");
const data = Buffer.from(body);
const server = new WebSocketServer({ host: "127.0.0.1", port: 0, perMessageDeflate: false, backlog: 1024 });

const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

async function run(rounds, burst, gapMs) {
  let due = performance.now();
  for (let round = 0; round < rounds; round += 1) {
    for (let each = 0; each < burst; each += 1) {
      for (const client of server.clients) {
        client.send(data, { binary: false });
      }
    }
    due += gapMs;
    await sleep(Math.max(gapMs / 4, due - performance.now()));
  }
}

server.on("listening", () => console.log(server.address().port));
for await (const line of createInterface({ input: process.stdin })) {
  const [order, ...numbers] = line.split(" ");
  if (order === "run") {
    await run(...numbers.map(Number));
    console.log("done");
  } else {
    console.log(server.clients.size);
  }
}
process.exit(0);
