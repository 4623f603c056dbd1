"""The scheduler side of a framework, as actors: one module per actor, plus their shared vocabulary.

| what | where |
|---|---|
| actors | `*_actor.py`: scheduler, connection, offer (the broker), task, operation, reconciler, failures, store, server |
| parts of one actor | the folder of its name: state machines as tables (`states.py`), pure decisions (`matching`, `launching`, …) |
| what they say to each other | `messages.py` |
| what is stored | `records.py` |
| how they are put together | `composition.py`, `settings.py` |

Here belongs what a scheduler needs of Mesos. The machinery of actors is in `actors.runtime`, which knows nothing of Mesos; the executor
side is a room of its own, and neither imports the other.
"""
