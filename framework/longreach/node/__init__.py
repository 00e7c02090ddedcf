"""The node: one process, one event loop, one region; it hosts servers and supervises their actors."""
