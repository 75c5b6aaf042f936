"""`python -m bench.empty PORT`: a FastAPI route that validates the body of a command, and no more;
served just as a service is.
"""

from __future__ import annotations

import asyncio
import sys
from uuid import UUID

import uvicorn
import uvloop
from fastapi import FastAPI
from pydantic import BaseModel

from services.procurement.budget import AmendBudget

app = FastAPI()


class Done(BaseModel):
    id: UUID
    amount_cny: str


@app.get("/ready")
async def ready() -> dict[str, str]:
    return {"status": "ready"}


@app.post("/procurement/budgets/{id}/amend")
async def amend(id: UUID, command: AmendBudget) -> Done:  # noqa: A002 - the product's own path
    return Done(id=id, amount_cny=str(command.amount_cny))


async def serve(port: int) -> None:
    server = uvicorn.Server(
        uvicorn.Config(
            app, "127.0.0.1", port, log_level="warning", access_log=False, lifespan="off"
        )
    )
    await server.serve()


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(serve(int(sys.argv[1])))
