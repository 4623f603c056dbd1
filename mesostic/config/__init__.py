"""Configuration: one TOML file becomes a composition of actors.

Reading (`document`, `toml`) knows nothing of actors; building (`settings`, `classes`, `cluster`) turns tables into settings and
class paths into classes; `compose` knows which tables there are. Every problem of a file is found before anything starts.
"""
