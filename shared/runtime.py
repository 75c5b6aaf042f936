"""What one process of a service holds: settings, pool, local copy, writer, words."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Any, Protocol

import asyncpg

from sealing.vault import Vault
from shared.config import Settings
from shared.directory import Directory
from shared.kernel import Service
from shared.words import Words
from shared.writer import Writer


class Verifier(Protocol):
    """Says who is asking."""

    async def person(self, authorization: str | None) -> str:
        """The subject of an Authorization header; raises the problem `unauthenticated`."""


@dataclass(slots=True)
class Runtime:
    """Made once by `hosting.compose`, for production and tests alike."""

    service: Service
    settings: Settings
    pool: asyncpg.Pool[asyncpg.Record]
    directory: Directory
    writer: Writer
    tokens: Verifier
    words: Words
    vault: Vault | None = None
    consumers: list[Any] = field(default_factory=list)
    background: list[Any] = field(default_factory=list)
    stopping: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when the server begins to stop: an answer without end must end now."""
