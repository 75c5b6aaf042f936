"""Reading declarations: what a function's parameters and a union's members are."""

from __future__ import annotations

import types
import typing
from collections.abc import Callable
from typing import Any, get_args, get_origin


def members(union: Any) -> tuple[type[Any], ...]:
    """The classes of a `type X = A | B` alias, of a union, or of one class."""
    if isinstance(union, typing.TypeAliasType):
        union = union.__value__
    if isinstance(union, types.UnionType) or get_origin(union) is typing.Union:
        return tuple(get_args(union))
    return (union,)


def hints_of(function: Callable[..., Any]) -> dict[str, Any]:
    """Parameter and return types of a function, resolved where it was written."""
    return typing.get_type_hints(function, include_extras=True)


def without_none(hint: Any) -> Any:
    """`X` of `X | None`."""
    kept = [member for member in members(hint) if member is not type(None)]
    return kept[0] if len(kept) == 1 else hint
