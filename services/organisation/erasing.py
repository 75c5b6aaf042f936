"""What was agreed to be erased is erased: its key destroyed, then the certificate recorded.

Whoever dies between the two does both again: destroying twice destroys once, and a certificate is
given once. A key that a restored back-up of the key database brings back is destroyed anew.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from dataclasses import asdict
from typing import Any
from uuid import UUID

import msgspec

from sealing.record import key_ids
from sealing.vault import Vault
from services.organisation.erasure import (
    CertifyErasure,
    DestroyedKey,
    ErasureStatus,
    SubjectErased,
    erasures,
)
from shared.decide import SYSTEM, Request, Step
from shared.observe import log
from shared.runtime import Runtime

AGAIN_S = 600.0
"""How often it is looked whether a destroyed key has come back."""


def erasing(rt: Runtime) -> Callable[[], Awaitable[None]]:
    """The chore of one process; any number of them may do it at once."""
    assert rt.vault is not None, "a service with personal events has one"
    vault, looked_at = rt.vault, float("-inf")

    async def erase() -> None:
        nonlocal looked_at
        if time.monotonic() - looked_at > AGAIN_S:
            await destroy_revived(rt.pool, vault)
            looked_at = time.monotonic()
        agreed = "select stream from view_erasure_list where status = $1"
        for row in await rt.pool.fetch(agreed, ErasureStatus.APPROVED):
            await destroy(rt, vault, row["stream"])

    return erase


async def destroy(rt: Runtime, vault: Vault, stream: UUID) -> None:
    """Destroys the key that an erasure's own subject is sealed under, and certifies it."""
    data = await rt.pool.fetchval(
        "select data from event where stream = $1 order by version limit 1", stream
    )
    [key] = key_ids(data)
    keys = tuple(DestroyedKey(**asdict(one)) for one in await vault.destroy(key))
    step = Step(erasures.decisions[CertifyErasure], stream, CertifyErasure(keys=keys))
    await rt.writer.ask(Request([step], SYSTEM))


async def destroy_revived(pool: Any, vault: Vault) -> None:
    """Destroys again what certificates say is destroyed."""
    rows = await pool.fetch("select data from event where type = $1", SubjectErased.__name__)
    certified = [msgspec.json.decode(row["data"], type=SubjectErased) for row in rows]
    ids = [key.id for one in certified for key in one.keys]
    if ids and (count := await vault.destroy_again(ids)):
        log.warning("destroyed_keys_had_come_back", count=count)
