"""Hypothesis strategies for messages, built from the same shapes as the codec: one for each class, without writing any."""

from __future__ import annotations

import dataclasses
import enum
from pathlib import Path
from typing import Any

from hypothesis import strategies as st

from actors.framework_settings import RetryPolicy
from actors.runtime import FrozenDict, NamedRef, Secret
from actors.runtime.codec.shapes import (
    AnyShape,
    DataShape,
    EnumShape,
    LiteralShape,
    MapShape,
    OptionalShape,
    PathShape,
    PlainShape,
    RefShape,
    SecretShape,
    SetShape,
    Shape,
    TupleShape,
    UnionShape,
    field_shapes,
)
from mesos_v1.resources import Resources

PLAIN: dict[type, st.SearchStrategy[Any]] = {
    type(None): st.none(),
    bool: st.booleans(),
    int: st.integers(),
    float: st.floats(allow_nan=False),
    str: st.text(),
    bytes: st.binary(),
}
SPECIAL: dict[type, st.SearchStrategy[Any]] = {
    Resources: st.sampled_from(
        [
            Resources(),
            Resources.of(cpus=0.001, mem=1),
            Resources.parse("cpus:4;mem:1024;disk:2000;ports:[31000-32000]"),
            Resources.parse("cpus(web):2.5;gpus:1"),
        ]
    ),
    RetryPolicy: st.sampled_from([RetryPolicy(), RetryPolicy(attempts=1)]),
}
"""For classes whose instances obey rules that their fields' types do not tell."""
MAX_ITEMS = 3


def anything() -> st.SearchStrategy[Any]:
    """Any immutable value that is no message."""
    return st.recursive(
        st.one_of(*PLAIN.values()),
        lambda inner: st.one_of(
            st.lists(inner, max_size=MAX_ITEMS).map(tuple),
            st.frozensets(st.one_of(st.integers(), st.text()), max_size=MAX_ITEMS),
            st.dictionaries(st.text(), inner, max_size=MAX_ITEMS).map(FrozenDict),
        ),
        max_leaves=5,
    )


def values(shape: Shape) -> st.SearchStrategy[Any]:
    """Values of a shape."""
    match shape:
        case PlainShape(cls):
            return PLAIN[cls]
        case LiteralShape(options):
            return st.sampled_from(options)
        case EnumShape(enumeration):
            return members(enumeration)
        case TupleShape(items, None):
            return st.tuples(*(values(item) for item in items))
        case TupleShape(_, rest) if rest is not None:
            return st.lists(values(rest), max_size=MAX_ITEMS).map(tuple)
        case SetShape(item):
            return st.frozensets(values(item), max_size=MAX_ITEMS)
        case MapShape(item):
            return st.dictionaries(st.text(), values(item), max_size=MAX_ITEMS).map(FrozenDict)
        case OptionalShape(item):
            return st.one_of(st.none(), values(item))
        case UnionShape(options, with_none):
            return st.one_of(*([st.none()] if with_none else []), *(values(option) for _, option in options))
        case DataShape(cls):
            return st.deferred(lambda: instances(cls))
        case PathShape():
            return st.text("abc/.", min_size=1).map(Path)
        case RefShape():
            return st.builds(lambda name: NamedRef(name, "elsewhere", lambda _: None), st.text(min_size=1))
        case SecretShape():
            return st.text().map(Secret)
        case AnyShape():
            return anything()
        case _:
            raise AssertionError(shape)


def members(enumeration: type[enum.Enum]) -> st.SearchStrategy[Any]:
    """Members of an enum."""
    return st.sampled_from(list(enumeration))


def instances(cls: type) -> st.SearchStrategy[Any]:
    """Instances of a message or frozen dataclass; those that its own `__post_init__` refuses are left out."""
    if cls in SPECIAL:
        return SPECIAL[cls]
    shapes = field_shapes(cls)
    fields = {f.name: values(shapes[f.name]) for f in dataclasses.fields(cls) if f.init}
    made = st.fixed_dictionaries(fields).map(lambda kwargs: _made(cls, kwargs))
    return made.filter(lambda instance: instance is not None)


def _made(cls: type, kwargs: dict[str, Any]) -> Any:
    """An instance of `kwargs`; where the class refuses them, with defaults; where it refuses that too, None."""
    missing = dataclasses.MISSING
    required = {
        f.name for f in dataclasses.fields(cls) if f.default is missing and f.default_factory is missing
    }
    for names in (set(kwargs), required):
        try:
            return cls(**{name: value for name, value in kwargs.items() if name in names})
        except (ValueError, TypeError, ArithmeticError):
            continue
    return None
