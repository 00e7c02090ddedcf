// A client written from docs/binding.md alone, in JavaScript: Node's own sockets and the NATS protocol.
// `node bare_client.mjs HOST PORT`: lists the tools of server `chaos`, calls `look` at once and for 2 s.
import net from "node:net";
import { randomBytes } from "node:crypto";

const [host, port] = process.argv.slice(2);
const meta = {
  "io.modelcontextprotocol/protocolVersion": "2026-07-28",
  "io.modelcontextprotocol/clientCapabilities": {},
};
const connection = randomBytes(16).toString("hex");
const waiting = new Map();
const frames = [];
const socket = net.connect(Number(port), host);
let buffer = Buffer.alloc(0);

function take(subject, headers, data) {
  const call = subject.split(".").pop();
  const kind = /^Lr: *(\S+)/m.exec(headers)?.[1];
  if (kind) frames.push(kind);
  else if (/^NATS\/1\.0 503/.test(headers)) waiting.get(call).reject(new Error("no responders"));
  else waiting.get(call).resolve(JSON.parse(data));
}

socket.on("data", (chunk) => {
  buffer = Buffer.concat([buffer, chunk]);
  for (;;) {
    const end = buffer.indexOf("\r\n");
    if (end < 0) return;
    const line = buffer.subarray(0, end).toString();
    const words = line.split(" ");
    if (words[0] !== "MSG" && words[0] !== "HMSG") {
      if (line === "PING") socket.write("PONG\r\n");
      buffer = buffer.subarray(end + 2);
      continue;
    }
    const total = Number(words.at(-1));
    if (buffer.length < end + 2 + total + 2) return;
    const body = buffer.subarray(end + 2, end + 2 + total);
    const head = words[0] === "HMSG" ? Number(words.at(-2)) : 0;
    buffer = buffer.subarray(end + 2 + total + 2);
    take(words[1], body.subarray(0, head).toString(), body.subarray(head).toString());
  }
});

let number = 0;
function request(method, name, params) {
  const id = ++number;
  const call = `${id}-${(Date.now() + 10000).toString(16)}-f`;
  const subject = `lr.v1.default.local.req.chaos._._._.${method.replace("/", "-")}.${name}`;
  const reply = `lr.v1.default.local.rep._._.${connection}.${call}`;
  const body = JSON.stringify({ jsonrpc: "2.0", id, method, params: { ...params, _meta: meta } });
  socket.write(`PUB ${subject} ${reply} ${Buffer.byteLength(body)}\r\n${body}\r\n`);
  return new Promise((resolve, reject) => waiting.set(call, { resolve, reject }));
}

socket.write('CONNECT {"verbose":false,"headers":true,"no_responders":true}\r\n');
socket.write(`SUB lr.v1.default.*.rep._._.${connection}.* 1\r\n`);
const look = (seconds, ident) => request("tools/call", "look", { name: "look", arguments: { seconds, ident } });
const listed = await request("tools/list", "_", {});
const quick = await look(0, "a");
const slow = await look(2, "b");
const absent = await request("tools/call", "nothing", { name: "nothing" }).catch((error) => error.message);
socket.destroy();
console.log(
  JSON.stringify({
    tools: listed.result.tools.map((tool) => tool.name),
    quick: quick.result.content[0].text,
    slow: slow.result.content[0].text,
    frames,
    absent,
  }),
);
