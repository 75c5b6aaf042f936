"""A database with the reporting service's tables, per test."""

from __future__ import annotations

from pathlib import Path

import asyncpg
import pytest

from services.reporting.figures.keep import Keeper
from services.reporting.figures.roll import Roller
from services.reporting.measures import measures
from shared import store

ROOT = Path(__file__).parent.parent.parent

type Pool = asyncpg.Pool[asyncpg.Record]


@pytest.fixture
async def base(pool: Pool) -> Pool:
    await store.migrate(
        pool, [ROOT / "shared" / "migrations", ROOT / "services" / "reporting" / "migrations"]
    )
    return pool


@pytest.fixture
async def keeper(base: Pool) -> Keeper:
    return Keeper(base, measures)


@pytest.fixture
async def roller(base: Pool) -> Roller:
    return Roller(base)
