"""Pure translation between bytes and values: subjects, JSON-RPC, MCP, frames, digests, schemas."""
