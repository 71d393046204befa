"""The calculator: right, bounded, and clear about what it cannot do."""

import math
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.errors import ToolDeclined
from agents.tools.calculator import MAX_BITS, calculate


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("6*7", "42"),
        ("(2 + 3) * 4 ** 2", "80"),
        ("2^10", "1024"),
        ("0.1 + 0.2", "0.3"),
        ("84 / 2", "42"),
        ("7 // 2 + 7 % 2", "4"),
        ("-3 + +5", "2"),
        ("2 ** -1", "0.5"),
        ("6 × 7 ÷ 2 − 1", "20"),
        ("007 * 2", "14"),
        ("1e3", "1000"),
        (".5 + 1.", "1.5"),
        ("sqrt(144)", "12"),
        ("sqrt(2)", "1.41421356237"),
        ("round(2.567, 1)", "2.6"),
        ("round(2.5)", "2"),
        ("max(1, 2, 3) - min(4, 5)", "-1"),
        ("factorial(20)", "2432902008176640000"),
        ("sin(pi / 2) + cos(0) + log(e)", "3"),
        ("floor(2.7) + ceil(2.1) + abs(-1)", "6"),
        ("10 ** 12 / 10", "100000000000"),
        ("1e300 * 1e3", "1e+303"),
    ],
)
def test_arithmetic_is_right(expression: str, value: str) -> None:
    """Integers exactly, fractions to twelve digits."""
    assert calculate(expression) == value


@pytest.mark.parametrize(
    ("expression", "said"),
    [
        ("1 / 0", "divides by zero"),
        ("0 ** -1", "divides by zero"),
        ("5 % 0", "divides by zero"),
        ("9 ** 9 ** 9", "too big"),
        ("2 ** 100000", "too big"),
        ("1e308 * 10", "too big"),
        ("factorial(501)", "too big"),
        ("factorial(10**9)", "too big"),
        ("10 ** 400 / 1", "too big"),
        ("exp(1000)", "too big"),
        ("9" * 499, None),
        ("round(1, -1000000000)", "no real answer"),
        ("sqrt(-1)", "no real answer"),
        ("(-8) ** 0.5", "no real answer"),
        ("log(0)", "no real answer"),
        ("factorial(2.5)", "no real answer"),
        ("sin()", "no real answer"),
        ("", "there is no expression"),
        ("6 *", "not a complete expression"),
        ("(" * 100, "not a complete expression"),
        ("2 3", "not a complete expression"),
        ("1" * 501, "longer than"),
        ("-" * 100 + "1", "nested too deep"),
        ("six * seven", "I do not know six"),
        ("__import__('os')", "I do not understand"),
        ("open('x')", "I do not know open"),
        ("(1, 2)", "not plain arithmetic"),
        ("sin", "I do not know|not plain arithmetic"),
        ("1 if 2 else 3", "I do not know if"),
        ("6 * ", "not a complete"),
        ("2,5 * 2", "not plain arithmetic"),
        ("1 < 2", "I do not understand '<'"),
        ("0x10", "I do not understand"),
    ],
)
def test_what_is_no_arithmetic_is_declined(expression: str, said: str | None) -> None:
    """With a sentence, at once, and without counting against the tool."""
    began = time.perf_counter()
    if said is None:
        assert calculate(expression) == expression
    else:
        with pytest.raises(ToolDeclined, match=said):
            calculate(expression)
    assert time.perf_counter() - began < 0.5


@given(st.integers(-(10**9), 10**9), st.integers(-(10**9), 10**9))
def test_integers_are_exact(first: int, second: int) -> None:
    """Sums and products are Python's."""
    assert calculate(f"({first}) * ({second}) + {abs(first)}") == str(first * second + abs(first))


@given(st.text(alphabet="0123456789+-*/%().,e^ sqrtfaciolpx", max_size=60))
def test_any_text_is_answered_in_bounds(expression: str) -> None:
    """It answers with a bounded number or declines; nothing else, and quickly."""
    began = time.perf_counter()
    try:
        answer = calculate(expression)
    except ToolDeclined:
        return
    finally:
        assert time.perf_counter() - began < 1.0
    assert len(answer) <= MAX_BITS * math.log10(2) + 2
    assert "nan" not in answer
