"""A look at the Redis that the settings name."""

from server.commands.diagnosis import Diagnosis

WHAT = "Redis"
PATIENCE_S = 3.0


def examine_bus(redis_url: str) -> Diagnosis:
    """Say whether it answers. Without it nodes do their work all the same, if less live."""
    # Late, as a server that is alone does: it takes a while, and few need it.
    from redis import Redis, RedisError  # noqa: PLC0415

    try:
        with Redis.from_url(
            redis_url,
            socket_timeout=PATIENCE_S,
            socket_connect_timeout=PATIENCE_S,
        ) as client:
            found = client.info("server")
    except (RedisError, OSError, ValueError) as error:
        advice = "Meanwhile nodes read each other's events from the log, up to a second late."
        return Diagnosis(WHAT, "note", f"does not answer: {error}", advice)
    version = found.get("valkey_version") or found.get("redis_version")
    return Diagnosis(WHAT, "ok", f"{version} answers")
