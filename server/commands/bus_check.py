"""A look at the Redis that the settings name."""

from server.commands.diagnosis import Diagnosis
from server.parts import check_drivers
from server.settings import Settings, SettingsError

WHAT = "Redis"
PATIENCE_S = 3.0


def examine_bus(settings: Settings) -> Diagnosis:
    """Say whether it answers. Without it nodes do their work all the same, if less live."""
    try:
        check_drivers(settings)
    except SettingsError as error:
        return Diagnosis(WHAT, "bad", str(error))
    # An extra of the package, which a server that is alone does without.
    from redis import Redis, RedisError  # noqa: PLC0415

    try:
        with Redis.from_url(
            settings.redis_url or "",
            socket_timeout=PATIENCE_S,
            socket_connect_timeout=PATIENCE_S,
        ) as client:
            found = client.info("server")
    except (RedisError, OSError, ValueError) as error:
        advice = "Meanwhile nodes read each other's events from the log, up to a second late."
        return Diagnosis(WHAT, "note", f"does not answer: {error}", advice)
    version = found.get("valkey_version") or found.get("redis_version")
    return Diagnosis(WHAT, "ok", f"{version} answers")
