"""The mesh: the client's view of all nodes."""
