"""The master's agents: how they are admitted, fall silent, drain and go, and what of them survives a master."""
