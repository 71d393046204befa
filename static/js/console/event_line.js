/** What an event says, on one line. Pure. */

import { brief, duration } from "../ui/format.js";

/** @typedef {import("../client.js").TowerEvent} TowerEvent */

/** @type {Readonly<Record<string, (data: Record<string, any>) => string>>} */
const LINES = Object.freeze({
  "mission.submitted": ({ agent, mission }) => `${agent}: ${mission}`,
  "mission.queued": ({ position, cause }) => `number ${position}, ${words(cause)}`,
  "mission.started": ({ attempt, node }) => (attempt > 1 ? `attempt ${attempt} on ${node}` : `on ${node}`),
  "mission.completed": ({ result, duration_ms }) => `${duration(duration_ms)} → ${brief(result, 160)}`,
  "mission.progress": ({ name, ...fields }) => `${name} ${brief(fields, 160)}`,
  "step.started": ({ step, kind, name, input }) => `${step} ${called(kind, name)} ${brief(input, 160)}`,
  "step.completed": ({ step, kind, name, output, duration_ms }) => `${step} ${called(kind, name)} ${duration(duration_ms)} → ${brief(output, 160)}`,
  "step.failed": ({ step, kind, name, error, will_retry }) => `${step} ${called(kind, name)}: ${error?.message}${will_retry ? ", is tried again" : ""}`,
  "interrupt.raised": ({ kind, message }) => `${words(kind)}: ${message}`,
  "interrupt.resolved": (data) => `${words(data.kind)}: ${decided(data)}${data.by ? ` by ${data.by}` : ""}`,
  "quota.warned": ({ resource, used, limit }) => `${words(resource)}: ${used} of ${limit}`,
  "quota.exceeded": ({ resource, used, limit }) => `${words(resource)}: ${used} of ${limit}`,
  "quota.extended": ({ resource, limit }) => `${words(resource)}: now ${limit}`,
  "message.created": ({ message }) => `${message.role}: ${brief(message.content, 160)}`,
  "session.created": ({ session }) => session.title ?? "",
  "session.updated": ({ session }) => session.title ?? "",
});

/** @param {TowerEvent} event @returns {string} */
export function eventLine({ type, data }) {
  const line = LINES[type];
  if (line) return line(data);
  const { usage: _, duration_ms, ...rest } = data ?? {};
  return [duration_ms === undefined ? "" : duration(duration_ms), rest.error?.message ?? brief(rest, 160)].filter(Boolean).join(" · ");
}

/** @param {string | null | undefined} name */
const words = (name) => (name ?? "").replaceAll("_", " ");

/** @param {string} kind @param {string} name */
const called = (kind, name) => (name && name !== kind ? name : kind);

/** @param {Record<string, any>} data */
function decided({ approved, decision, answer }) {
  if (approved !== undefined) return approved ? "approved" : "refused";
  return decision ? words(decision) : `“${brief(answer, 120)}”`;
}
