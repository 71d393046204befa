/** A bot on the public client: runs missions one after another, tells each event it saw, answers questions. */

import { TowerClient } from "../../static/js/client.js";

const [url, ...missions] = process.argv.slice(2);
const say = (line) => process.stdout.write(`${JSON.stringify(line)}\n`);

const tower = new TowerClient({ url, client: "node-bot" });
tower.on("status", ({ state }) => say({ status: state }));
tower.on("gap", () => say({ fault: "gap" }));
tower.on("event", (event) => {
  if (event.offset) say({ offset: event.offset, type: event.type, mission: event.mission_id, step: event.data.name });
  if (event.type === "interrupt.raised") void tower.call("confirm", { confirmation_id: event.data.interrupt_id, approved: true });
});
await tower.connect();
for (const mission of missions) {
  const { outcome, result } = await tower.run(mission);
  say({ outcome, result });
}
tower.close();
