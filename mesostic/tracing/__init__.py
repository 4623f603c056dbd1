"""Reading trace logs: merging those of a scheduler and its executors, filtering, telling one thing's story, printing.

Everything here works on records that were read, no matter which process wrote them, and needs none of the classes whose messages
they hold. Writing traces is `actors.runtime`'s business.
"""
