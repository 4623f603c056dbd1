"""Configuration: one TOML file becomes a composition of actors.

Reading (`document`, `toml`) knows TOML and nothing of actors; building (`settings`, `classes`, `cluster`) turns tables into frozen
settings and class paths into classes; `compose` knows which tables a framework has. Every problem of a file is found before
anything starts, and all of them are reported together. What actors do with their settings does not belong here.
"""
