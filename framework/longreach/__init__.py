"""longreach: MCP tools as supervised actors on NATS."""
