"""The one floor that knows a broker: links, their supervision, the embedded broker, the in-memory double."""
