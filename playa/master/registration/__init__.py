"""Agents that come, fall silent, drain and go; what of them survives a master."""
