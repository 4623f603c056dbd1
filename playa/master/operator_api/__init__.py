"""The operator API and the older endpoints: what people and tools see of a master, and tell it."""
