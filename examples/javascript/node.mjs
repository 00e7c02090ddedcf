// A small node of the binding (docs/binding.md): `node node.mjs URL` serves `javascript.shout`, with progress and cancel.
import { randomBytes } from "node:crypto";
import { connect, headers } from "@nats-io/transport-node";
import { digest, parseCall, replySubject, token } from "./binding.mjs";

const NS = "default", REGION = "local", SERVER = "javascript", VERSION = "1.0.0", IDENTITY = "js";
const instance = randomBytes(6).toString("hex");
const META = { "longreach/node": `${IDENTITY}.${instance}`, "longreach/region": REGION };
const TOOL = {
  name: "shout",
  description: "Say a text in capitals, after some steps of 0.1 s.",
  inputSchema: { type: "object", properties: { text: { type: "string" }, steps: { type: "integer" } }, required: ["text"] },
};
const tool = JSON.stringify(TOOL);
const manifest = JSON.stringify({ server: SERVER, version: VERSION, tools: [digest(tool)], binding: 1 });
const blobs = new Map([tool, manifest].map((each) => [digest(each), each]));
const calls = new Map(); // what is here, by connection and call
const done = new Map(); // what ended here, and tombstones: until when (M6.2, M7.5)
const tombstones = new Map();
const nc = await connect({ servers: process.argv[2] });
let seq = 0;

const announcement = (state) => ({
  server: SERVER, version: VERSION, digest: digest(manifest), region: REGION, identity: IDENTITY, instance, state,
  seq: ++seq, clockMs: Date.now(), labels: {}, binding: 1,
});
const announce = (state) => nc.publish(`lr.v1.${NS}.${REGION}.adv.${SERVER}.${IDENTITY}.${instance}`, JSON.stringify(announcement(state)));
const wait = (ms, signal) =>
  new Promise((resolve) => {
    const timer = setTimeout(resolve, ms);
    signal.addEventListener("abort", () => resolve(clearTimeout(timer)), { once: true });
  });

function prune() {
  for (const kept of [done, tombstones]) {
    for (const [key, until] of kept) if (until < Date.now() || kept.size > 10_000) kept.delete(key);
  }
}

/** The request's way back (M3.1), and the name by which its call is known (M6.3); null: it is dropped. */
function route(message, at) {
  const parts = message.subject.split(".");
  const subject = replySubject(NS, REGION, parts[at], parts[at + 1], message.reply ?? "");
  if (subject === null) return null;
  const call = subject.split(".").pop();
  const scope = subject.split(".").slice(5, 8).join(".");
  return { subject, call, scope, key: `${scope}.${call}`, said: parseCall(call) };
}

function frame(to, kind, body) {
  if (!to.said.frames) return; // M4.2
  const head = headers();
  head.set("Lr", kind);
  nc.publish(to.subject, JSON.stringify(body), { headers: head });
}
const respond = (to, id, answer) => nc.publish(to.subject, JSON.stringify({ jsonrpc: "2.0", id, ...answer }));
const fail = (to, id, code, message, data) => respond(to, id, { error: { code, message, ...(data && { data }) } });
const notStarted = (to, id, reason) => fail(to, id, -31900, `not started: ${reason}`, { delivered: "no", reason });

function answerRequest(error, message) {
  const to = error ? null : route(message, 7);
  if (to === null) return;
  const parts = message.subject.split(".");
  let request;
  try {
    request = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(message.data));
  } catch {
    return fail(to, null, -32700, "this is not JSON"); // M2.9
  }
  const known = ["string", "number"].includes(typeof request?.id) && (typeof request.id === "string" || Number.isInteger(request.id));
  const id = known ? request.id : null;
  if (!known || request.jsonrpc !== "2.0" || typeof request.method !== "string") return fail(to, id, -32600, "no request");
  const params = request.params;
  if (params === null || typeof params !== "object" || Array.isArray(params)) return fail(to, id, -32602, "params must be an object");
  if (request.method.replaceAll("/", "-") !== parts[9] || (parts[10] !== "_" && token(params.name ?? "") !== parts[10])) {
    return fail(to, id, -32020, "subject and body differ"); // M1.4
  }
  const version = params._meta?.["io.modelcontextprotocol/protocolVersion"];
  if (version === undefined || typeof params._meta["io.modelcontextprotocol/clientCapabilities"] !== "object") {
    return fail(to, id, -32602, "params._meta lacks protocolVersion or clientCapabilities");
  }
  if (version !== "2026-07-28") return fail(to, id, -32022, "unsupported version", { supported: ["2026-07-28"] });
  const listed = { resultType: "complete", ttlMs: 12_000, cacheScope: "public", _meta: META };
  if (request.method === "tools/list") return respond(to, id, { result: { tools: [TOOL], ...listed } });
  if (request.method === "server/discover") {
    const serverInfo = { name: SERVER, version: VERSION };
    return respond(to, id, { result: { supportedVersions: ["2026-07-28"], capabilities: { tools: {} }, serverInfo, ...listed } });
  }
  if (request.method !== "tools/call") return fail(to, id, -32601, `there is no method ${request.method}`); // M5.7
  if (params.name !== TOOL.name) return fail(to, id, -32602, `there is no tool ${params.name}`);
  void run(to, id, params);
}

