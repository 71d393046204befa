/**
 * Run in an open console: dispatches so many events a second from the page's own socket, and measures meanwhile how
 * long keys wait to be handled and until what they change is painted.
 */
async ([perSecond, seconds]) => {
  const MISSIONS = 300;
  const at = new Date().toISOString();
  let offset = 1_000_000;
  const event = (n, type, data) => {
    offset += 1;
    const params = { offset, type, at, session_id: `s_${n}`, mission_id: `m_${n}`, user_id: `user${n % 20}`, data };
    return JSON.stringify({ jsonrpc: "2.0", method: "event", params });
  };
  const quota = { max_tool_calls: 100_000 };
  const step = { step: "1", kind: "tool", name: "sort" };
  const kinds = [
    (n) => event(n, "mission.submitted", { mission: "Sort the letters", agent: "sorter", priority: "normal", quota, parent_id: null }),
    (n) => event(n, "mission.started", { attempt: 1, node: "n" }),
    (n) => event(n, "step.started", { ...step, input: { n }, attempt: 1 }),
    (n) => event(n, "step.completed", { ...step, output: "x".repeat(80), duration_ms: 3 }),
  ];
  const measured = { delays: [], painted: [], rows: 0, frames: 0, sent: 0, seconds: 0 };
  const onKey = ({ timeStamp }) => {
    const wait = () => performance.now() - timeStamp;
    measured.delays.push(wait());
    requestAnimationFrame(() => requestAnimationFrame(() => measured.painted.push(wait())));
  };
  let counting = true;
  const countFrame = () => {
    measured.frames += 1;
    if (counting) requestAnimationFrame(countFrame);
  };
  addEventListener("keydown", onKey, true);
  requestAnimationFrame(countFrame);
  const begun = performance.now();
  while (measured.sent < perSecond * seconds) {
    await new Promise((resume) => setTimeout(resume, 10));
    const due = Math.min(perSecond * seconds, Math.floor(((performance.now() - begun) / 1_000) * perSecond));
    for (; measured.sent < due; measured.sent += 1) {
      const round = Math.floor(measured.sent / MISSIONS);
      const data = kinds[round < 2 ? round : 2 + (round % 2)](measured.sent % MISSIONS);
      globalThis.caughtSocket.dispatchEvent(new MessageEvent("message", { data }));
    }
    measured.rows = Math.max(measured.rows, document.querySelectorAll(".event, [role=row]").length);
  }
  measured.seconds = (performance.now() - begun) / 1_000;
  counting = false;
  await new Promise((resume) => setTimeout(resume, 500));
  removeEventListener("keydown", onKey, true);
  return measured;
}
