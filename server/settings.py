"""Settings: where the server listens, what it keeps, what it allows.

A value comes from the command line, else the environment (``TOWER_`` names), else the file
(``TOWER_CONFIG``, or ``./tower.toml`` if it is there), else its default. The table of names and
defaults is the project's contract; ``tower doctor`` shows each value with where it came from.

The file also has tables that no environment variable can say: ``[profiles.NAME]``,
``[mcp.NAME]``, ``[prices."provider:model"]`` and ``[limits]``.
"""

import difflib
import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
)
from pydantic_settings import (
    BaseSettings,
    InitSettingsSource,
    NoDecode,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)

from server.access.hosts import is_loopback, without_password

PREFIX = "TOWER_"

NOT_SETTINGS = frozenset(
    {
        "TOWER_LLAMACPP_URL",
        "TOWER_REQUIRE_ALL",
        "TOWER_TEST_CONTRACT",
        "TOWER_TEST_POSTGRES_URL",
        "TOWER_TEST_REDIS_URL",
        "TOWER_TOKEN",
        "TOWER_URL",
    }
)
"""Names with the prefix that others read: a provider's address, where the commands find a server
that runs elsewhere, and the test suite's switches."""


class SettingsError(Exception):
    """The settings can't be used; the message says which, why, and what to do."""


def _split(value: object) -> object:
    """Let an environment variable hold a list, with commas between its parts."""
    if isinstance(value, str):
        return tuple(part.strip() for part in value.split(",") if part.strip())
    return value


def _origin(value: str) -> str:
    scheme, separator, rest = value.partition("://")
    if value != "*" and (not separator or not scheme or not rest or "/" in rest):
        raise ValueError("an origin is scheme://host[:port], without a path")
    return value.lower()


Names = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_split)]
Origins = Annotated[
    tuple[Annotated[str, AfterValidator(_origin)], ...], NoDecode, BeforeValidator(_split)
]
Positive = Annotated[int, Field(ge=1, le=2**53)]
Bytes = Annotated[int, Field(ge=1024, le=2**31)]
Seconds = Annotated[float, Field(gt=0, le=31_536_000)]
Days = Annotated[float, Field(gt=0, le=36_500)]


