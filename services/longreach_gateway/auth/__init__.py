"""Who asks: bearer tokens of a file, and JWTs of an authorization server."""
