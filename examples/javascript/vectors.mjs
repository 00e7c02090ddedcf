// Check binding.mjs against docs/vectors: `node vectors.mjs FOLDER` exits with 1 and names what differs.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { blake2b, digest, parseCall, replySubject, token, versionTarget } from "./binding.mjs";

const load = (name) => JSON.parse(readFileSync(join(process.argv[2], name + ".json"), "utf8"));
let wrong = 0;
let checked = 0;
function same(what, found, expected) {
  checked++;
  if (found === expected) return;
  wrong++;
  console.error(`${what}: found ${found}, expected ${expected}`);
}

const tokens = load("tokens");
for (const each of tokens.tokens) same(`token of ${JSON.stringify(each.text)}`, token(each.text), each.token);
for (const each of tokens.versionTargets) same(`target of ${each.version}`, versionTarget(each.version), each.to);
for (const each of tokens.instanceTargets) same(`target of ${each.instance}`, token("n-" + each.instance), each.to);
for (const each of tokens.canaryTargets) same(`target of ${each.version}`, token("c-" + each.version), each.to);
for (const each of tokens.calls) same(`call ${each.call}`, parseCall(each.call) !== null, each.valid);
const digests = load("digests");
for (const each of digests.digests) same(`digest of ${each.hex}`, digest(Buffer.from(each.hex, "hex")), each.digest);
for (const each of digests.events) same(`event of ${each.uri}`, blake2b(each.uri).toString("hex"), each.hash);
for (const each of digests.blobs.found) same("blob", digest(each.value), each.digest);
for (const each of load("replies").cases) {
  const bare = each.bareInboxes && /^_INBOX\.[^*> ]+$/.test(each.reply) ? each.reply : null;
  same(`reply ${each.reply}`, replySubject("default", "eu", each.via, each.caller, each.reply) ?? bare, each.answeredOn);
}
console.log(`${checked} checked, ${wrong} wrong`);
process.exitCode = wrong ? 1 : 0;
