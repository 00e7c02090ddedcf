"""`longreach stdio`: the mesh for hosts that start a process."""
