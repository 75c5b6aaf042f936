"""Which refusals a decision can answer with, read from its source: nothing to keep in step.

A slug counts if `Refused("slug")` stands in the decision, in a function of ours that it names, or
in the decision of a command that it sends.
"""

from __future__ import annotations

import ast
import inspect
import textwrap
from collections.abc import Callable, Iterator
from functools import cache
from types import FunctionType
from typing import Any

from shared.kernel import Command, Decision, Service


@cache
def _tree(function: Callable[..., Any]) -> ast.AST:
    return ast.parse(textwrap.dedent(inspect.getsource(function)))


def refusals(decision: Decision, service: Service) -> tuple[str, ...]:
    """The slugs of a decision, in order of their names."""
    found: set[str] = set()
    seen: set[Callable[..., Any]] = set()
    waiting: list[Callable[..., Any]] = [decision.function]
    sent = service.decisions()
    while waiting:
        function = waiting.pop()
        if function in seen:
            continue
        seen.add(function)
        found.update(_slugs(_tree(function)))
        for named in _named(function):
            if isinstance(named, FunctionType) and named.__module__.startswith("services."):
                waiting.append(named)
            elif isinstance(named, type) and issubclass(named, Command) and named in sent:
                waiting.append(sent[named].function)
    return tuple(sorted(found))


def _slugs(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            named = node.func.id == "Refused" and node.args
            if named and isinstance(node.args[0], ast.Constant):
                yield str(node.args[0].value)


def _named(function: Callable[..., Any]) -> Iterator[Any]:
    """What the body names in its module: functions called and commands sent."""
    scope = getattr(function, "__globals__", {})
    for node in ast.walk(_tree(function)):
        if isinstance(node, ast.Name) and node.id in scope:
            yield scope[node.id]
