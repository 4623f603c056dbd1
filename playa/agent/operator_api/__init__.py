"""An agent's HTTP site: its state and its files, for people and tools."""
