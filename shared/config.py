"""Settings of one process, from the environment (`HOUQIN_...`)."""

from __future__ import annotations

from functools import cache
from typing import Literal

from pydantic_settings import BaseSettings, SettingsConfigDict


class Settings(BaseSettings):
    """Where things are and how long to wait. Limits of the law are rules, not settings."""

    model_config = SettingsConfigDict(env_prefix="HOUQIN_")

    database: str = "postgresql://houqin@127.0.0.1:5432/houqin"
    kafka: str = "127.0.0.1:9092"
    topic_prefix: str = "houqin"
    partitions: int = 12
    replication: int = 1
    host: str = "127.0.0.1"
    port: int = 8000
    issuer: str = "http://127.0.0.1:8080"
    audience: str = "houqin"
    jwks_url: str = ""
    portal_issuer: str = "urn:houqin:portal"
    portal_jwks_url: str = ""
    """Where the portal shows the keys of its short tokens for people who are signed in there;
    empty: only the provider's own tokens are taken."""
    administrators: str = ""
    """Subjects that hold the administrator's role everywhere, comma separated."""
    pool_size: int = 12
    group_size: int = 256
    """Commands appended in one transaction, at most."""
    cache_streams: int = 20_000
    """Folded streams kept in memory."""
    late_entry_grace_s: float = 60.0
    """A deadline already past when its fact is recorded is judged this much later, since the
    record that fulfils it may be in the same late batch."""
    posts_age_s_max: float = 120.0
    """Beyond this age of the local copy of posts, weighty commands are refused."""
    services: str = ""
    """Where the services answer: `name=url`, separated by spaces."""
    feed_key: str = ""
    """What services show each other to read a whole feed; empty: nobody reads one so."""
    public_reads_per_s: float = 50.0
    """What a process answers people without an account, on average; more are told to wait."""
    complaints_per_school_h: float = 60.0
    """How many complaints of people without an account a process takes for one school."""
    clock_skew_s: float = 60.0
    signing_key_file: str = ""
    """Where the key is that signs checkpoints of the log; without one nothing is signed."""
    log_check_s: float = 2.0
    """So often 512 old events are held against the tree."""
    trace_share: float = 0.05
    log_level: str = "INFO"
    keys: str = ""
    """DSN of the database of data keys, one for all services; never backed up with theirs."""
    secrets: str = ""
    """The file that holds what wraps those keys; nobody but its owner may read it."""
    sealing: Literal["aes-256-gcm", "sm4-gcm"] = "aes-256-gcm"
    """How what is personal is sealed from now on; what was sealed otherwise still opens."""
    key_life_s: float = 10.0
    """How long a key is used from memory: within it every process knows of an erasure."""

    def topic(self, service: str) -> str:
        """The Kafka topic of a service."""
        return f"{self.topic_prefix}.{service}"

    def administrator_subjects(self) -> frozenset[str]:
        """The subjects named in `administrators`."""
        return frozenset(filter(None, map(str.strip, self.administrators.split(","))))


@cache
def settings() -> Settings:
    """The settings of this process."""
    return Settings()
