// What visit.py does, with the official TypeScript client: `node visit.mjs MODULES URL` prints JSON.
import { randomUUID } from "node:crypto";
import path from "node:path";
import { pathToFileURL } from "node:url";

const [modules, url] = process.argv.slice(2);
const index = path.join(modules, "@modelcontextprotocol", "client", "dist", "index.mjs");
const { Client, StreamableHTTPClientTransport } = await import(pathToFileURL(index));

const NOTE = "note://today";
const client = new Client(
  { name: "visit", version: "1.0.0" },
  { capabilities: { elicitation: {} }, versionNegotiation: { mode: "auto" } },
);
client.setRequestHandler("elicitation/create", async () => ({ action: "accept", content: { name: "Ada" } }));
await client.connect(new StreamableHTTPClientTransport(new URL(url)));

const call = async (name, args, options) =>
  (await client.callTool({ name, arguments: args }, options)).content[0].text;

async function until(key, state) {
  let found;
  while ((found = await call("state_of", { key })) !== state)
    await new Promise((resolve) => setTimeout(resolve, 50));
  return found;
}

async function cancel() {
  const key = randomUUID();
  const controller = new AbortController();
  const waiting = call("wait", { key }, { signal: controller.signal }).catch(() => "aborted");
  await until(key, "waiting");
  controller.abort();
  await waiting;
  return until(key, "cancelled");
}

async function changes() {
  const heard = new Set();
  let done;
  const all = new Promise((resolve) => (done = resolve));
  const hear = (what) => heard.add(what).size === 2 && done();
  client.setNotificationHandler("notifications/tools/list_changed", () => hear("tools"));
  client.setNotificationHandler("notifications/resources/updated", ({ params }) => hear(params.uri));
  const subscription = await client.listen({ toolsListChanged: true, resourceSubscriptions: [NOTE] });
  await call("change", {});
  await all;
  await subscription.close();
  return [...heard].sort();
}

const progress = [];
const { tools } = await client.listTools();
const found = {
  tools: tools.map((tool) => tool.name).filter((name) => !name.startsWith("new_")).sort(),
  counted: await call("count", { upto: 3 }, { onprogress: (report) => progress.push(report.progress) }),
  progress,
  cancelled: await cancel(),
  greeting: await call("greet", {}),
  note: (await client.readResource({ uri: NOTE })).contents[0].text,
  changes: await changes(),
};
await client.close();
process.stdout.write(JSON.stringify(found));
