"""The scheduler side of a framework, as actors: one module per actor, plus their shared vocabulary.

| what | where |
|---|---|
| actors | `*_actor.py`: scheduler, connection, offer (the broker), task, operation, reconciler, failures, store, server |
| what they say to each other | `messages.py`, declared by who speaks in `*_messages.py` |
| how they live | `*_states.py`: state machines as tables |
| what they decide | pure modules beside them: `matching`, `demand_queue`, `interest`, `call_table`, … |
| how they are put together | `composition.py`, `settings.py`, `built_in.py` |

Here belongs what a scheduler needs of Mesos. The machinery of actors is in `actors.runtime`, which knows nothing of Mesos; the executor
side is a room of its own, and neither imports the other.
"""
