// A small client of the binding (docs/binding.md): lists, calls with progress, cancels. It leaves out retries and section 7.
//   node client.mjs URL ls
//   node client.mjs URL call SERVER.TOOL '{"name":"value"}' [--cancel-after MS]
import { randomBytes } from "node:crypto";
import { connect } from "@nats-io/transport-node";
import { token } from "./binding.mjs";

const META = {
  "io.modelcontextprotocol/protocolVersion": "2026-07-28",
  "io.modelcontextprotocol/clientCapabilities": {},
};

export class Client {
  constructor(nc, { ns = "default", region = "local" } = {}) {
    Object.assign(this, { nc, ns, region, number: 0, waiting: new Map() });
    this.connection = randomBytes(16).toString("hex"); // M2.2
    nc.subscribe(`lr.v1.${ns}.*.rep._._.${this.connection}.*`, { callback: (error, message) => error || this.take(message) });
  }

  take(message) {
    const entry = this.waiting.get(message.subject.split(".").pop()); // M2.9: by <call>, never by id
    if (!entry) return;
    const status = message.headers?.code;
    const frame = message.headers?.get("Lr");
    if (status === 503) entry.end({ ending: "no", why: "no responders" });
    else if (frame === "accepted") {
      entry.node = message.json();
      entry.heard = Date.now();
    } else if (frame === "note") entry.onNote?.(message.json());
    else if (!frame) entry.end({ ending: "yes", message: message.json() }); // M4.3: other frames are ignored
  }

  send(subject, body, { ms = 10_000, deadline = 0, onNote } = {}) {
    const call = `${(++this.number).toString(36)}-${deadline.toString(16)}-f`; // M2.3
    const reply = `lr.v1.${this.ns}.${this.region}.rep._._.${this.connection}.${call}`;
    const entry = { call, subject, onNote };
    entry.done = new Promise((resolve) => {
      const timer = setTimeout(() => entry.end({ ending: "unknown", why: "no answer in time" }), ms);
      entry.end = (ended) => {
        clearTimeout(timer);
        clearInterval(entry.watch);
        this.waiting.delete(call);
        resolve(ended);
      };
    });
    this.waiting.set(call, entry);
    this.nc.publish(subject, JSON.stringify(body), { reply });
    return entry;
  }

  /** Every announcement of the region (M8.2), gathered for a while. */
  async who(ms = 300) {
    const found = [];
    const inbox = this.send(`lr.v1.${this.ns}._.who._._`, {}, { ms });
    inbox.end = ((end) => (ended) => (ended.message ? found.push(...ended.message.announcements) : end(ended)))(inbox.end);
    await inbox.done;
    return found;
  }

  request(server, method, params, { ms = 10_000, onNote } = {}) {
    const name = params.name === undefined ? "_" : token(params.name);
    const subject = `lr.v1.${this.ns}.${this.region}.req.${token(server)}._._._.${method.replaceAll("/", "-")}.${name}`;
    const body = { jsonrpc: "2.0", id: this.number + 1, method, params: { ...params, _meta: { ...META, ...(onNote && { progressToken: 1 }) } } };
    const entry = this.send(subject, body, { ms, deadline: Date.now() + ms, onNote });
    entry.server = server;
    entry.watch = setInterval(() => this.ask(entry), 500); // M7.1
    return entry;
  }

  /** Ask the node of an accepted call whether it still has it (M7.1), and give it up after 5 s of silence (M7.3). */
  async ask(entry) {
    if (!entry.node) return;
    if (Date.now() - entry.heard > 5_000) return entry.end({ ending: "unknown", why: "its node is silent" });
    const answer = await this.send(this.nodeSubject(entry, "alive"), { calls: [entry.call] }, { ms: 2_000 }).done;
    if (!answer.message) return;
    entry.heard = Date.now();
    if (answer.message.gone.includes(entry.call)) setTimeout(() => entry.end({ ending: "unknown", why: "gone" }), 500);
  }

  nodeSubject(entry, verb) {
    const { identity, instance } = entry.node;
    return `lr.v1.${this.ns}.${this.region}.node.${token(identity)}.${token(instance)}._._.${verb}`;
  }

  /** Tell whoever has a call that nobody waits for it any more (M6.1). */
  cancel(entry, reason) {
    const all = `lr.v1.${this.ns}.${this.region}.all.${token(entry.server)}._._.cancel`;
    const told = this.send(entry.node ? this.nodeSubject(entry, "cancel") : all, { calls: [entry.call], reason }, { ms: 1 });
    entry.end({ ending: "unknown", why: "cancelled" });
    return told.done;
  }

  async list(server, method = "tools/list", member = "tools") {
    const items = [];
    for (let cursor; ; ) {
      const ended = await this.request(server, method, cursor === undefined ? {} : { cursor }).done;
      if (!ended.message?.result) throw new Error(JSON.stringify(ended));
      items.push(...ended.message.result[member]);
      cursor = ended.message.result.nextCursor;
      if (cursor === undefined) return items;
    }
  }
}

async function main([url, verb, name, json = "{}", flag, after]) {
  const nc = await connect({ servers: url });
  const client = new Client(nc);
  if (verb === "ls") {
    const servers = [...new Set((await client.who()).map((each) => each.server))].sort();
    for (const server of servers) for (const tool of await client.list(server)) console.log(`${server}.${tool.name}`);
  } else {
    const [server, tool] = [name.slice(0, name.indexOf(".")), name.slice(name.indexOf(".") + 1)];
    const onNote = (note) => console.log(JSON.stringify({ note: note.method, ...note.params }));
    const entry = client.request(server, "tools/call", { name: tool, arguments: JSON.parse(json) }, { onNote });
    if (flag === "--cancel-after") setTimeout(() => client.cancel(entry, "no longer needed"), Number(after));
    console.log(JSON.stringify(await entry.done));
  }
  await nc.drain();
}

await main(process.argv.slice(2));