class _Table(BaseModel):
    """A table of the settings file: a name that it does not know is a mistake."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class ProfileTable(_Table):
    """``[profiles.NAME]``: a named preset of a request."""

    agent: str | None = None
    model: str | None = None
    system_prompt: str | None = None
    tools: tuple[str, ...] | None = None
    quota: dict[str, Any] | None = None


class McpTable(_Table):
    """``[mcp.NAME]``: an MCP server whose tools join the catalog."""

    command: str | None = None
    args: tuple[str, ...] = ()
    env: dict[str, str] = {}
    url: str | None = None


class PriceTable(_Table):
    """``[prices."provider:model"]``: US dollars for a million tokens."""

    input_per_million_usd: Annotated[float, Field(ge=0)]
    output_per_million_usd: Annotated[float, Field(ge=0)]


class Settings(BaseSettings):
    """Every setting with its default. Use :func:`load` to make one."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, env_ignore_empty=True, extra="ignore", frozen=True
    )

    host: str = Field("127.0.0.1", description="address to listen on")
    port: int = Field(8000, ge=0, le=65_535, description="port to listen on; 0 takes a free one")
    data_dir: Path = Field(Path("./data"), description="the SQLite file, workspaces, lock")
    database_url: str | None = Field(
        None, description="postgresql://… to survive a machine (default: SQLite in the data folder)"
    )
    redis_url: str | None = Field(
        None, description="redis://… the bus between nodes; all over the database serve then"
    )
    apps: Names = Field((), description="modules or files that register agents and tools")
    config: Path | None = Field(None, description="settings file (default: ./tower.toml if there)")
    model: str | None = Field(
        None, description="openai:…, anthropic:…, azure:…, llamacpp:…, mock:… (none: demo agent)"
    )
    auth: Literal["off", "keys", "jwt"] = Field("off", description="who may connect")
    jwt_secret: SecretStr | None = Field(None, description="HS256 secret, for auth=jwt")
    jwt_jwks: Path | None = Field(None, description="file with RS256 public keys, for auth=jwt")
    allowed_hosts: Names = Field((), description="Host names served (default: loopback names)")
    allowed_origins: Origins = Field((), description="web origins allowed (default: its own)")
    cors_origins: Origins = Field((), description="origins that may read by CORS (default: none)")
    max_running: Positive = Field(256, description="slots of this process")
    max_running_per_user: Positive = Field(
        64, description="slots a user (not limited while auth is off, unless set)"
    )
    max_queued_per_user: Positive = Field(10_000, description="queued missions a user")
    missions_per_day: Positive | None = Field(None, description="a user's account")
    tokens_per_day: Positive | None = Field(None, description="a user's account")
    cost_per_day_usd: Annotated[float, Field(gt=0)] | None = Field(
        None, description="a user's account"
    )
    submits_per_min: Positive = Field(600, description="submits a user and minute")
    max_connections: Positive = Field(10_000, description="WebSockets of this process")
    max_connections_per_user: Positive = Field(
        50, description="WebSockets a user (not limited while auth is off, unless set)"
    )
    rate_limits: bool = Field(True, description="off for measuring")
    max_frame_bytes: Bytes = Field(65_536, description="a WebSocket message from a client")
    max_body_bytes: Bytes = Field(1_048_576, description="an HTTP request's body")
    send_buffer_bytes: Bytes = Field(1_048_576, description="unsent bytes a connection may have")
    park_after_s: Seconds = Field(60, description="a mission waiting this long leaves memory")
    drain_s: Annotated[float, Field(ge=0, le=3600)] = Field(
        15, description="time for running missions at shutdown"
    )
    confirmation_ttl_s: Seconds = Field(3600, description="time to answer a confirmation")
    clarification_ttl_s: Seconds = Field(86_400, description="time to answer a clarification")
    retain_events_days: Days = Field(30, description="events of ended missions")
    retain_keys_days: Days = Field(7, description="idempotency keys of ended missions")
    log_level: Literal["debug", "info", "warning", "error"] = Field("info", description="logs")
    log_format: Literal["auto", "console", "json"] = Field(
        "auto", description="auto: console on a terminal, else json"
    )

    profiles: dict[str, ProfileTable] = Field({}, exclude=True)
    mcp: dict[str, McpTable] = Field({}, exclude=True)
    prices: dict[str, PriceTable] = Field({}, exclude=True)
    limits: dict[str, float] = Field({}, exclude=True)
    secrets: dict[str, SecretStr] = Field({}, exclude=True)

    @classmethod
    def settings_customise_sources(  # the base calls it with all five, by keyword
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Command line over environment over file; no dotenv, no secret files."""
        path = _config_path(init_settings())
        file = InitSettingsSource(settings_cls, _read_file(path) if path else {})
        return (init_settings, env_settings, file)

    @property
    def running_per_user(self) -> int | None:
        """Slots a user may hold, or None for no limit."""
        return self._per_user("max_running_per_user")

    @property
    def connections_per_user(self) -> int | None:
        """WebSockets a user may hold, or None for no limit."""
        return self._per_user("max_connections_per_user")

    def _per_user(self, name: str) -> int | None:
        if self.auth == "off" and name not in self.model_fields_set:
            return None
        value: int = getattr(self, name)
        return value


TABLES = ("profiles", "mcp", "prices", "limits", "secrets")
"""Fields that only the file has."""

NAMES = tuple(name for name in Settings.model_fields if name not in TABLES)
"""Fields that the environment has too."""


@dataclass(frozen=True)
class Source:
    """One setting as it came out. ``value`` is fit to be shown: secrets are masked."""

    name: str
    value: str
    origin: str
    description: str


@dataclass(frozen=True)
class Loaded:
    """The settings, and what there is to say about them.

    Attributes:
        settings: checked and ready to use.
        warnings: sentences about names that nothing reads.
        file: the settings file that was read, if any.
        given: the names set on the command line.
    """

    settings: Settings
    warnings: tuple[str, ...]
    file: Path | None
    given: frozenset[str]

    def sources(self) -> list[Source]:
        """Return every setting with where its value came from, in the order of the table."""
        in_file = _read_file(self.file) if self.file else {}
        return [
            Source(
                PREFIX + name.upper(),
                shown(getattr(self.settings, name)),
                self._origin(name, in_file),
                Settings.model_fields[name].description or "",
            )
            for name in NAMES
        ]

    def _origin(self, name: str, in_file: Mapping[str, object]) -> str:
        if name in self.given:
            return "command line"
        if os.environ.get(PREFIX + name.upper()):
            return "environment"
        return str(self.file) if name in in_file else "default"


def load(overrides: Mapping[str, object] | None = None) -> Loaded:
    """Read and check the settings. ``overrides`` are the command line's; None values are ignored.

    Raises:
        SettingsError: a value is wrong, the file can't be read, or the combination is unsafe.
    """
    given = {name: value for name, value in (overrides or {}).items() if value is not None}
    path = _config_path(given)
    try:
        settings = Settings(**given)  # type: ignore[arg-type]
    except ValidationError as error:
        raise SettingsError(_explain(error)) from None
    _check_safety(settings)
    warnings = (*_strangers(path), *_without_effect(settings))
    return Loaded(settings, warnings, path, frozenset(given))


def shown(value: object) -> str:
    """Return a setting's value as people may see it."""
    match value:
        case None | ():
            return "none"
        case SecretStr():
            return "(set)"
        case bool():
            return "on" if value else "off"
        case tuple():
            return ",".join(str(part) for part in value)
        case str():
            return without_password(value)
        case _:
            return str(value)


def _config_path(given: Mapping[str, Any]) -> Path | None:
    named = given.get("config") or os.environ.get(PREFIX + "CONFIG")
    if named:
        path = Path(named)
        if not path.is_file():
            raise SettingsError(f"There is no settings file {path} (named by TOWER_CONFIG).")
        return path
    default = Path("tower.toml")
    return default if default.is_file() else None


def _read_file(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise SettingsError(f"{path} can't be read: {error}") from None


def _strangers(path: Path | None) -> list[str]:
    """Return a warning for each name that looks like a setting and is none."""
    known = [PREFIX + name.upper() for name in NAMES]
    said = [
        f"{name} is not a setting and has no effect.{_nearest(name, known)}"
        for name in sorted(os.environ)
        if name.startswith(PREFIX) and name not in known and name not in NOT_SETTINGS
    ]
    fields = [*NAMES, *TABLES]
    said += [
        f"{path}: {name} is not a setting and has no effect.{_nearest(name, fields)}"
        for name in (_read_file(path) if path else {})
        if name not in fields
    ]
    return said


def _without_effect(settings: Settings) -> list[str]:
    """Return a warning for what is understood but not yet used."""
    return ["[limits] in the settings file has no effect yet."] if settings.limits else []


def _nearest(name: str, known: list[str]) -> str:
    close = difflib.get_close_matches(name, known, n=1, cutoff=0.0)
    return f" Did you mean {close[0]}?" if close else ""


def _explain(error: ValidationError) -> str:
    lines = []
    for problem in error.errors(include_url=False, include_input=False):
        place = [str(part) for part in problem["loc"]]
        name = PREFIX + place[0].upper() if place and place[0] in NAMES else ".".join(place)
        lines.append(f"{name}: {problem['msg'].removeprefix('Value error, ')}")
    return "\n".join(lines)


def _check_bus(redis_url: str, database_url: str | None) -> None:
    if not redis_url.startswith(("redis://", "rediss://", "unix://")):
        raise SettingsError("TOWER_REDIS_URL is redis://…, rediss://… or unix://….")
    try:
        _ = urlsplit(redis_url).port
    except ValueError:  # what it says may be a part of the password
        raise SettingsError(
            "TOWER_REDIS_URL can't be read: in its password, write / as %2F, # as %23, ? as %3F."
        ) from None
    if database_url is None:
        raise SettingsError(
            "TOWER_REDIS_URL is for nodes that share a database: set TOWER_DATABASE_URL="
            "postgresql://… too. A server on SQLite is alone and needs no bus."
        )


def _check_safety(settings: Settings) -> None:
    if settings.auth == "off" and not is_loopback(settings.host):
        raise SettingsError(
            f"TOWER_HOST={settings.host} can be reached by others, and TOWER_AUTH is off: anybody "
            "who connects would be operator.\nSet TOWER_AUTH=jwt with TOWER_JWT_SECRET or "
            "TOWER_JWT_JWKS, or TOWER_AUTH=keys, or listen on 127.0.0.1."
        )
    url = settings.database_url
    if url is not None and not url.startswith(("postgresql://", "postgres://")):
        raise SettingsError(
            "TOWER_DATABASE_URL is postgresql://…; without it everything is kept in TOWER_DATA_DIR."
        )
    if settings.redis_url is not None:
        _check_bus(settings.redis_url, url)
    if settings.auth == "jwt" and not (settings.jwt_secret or settings.jwt_jwks):
        raise SettingsError("TOWER_AUTH=jwt needs TOWER_JWT_SECRET or TOWER_JWT_JWKS.")
    if "*" in settings.cors_origins or "*" in settings.allowed_origins:
        raise SettingsError(
            "TOWER_CORS_ORIGINS and TOWER_ALLOWED_ORIGINS name exact origins: with * any web page "
            "could act with its visitor's credentials."
        )
