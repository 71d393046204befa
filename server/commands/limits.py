"""A quota's limits, as people type them."""


def limit_of(resource: str) -> str:
    """Return a limit's name in a quota: ``max_llm_calls`` for ``llm_calls``, and for itself."""
    whole = resource.startswith("max_") or resource == "timeout_seconds"
    return resource if whole else f"max_{resource}"


def amount_of(text: str) -> float | None:
    """Return an amount to add, whole ones as integers; None if it is none."""
    try:
        number = float(text)
    except ValueError:
        return None
    if not 0 < number < float("inf"):
        return None
    return int(number) if number.is_integer() else number
