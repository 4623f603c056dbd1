"""An executor as a process: its environment, the author's class loaded, its life as a table, its end."""
