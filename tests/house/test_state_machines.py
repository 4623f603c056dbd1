"""Every state machine of the product: tables that are total, reachable and carried out, and nobody who sets a state past them."""

import ast
import importlib
import itertools
from collections.abc import Iterator
from enum import Enum
from pathlib import Path
from typing import Any

import pytest

from actors.runtime.errors import RuntimeStateError
from actors.runtime.state_machine import Machine, Table

ROOT = Path(__file__).resolve().parents[2]
SOURCES = {
    path: ast.parse(path.read_text(encoding="utf-8"))
    for package in ("actors", "executor", "playa", "mesostic", "wire")
    for path in sorted((ROOT / package).rglob("*.py"))
}
PROTOBUF = {"event.task_updated", "info", "proto", "proto.latest_status", "status"}
"""Receivers of `.state` that are messages of Mesos, not state machines."""


def module_of(path):
    return ".".join(path.relative_to(ROOT).with_suffix("").parts)


TABLES = {
    f"{module_of(path)}: {table.what}": (path, table)
    for path, tree in SOURCES.items()
    if path.name == "states.py"
    for table in vars(importlib.import_module(module_of(path))).values()
    if isinstance(table, Table)
}
each_table = pytest.mark.parametrize(("path", "table"), TABLES.values(), ids=TABLES)


def test_all_tables_are_found():
    users = {path for path in SOURCES if "= Table[" in path.read_text(encoding="utf-8")}
    assert users | {ROOT / "executor/states.py"} == {path for path, _ in TABLES.values()}
    assert len(TABLES) == 12


@each_table
def test_a_table_decides_every_pair_once_and_says_why_it_does_nothing(path, table):
    for pair in itertools.product(table.states, table.events):
        assert (pair in table) != (pair in table.impossible)
        if pair in table.impossible:
            assert table.impossible[pair]
            with pytest.raises(RuntimeStateError, match=pair[0].value):
                Machine(table, pair[0]).on(pair[1])
            continue
        machine = Machine(table, pair[0])
        step = machine.on(pair[1])
        assert step is table[pair]
        assert machine.state is step.state
        if step.ignored is not None:
            assert step.ignored
            assert (step.state, step.actions) == (pair[0], ())


@each_table
def test_every_state_can_be_reached_and_every_end_is_the_end(path, table):
    reached, todo = {table.start}, [table.start]
    while todo:
        state = todo.pop()
        following = {step.state for (before, _), step in table.items() if before is state}
        assert following <= table.ends or state not in table.ends
        todo += following - reached
        reached |= following
    assert reached == set(table.states)


@each_table
def test_every_state_leads_to_an_end_or_at_least_on(path, table):
    leads = set(table.ends) or {state for (state, _), step in table.items() if step.state is not state}
    for _ in table.states:
        leads |= {before for (before, _), step in table.items() if step.state in leads}
    assert leads == set(table.states)


@each_table
def test_every_event_matters_somewhere_and_every_action_is_asked_for_and_carried_out(path, table):
    assert {event for (_, event), step in table.items() if step.ignored is None} == set(table.events)
    kinds: set[Any] = {type(action) for step in table.values() for action in step.actions}
    if not kinds:
        return
    (kind,) = kinds
    room = [other for where, other in TABLES.values() if where == path]
    actions: set[Any] = {action for other in room for step in other.values() for action in step.actions}
    actions = {action for action in actions if type(action) is kind}
    assert actions == set(kind)
    users = [
        tree
        for user, tree in SOURCES.items()
        if user != path
        and any(isinstance(n, ast.ImportFrom) and n.module == module_of(path) for n in ast.walk(tree))
    ]
    named = {
        node.attr
        for tree in users
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and ast.unparse(node.value) == kind.__name__
    } | {  # where a table of all actions is made by their names
        node.name.removeprefix("_").upper()
        for tree in users
        if f"for action in {kind.__name__}" in ast.unparse(tree)
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef)
    }
    assert {action.name for action in actions} <= named


def states_set(tree: ast.Module) -> Iterator[ast.Attribute]:
    """The attributes called state or phase that are assigned to."""
    for node in ast.walk(tree):
        match node:
            case ast.Attribute(value, ("state" | "phase" | "_state" | "_phase"), ast.Store()):
                if ast.unparse(value) not in PROTOBUF:
                    yield node


def test_states_are_set_by_the_state_machine_alone():
    set_in = {path.relative_to(ROOT).as_posix() for path, tree in SOURCES.items() if any(states_set(tree))}
    assert set_in == {
        "actors/runtime/state_machine.py",
        "playa/master/master_actor.py",
    }  # the latter: its `MasterState`


class Light(Enum):
    RED = "red"
    GREEN = "green"


class Press(Enum):
    GO = "go"
    HALT = "halt"


@pytest.mark.parametrize(
    ("ignored", "impossible", "ends", "why"),
    [
        ([], [], (), "what <Press.HALT: 'halt'> means in <Light.GREEN: 'green'>, and says it 0 times"),
        (
            [(Light.GREEN, Press.HALT, "")],
            [(Light, Press.HALT, "")],
            (),
            "GREEN: 'green'>, and says it 2 times",
        ),
        (
            [(Light.GREEN, Press.HALT, "")],
            [],
            {Light.RED},
            "leaves its end <Light.RED: 'red'> on <Press.GO: 'go'>",
        ),
    ],
)
def test_a_table_with_a_hole_two_answers_or_a_way_out_of_its_end_is_refused(ignored, impossible, ends, why):
    rows: list[Any] = [(Light, Press.GO, Light.GREEN)]
    if not impossible:
        rows.append((Light.RED, Press.HALT, None))
    with pytest.raises(RuntimeStateError, match=why.replace("?", r"\?")):
        Table("a light", Light.RED, Press, rows, ignored=ignored, impossible=impossible, ends=ends)
