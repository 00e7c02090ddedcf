"""MCP over HTTP and stdio, in front of the mesh."""
