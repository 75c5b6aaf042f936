"""Settings of the portal's web process, from the environment (`HOUQIN_...`)."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import Field

from shared import config

ROOT = Path(__file__).parent.parent.parent
LOOPBACK = {"127.0.0.1", "::1", "localhost"}


class Settings(config.Settings):
    """As every process has them, and what signing in and being the one origin needs."""

    services: str = Field("", pattern=r"^\s*(\w+=https?://\S+\s*)*$")
    """Where the services are: `name=url` pairs with spaces."""
    origin: str = Field("", pattern=r"^(https?://[^/\s]+)?$")
    """What people's browsers call this place; empty: host and port. Beyond loopback only https."""
    web: Path = ROOT / "build" / "web"
    """The built web application."""
    state: Path = ROOT / ".run" / "portal"
    """Where the key is that signs the tokens for the services; every portal process shares it."""
    files: str = ""
    """Where photos, signatures and documents are kept, one place for all portal processes: a
    folder, or `s3://bucket/prefix` of any S3 (which the AWS_ variables name); empty: in `state`."""
    file_bytes_max: Annotated[int, Field(gt=0, le=20_000_000)] = 10_000_000
    """How large a file may be."""
    picture_bytes_max: Annotated[int, Field(gt=0)] = 2_000_000
    """How large a picture may be; the pages themselves send at most 300 kB."""
    file_piece_bytes: Annotated[int, Field(ge=1024, le=4_000_000)] = 131_072
    """A file comes in pieces of so much: what a bad line loses is one of them."""
    file_bytes_a_day: Annotated[int, Field(gt=0)] = 200_000_000
    """How much one person may send within 24 hours."""
    file_unfinished_hours: Annotated[float, Field(gt=0)] = 72
    """The pieces of a file that nobody goes on with are removed after so long."""
    file_unnamed_days: Annotated[float, Field(gt=0)] = 7
    """A stored file that no command names is removed after so long."""
    client_id: str = "houqin-portal"
    client_secret: str = ""
    """What the provider knows this client by; without a secret it is a public client (PKCE)."""
    scope: str = "openid profile"
    session_idle_minutes: Annotated[float, Field(gt=0)] = 60
    """Whoever does nothing for so long is signed out."""
    session_hours: Annotated[float, Field(gt=0)] = 12
    """Whoever signed in so long ago signs in again, however busy."""
    token_seconds: Annotated[int, Field(ge=60, le=900)] = 300
    """How long a token for the services is good for."""
    stream_seconds: Annotated[float, Field(gt=0)] = 300
    """A live stream ends after so long; browsers come back by themselves, if still signed in."""
    service_seconds: Annotated[float, Field(gt=0)] = 60
    """How long a service may take to answer."""

    complaints_per_address_h: Annotated[float, Field(gt=0)] = 10
    """How many complaints without an account are taken from one address within an hour; a whole
    village may share one.
    """
    forms_per_address_h: Annotated[float, Field(gt=0)] = 100
    """How often one address may try to file a complaint within an hour, wrong forms counted too;
    and as often, apart from that, it may ask for one by its receipt.
    """
    export_rows: Annotated[int, Field(gt=0, le=1_000_000)] = 100_000
    """How many rows of a list one file holds; it says so where there were more."""

    def addresses(self) -> dict[str, str]:
        """Where each service is, by its name."""
        pairs = (pair.partition("=") for pair in self.services.split())
        return {name: url.rstrip("/") for name, _, url in pairs}

    @property
    def file_place(self) -> str:
        """Where files are kept."""
        return self.files or str(self.state / "files")

    @property
    def own_origin(self) -> str:
        """Scheme, host and port as browsers see them."""
        return self.origin or f"http://{self.host}:{self.port}"

    @property
    def secure(self) -> bool:
        """Whether cookies may demand https: always, but on loopback, where there is none."""
        own = urlsplit(self.own_origin)
        if own.scheme == "https":
            return True
        if own.hostname in LOOPBACK:
            return False
        raise ValueError(f"{self.own_origin}: beyond this machine only https (HOUQIN_ORIGIN)")
