"""A table of a life: its steps, what raises, and how it is drawn."""

from enum import Enum

import pytest

from actors.runtime.errors import RuntimeStateError
from actors.runtime.state_machine import Machine, Table
from tools.generate_reference import diagram


class Light(Enum):
    RED = "red"
    GREEN = "green"
    BROKEN = "broken"


class Happens(Enum):
    PRESS = "a press: once"
    PAUSE = "a pause"
    KICK = "a kick"


class Do(Enum):
    RING = "ring"


LIGHTS: Table[Light, Happens, Do] = Table(
    "a light",
    Light.RED,
    Happens,
    (
        (Light.RED, Happens.PRESS, Light.GREEN, Do.RING),
        (Light.GREEN, (Happens.PRESS, Happens.PAUSE), Light.RED),
        (Light.RED, Happens.PAUSE, None, Do.RING),
        ((Light.RED, Light.GREEN), Happens.KICK, Light.BROKEN),
    ),
    ignored=((Light.BROKEN, Happens.PAUSE, "nothing moves"),),
    impossible=((Light.BROKEN, (Happens.PRESS, Happens.KICK), "nobody goes near it"),),
    ends=(Light.BROKEN,),
)


def test_a_diagram_shows_the_start_what_changes_or_does_something_and_the_ends_only():
    assert diagram(LIGHTS).split("\n    ") == [
        "stateDiagram-v2",
        'state "red" as RED',
        'state "green" as GREEN',
        'state "broken" as BROKEN',
        "[*] --> RED",
        "RED --> GREEN: a press - once",
        "RED --> RED: a pause",
        "RED --> BROKEN: a kick",
        "GREEN --> RED: a press - once / a pause",
        "GREEN --> BROKEN: a kick",
        "BROKEN --> [*]",
    ]


def test_a_machine_takes_the_steps_of_its_table_and_raises_what_cannot_be():
    light = Machine(LIGHTS)
    assert light.state is Light.RED
    assert (light.on(Happens.PRESS).actions, light.state) == ((Do.RING,), Light.GREEN)
    assert (light.on(Happens.KICK).actions, light.state) == ((), Light.BROKEN)
    assert (light.on(Happens.PAUSE).ignored, light.state) == ("nothing moves", Light.BROKEN)
    with pytest.raises(
        RuntimeStateError, match=r"a light that is broken cannot be: a kick \(nobody goes near"
    ):
        light.on(Happens.KICK)
    assert Machine(LIGHTS, Light.GREEN).state is Light.GREEN
