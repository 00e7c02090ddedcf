"""Existing MCP servers, brought into the mesh."""
