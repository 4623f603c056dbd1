"""The scheduler side of a framework, as actors: one module per actor, plus their shared vocabulary.

Actors are in `*_actor.py`, what they say to each other in `messages.py`, what is stored in `records.py`, how they are put together
in `composition.py` and `framework_settings.py`. Parts of one actor are in the folder of its name: state machines as tables
(`states.py`), pure decisions (`matching`, `launching`, …). The machinery of actors is in `actors.runtime`, which knows nothing of
Mesos; the executor side is a room of its own, and neither imports the other.
"""
