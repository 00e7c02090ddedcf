"""A foreign MCP server of either era: its process or URL, its connection, and its words made the mesh's."""
