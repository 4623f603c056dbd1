"""The commands of `mesostic`, one module each, with a click command named `command`. How output looks belongs here."""
