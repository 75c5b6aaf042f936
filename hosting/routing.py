"""Routes that are declared one by one, where commands and views do not suffice."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

from fastapi import Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute

from shared.problems import Problem, answering
from shared.runtime import Runtime


def routing(rt: Runtime) -> type[APIRoute]:
    """Routes whose refusals are problem answers, measured and traced like all others."""

    class Answering(APIRoute):
        def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
            original = super().get_route_handler()

            async def handle(request: Request) -> Response:
                try:
                    return await original(request)
                except RequestValidationError as error:
                    field = str(error.errors()[0]["loc"][-1])
                    raise Problem("filter_malformed", field=field) from error

            return answering(rt.service.name, rt.words, handle, self.name)  # type: ignore[return-value]

    return Answering


def refusing(*slugs: str) -> dict[int | str, dict[str, Any]]:
    """What routes say that they refuse with; the contract has the status and words of each slug."""
    return {"default": {"x-refusals": slugs}}
