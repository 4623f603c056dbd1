"""The master: pure logic in modules of functions over one `MasterState`, and a thin actor around it.

Rules of this package. Logic never reads a clock, draws an id, or does I/O: it asks `Ports`. Each module owns one concern
and changes the state only through the functions of the module that owns that part of it. The actor (`master_actor`)
turns messages and HTTP requests into calls of this logic.
"""
