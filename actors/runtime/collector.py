"""Less work for Python's garbage collector, in processes that hold many long-lived objects.

What was imported lives as long as the process, so it is never looked at again; and messages, which come and go by the
thousand, are freed by their reference counts, so collections can be rarer than Python's default of every 700 objects.
"""

import gc

_THRESHOLDS = (50_000, 25, 25)


def spare_the_collector() -> None:
    """Call it once, when everything is loaded."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(*_THRESHOLDS)