async function run(to, id, params) {
  prune();
  if (calls.has(to.key) || done.has(to.key)) return; // M2.7
  if (tombstones.has(to.key)) return notStarted(to, id, "not_here"); // M6.2
  const deadline = Number(to.said.deadline);
  if (deadline && deadline <= Date.now()) return notStarted(to, id, "expired"); // M2.4
  const ended = new AbortController();
  const entry = { heard: Date.now(), accepted: false, stop: () => ended.abort() };
  calls.set(to.key, entry);
  const accepted = setTimeout(() => {
    entry.accepted = to.said.frames;
    frame(to, "accepted", { identity: IDENTITY, instance, region: REGION }); // M4.1
  }, 250);
  const limit = setTimeout(() => ended.abort(), deadline ? Math.min(deadline - Date.now(), 2 ** 31 - 1) : 60_000);
  const { text, steps = 0 } = params.arguments ?? {};
  const isRight = typeof text === "string" && Number.isInteger(steps);
  for (let step = 1; isRight && step <= steps && !ended.signal.aborted; step++) {
    await wait(100, ended.signal);
    const progressToken = params._meta.progressToken;
    if (progressToken === undefined || ended.signal.aborted) continue;
    frame(to, "note", { jsonrpc: "2.0", method: "notifications/progress", params: { progressToken, progress: step, total: steps } });
  }
  clearTimeout(accepted);
  clearTimeout(limit);
  const said = isRight ? text.toUpperCase() : "text must be a string, steps an integer";
  if (ended.signal.aborted) fail(to, id, -32603, "cancelled, or its deadline passed", { reason: "deadline" });
  else respond(to, id, { result: { content: [{ type: "text", text: said }], isError: !isRight, resultType: "complete", _meta: META } });
  calls.delete(to.key);
  done.set(to.key, Date.now() + 60_000);
}

/** Questions: `alive`, `whose`, `cancel`, `blobs`, `who`; what is none is not answered (M11.1). */
function answerQuestion(at) {
  return (error, message) => {
    const to = error ? null : route(message, at);
    if (to === null) return;
    const verb = message.subject.split(".")[at + 2] ?? "who";
    for (const [key, entry] of calls) if (key.startsWith(to.scope + ".")) entry.heard = Date.now();
    let body;
    try {
      body = message.json();
    } catch {
      return;
    }
    const me = { identity: IDENTITY, instance };
    const asked = Array.isArray(body?.calls) ? body.calls.slice(0, 512) : [];
    const key = (call) => `${to.scope}.${call}`;
    const answer = (value) => nc.publish(to.subject, typeof value === "string" ? value : JSON.stringify(value));
    if (verb === "who") answer({ announcements: [announcement("up")] });
    else if (verb === "alive") answer({ ...me, gone: asked.filter((call) => !calls.has(key(call))), clockMs: Date.now() });
    else if (verb === "whose") {
      prune();
      const have = asked.filter((call) => calls.has(key(call)));
      const over = asked.filter((call) => done.has(key(call)));
      for (const call of asked) if (!have.includes(call) && !over.includes(call)) tombstones.set(key(call), Date.now() + 60_000);
      answer({ ...me, region: REGION, have, done: over, clockMs: Date.now(), ...(!asked.length && { announcement: announcement("up") }) });
    } else if (verb === "cancel") {
      for (const call of asked) calls.has(key(call)) ? calls.get(key(call)).stop() : tombstones.set(key(call), Date.now() + 60_000);
    } else if (verb === "blobs" && Array.isArray(body?.digests)) {
      const found = body.digests.filter((each) => blobs.has(each)).map((each) => blobs.get(each)); // the very bytes (M8.5)
      const missing = body.digests.filter((each) => !blobs.has(each));
      answer(`{"blobs":[${found.join(",")}],"missing":${JSON.stringify(missing)}}`);
    }
  };
}

announce("up"); // before it takes requests (M8.1)
await nc.flush();
const prefix = `lr.v1.${NS}.${REGION}`;
for (const tail of [`tools-call.${TOOL.name}`, "tools-list._", "server-discover._"]) {
  for (const to of ["_", "v1"]) nc.subscribe(`${prefix}.req.${SERVER}.${to}.*.*.${tail}`, { queue: SERVER, callback: answerRequest });
}
nc.subscribe(`${prefix}.req.${SERVER}.n-${instance}.*.*.*.*`, { queue: SERVER, callback: answerRequest });
nc.subscribe(`${prefix}.all.${SERVER}.*.*.*`, { callback: answerQuestion(6) });
nc.subscribe(`${prefix}.node.${IDENTITY}.${instance}.*.*.*`, { callback: answerQuestion(7) });
for (const region of [REGION, "_"]) nc.subscribe(`lr.v1.${NS}.${region}.who.*.*`, { callback: answerQuestion(5) });
await nc.flush();
setInterval(() => announce("up"), 12_000);
setInterval(() => {
  for (const entry of calls.values()) if (entry.accepted && Date.now() - entry.heard > 15_000) entry.stop(); // M7.4
}, 1_000);
console.log(`serving ${SERVER}.${TOOL.name} as ${IDENTITY}.${instance}`);
for (const signal of ["SIGINT", "SIGTERM"]) {
  process.once(signal, async () => {
    announce("down"); // M8.3
    await nc.drain();
    process.exit(0);
  });
}
