"""`longreach demo`: real work on three nodes in two regions, one of which is killed in the middle."""
