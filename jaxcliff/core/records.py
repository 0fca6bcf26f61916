"""Records: frozen dataclasses that travel through jax.jit, vmap and shard_map.

A record checks what a user types in its `__post_init__`; JAX takes records apart and puts them together
again without calling it, so that a check runs once, when a record is built, and never inside a transformation.
"""

import dataclasses
from typing import Any, TypeVar, dataclass_transform

import jax

T = TypeVar("T")


def static(*, traced: Any = dataclasses.MISSING, **options: Any) -> Any:
    """A field that is part of a record's structure (compared at trace time), not one of its arrays.

    What is no matter of structure, such as names, would come out of a jitted function as it was when that was traced,
    for another record. So inside a transformation it is `traced`, and who knows the real one puts it back outside.
    """
    return dataclasses.field(metadata={"static": True, "traced": traced}, **options)


def by_hand(**options: Any) -> Any:
    """A field that stays with a record as long as no JAX transformation takes it apart; then it is its default."""
    return dataclasses.field(metadata={"by_hand": True}, repr=False, **options)


@dataclass_transform(frozen_default=True, eq_default=False, field_specifiers=(static, by_hand, dataclasses.field))
def record(cls: type[T]) -> type[T]:
    """Turns an annotated class into a frozen dataclass and a pytree with named leaves."""
    cls = dataclasses.dataclass(frozen=True, eq=False, repr=False)(cls)
    fields, missing = dataclasses.fields(cls), dataclasses.MISSING  # type: ignore[arg-type]
    left_behind = {f.name: f.default for f in fields if f.metadata.get("by_hand")}
    leaves = tuple(f.name for f in fields if not (f.metadata.get("static") or f.name in left_behind))
    aux = tuple(f.name for f in fields if f.metadata.get("static"))
    keys = tuple(jax.tree_util.GetAttrKey(name) for name in leaves)
    outside = {f.name: traced for f in fields if (traced := f.metadata.get("traced", missing)) is not missing}

    def flatten(self: T) -> tuple[tuple[Any, ...], tuple[Any, ...]]:
        return tuple(getattr(self, n) for n in leaves), tuple(getattr(self, n) for n in aux)

    def flatten_with_keys(self: T) -> tuple[tuple[tuple[Any, Any], ...], tuple[Any, ...]]:
        children, structure = flatten(self)
        return tuple(zip(keys, children, strict=True)), structure

    def unflatten(structure: tuple[Any, ...], children: Any) -> T:
        self = object.__new__(cls)
        assign(self, **dict(zip(leaves, children, strict=True)), **dict(zip(aux, structure, strict=True)))
        assign(self, **left_behind)
        if outside and any(isinstance(child, jax.core.Tracer) for child in children):
            assign(self, **outside)
        return self

    def show(self: T) -> str:
        parts = (f"{f.name}={_brief(getattr(self, f.name))}" for f in fields if f.repr)
        return f"{cls.__name__}({', '.join(parts)})"

    if "__repr__" not in cls.__dict__:
        cls.__repr__ = show  # type: ignore[method-assign, assignment]
    if "replace" not in cls.__dict__:
        cls.replace = dataclasses.replace  # type: ignore[attr-defined]
    jax.tree_util.register_pytree_with_keys(cls, flatten_with_keys, unflatten, flatten)
    return cls


def is_record(kind: Any) -> bool:
    """Whether this is one of the classes above."""
    return isinstance(kind, type) and dataclasses.is_dataclass(kind)


def assign(self: Any, **values: Any) -> None:
    """Sets fields of a frozen record while it is being built."""
    for name, value in values.items():
        object.__setattr__(self, name, value)


def is_concrete(*trees: Any) -> bool:
    """Whether every leaf holds numbers, so that a check can read them (False inside a transformation)."""
    return not any(isinstance(leaf, jax.core.Tracer) for leaf in jax.tree.leaves(trees))


def in_hand(*trees: Any) -> bool:
    """Whether there are numbers to compute with here and now: nothing is traced, here or around."""
    return is_concrete(*trees, jax.device_put(0.0))


def _brief(value: Any) -> str:
    if hasattr(value, "shape") and hasattr(value, "dtype"):
        if value.shape == () and is_concrete(value):
            return str(value)
        return f"{value.dtype}[{','.join(map(str, value.shape))}]"
    return repr(value)
