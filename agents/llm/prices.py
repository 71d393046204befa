"""What models cost by their makers' lists, which come with the extra ``llm``.

A price in the settings goes before it. The list is data of an installed package: it is as new as
the package, and nothing is fetched.
"""

import functools
import importlib
import importlib.util
from typing import Any

LIST = "genai_prices"
SAMPLE_TOKENS = 1_000
"""Small enough for the first of the steps that some prices have."""


@functools.lru_cache(maxsize=256)
def per_million(provider: str | None, model: str) -> tuple[float, float] | None:
    """Return the price of a million input and output tokens in USD; None if it is not listed.

    Without a provider, the model is looked for at all of them.
    """
    if importlib.util.find_spec(LIST) is None:
        return None
    prices = importlib.import_module(LIST)
    read = _price(prices, prices.Usage(input_tokens=SAMPLE_TOKENS), provider, model)
    wrote = _price(prices, prices.Usage(output_tokens=SAMPLE_TOKENS), provider, model)
    if read is None or wrote is None:
        return None
    million = 1_000_000 / SAMPLE_TOKENS
    return read * million, wrote * million


def of_turn(provider: str, model: str, usage: Any) -> float | None:
    """Return what a turn cost in USD, cached tokens and steps counted; None if not listed."""
    if importlib.util.find_spec(LIST) is None:
        return None
    return _price(importlib.import_module(LIST), usage, provider, model)


def _price(prices: Any, usage: Any, provider: str | None, model: str) -> float | None:
    try:
        return float(prices.calc_price(usage, model, provider_id=provider).total_price)
    except (LookupError, ValueError):
        return None
