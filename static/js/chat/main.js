/** Starts the chat page. */

import { effect } from "@preact/signals-core";
import { hello } from "../ui/connection.js";
import { resumeOutbox } from "./actions.js";
import { listAgents } from "./agents.js";
import "./ct_app.js";
import { model, session, start } from "./store.js";

effect(() => {
  const waits = Object.keys(model.value.waiting).length;
  document.title = [waits ? `(${waits}) ` : "", session.value?.title ?? "New mission", " · Control Tower"].join("");
});
effect(() => {
  if (hello.value) void listAgents();
});
start();
resumeOutbox();
