"""A module that cannot be imported, for another reason."""

raise RuntimeError("no licence")
