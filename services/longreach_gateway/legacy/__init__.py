"""The MCP versions with sessions: 2025-11-25 and 2025-06-18."""
