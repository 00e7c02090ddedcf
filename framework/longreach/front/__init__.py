"""The mesh, or one of its servers, as one MCP server: what gateways, stdio and the SDK transport share."""
