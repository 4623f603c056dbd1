"""Configuration: one TOML file becomes a composition of actors.

Reading (`document`, `toml`) knows nothing of actors; building (`settings`, `cluster`) turns tables into settings; `compose` knows
which tables there are, and turns class paths into classes. Every problem of a file is found before anything starts.
"""
