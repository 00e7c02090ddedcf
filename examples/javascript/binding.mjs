// What clients and nodes of docs/binding.md share: tokens, targets, <call>, and BLAKE2b-128 (M1.1, M1.2, M1.8, M2.3, section 18).

const MASK = (1n << 64n) - 1n;
const IV = [
  0x6a09e667f3bcc908n, 0xbb67ae8584caa73bn, 0x3c6ef372fe94f82bn, 0xa54ff53a5f1d36f1n,
  0x510e527fade682d1n, 0x9b05688c2b3e6c1fn, 0x1f83d9abfb41bd6bn, 0x5be0cd19137e2179n,
];
const SIGMA = [
  "0123456789abcdef", "ea489fd61c02b753", "b8c052fdae367194", "7931dcbe265a40f8", "905724afe1bc683d",
  "2c6a0b834d75fe19", "c51fed4a0763928b", "db7ec13950f4862a", "6fe9b308c2d714a5", "a2847615fb9e3cd0",
].map((row) => [...row].map((digit) => parseInt(digit, 16)));
const LANES = [
  [0, 4, 8, 12], [1, 5, 9, 13], [2, 6, 10, 14], [3, 7, 11, 15], [0, 5, 10, 15], [1, 6, 11, 12], [2, 7, 8, 13], [3, 4, 9, 14],
];
const rotate = (word, bits) => ((word >> bits) | (word << (64n - bits))) & MASK;

function compress(state, block, count, isLast) {
  const words = Array.from({ length: 16 }, (_, index) => block.readBigUInt64LE(8 * index));
  const v = [...state, ...IV];
  v[12] ^= BigInt(count);
  if (isLast) v[14] ^= MASK;
  for (let round = 0; round < 12; round++) {
    const order = SIGMA[round % 10];
    LANES.forEach(([a, b, c, d], lane) => {
      v[a] = (v[a] + v[b] + words[order[2 * lane]]) & MASK;
      v[d] = rotate(v[d] ^ v[a], 32n);
      v[c] = (v[c] + v[d]) & MASK;
      v[b] = rotate(v[b] ^ v[c], 24n);
      v[a] = (v[a] + v[b] + words[order[2 * lane + 1]]) & MASK;
      v[d] = rotate(v[d] ^ v[a], 16n);
      v[c] = (v[c] + v[d]) & MASK;
      v[b] = rotate(v[b] ^ v[c], 63n);
    });
  }
  for (let index = 0; index < 8; index++) state[index] ^= v[index] ^ v[index + 8];
}

/** The 16 bytes of BLAKE2b-128 of a text or bytes. */
export function blake2b(data) {
  const bytes = Buffer.from(data);
  const state = [...IV];
  state[0] ^= 0x01010010n;
  let at = 0;
  for (; bytes.length - at > 128; at += 128) compress(state, bytes.subarray(at, at + 128), at + 128, false);
  const last = Buffer.alloc(128);
  bytes.copy(last, 0, at);
  compress(state, last, bytes.length, true);
  const out = Buffer.alloc(64);
  state.forEach((word, index) => out.writeBigUInt64LE(word, 8 * index));
  return out.subarray(0, 16);
}

/** The digest of bytes (M8.4). */
export const digest = (data) => blake2b(data).toString("base64url");

/** The subject token of a text (M1.1, M1.2). */
export function token(text) {
  if (text === "_") return "=5f";
  const spelled = [...Buffer.from(text)]
    .map((byte) => (/[a-z0-9_-]/.test(String.fromCharCode(byte)) ? String.fromCharCode(byte) : "=" + byte.toString(16).padStart(2, "0")))
    .join("");
  return spelled.length > 96 ? "==" + blake2b(text).toString("hex") : spelled;
}

/** The `to` of a version's major number (M1.8). */
export function versionTarget(version) {
  const match = /^v?([0-9]{1,9})(?:[.+-][^]*)?$/.exec(version);
  return "v" + (match ? Number(match[1]) : 0);
}

/** What a <call> says (M2.3); null if it is malformed. */
export function parseCall(call) {
  const match = call.length <= 96 ? /^([a-z0-9]+)-([0-9a-f]{1,16})-([fn])$/.exec(call) : null;
  return match && { id: match[1], deadline: BigInt("0x" + match[2]), frames: match[3] === "f" };
}

/** Where a node answers a request (M3.1); null: nowhere. */
export function replySubject(ns, region, via, caller, reply) {
  const tokens = reply.split(".");
  if (tokens.length !== 9 || tokens[0] !== "lr" || tokens[1] !== "v1" || tokens[4] !== "rep") return null;
  if (!tokens.every((each) => /^[a-z0-9_=-]{1,96}$/.test(each)) || !parseCall(tokens[8])) return null;
  return ["lr", "v1", ns, region, "rep", via, caller, tokens[7], tokens[8]].join(".");
}
