"""The commands of `mesostic`, one module each, with a click command named `command`.

Importing one costs nothing but click: what it works with is imported when it runs. How output looks belongs here; what is
computed does not.
"""
