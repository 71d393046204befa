"""``calculator``: arithmetic, exactly on integers, bounded in time and size.

The expression is cut into known tokens first, so that Python's parser never sees anything but
numbers, operators and the few names below.
"""

import ast
import math
import operator
import re
from collections.abc import Callable
from typing import Any

from agents.errors import ToolDeclined
from agents.registry import Registry

MAX_CHARACTERS = 500
MAX_DEPTH = 60
MAX_BITS = 8_192
MAX_FACTORIAL = 500
MAX_DIGITS_ROUNDED = 100
SIGNIFICANT_DIGITS = 12
"""Enough to be right, too few to show 0.1 + 0.2 as 0.30000000000000004."""

Number = int | float

_TOKEN = re.compile(
    r"\s*(?:(?P<number>(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)(?![\w.])"
    r"|(?P<name>[A-Za-z]\w*)"
    r"|(?P<operator>\*\*|//|[-+*/%(),^×÷−·]))"
)
_SPELLINGS = {"^": "**", "×": "*", "·": "*", "÷": "/", "−": "-"}
_CONSTANTS: dict[str, float] = {"pi": math.pi, "e": math.e, "tau": math.tau}


class _Unfit(Exception):
    """The expression has no answer here; the message is a sentence's end."""


async def calculator(expression: str) -> str:
    """Calculate an arithmetic expression.

    Knows + - * / // % ** (or ^), parentheses, pi, e, and sqrt, abs, round, floor, ceil, min, max,
    log, log10, exp, sin, cos, tan and factorial.

    Args:
        expression: for example (2 + 3) * 4 ** 2.
    """
    return calculate(expression)


def register(registry: Registry) -> None:
    """Register the tool."""
    registry.tool("read_only", idempotent=True)(calculator)


def calculate(expression: str) -> str:
    """Return the value of ``expression`` as text; integers in full.

    Raises:
        ToolDeclined: if it is no arithmetic, has no real answer, or is too big.
    """
    try:
        return _spelled(_evaluate(_parse(expression), 0))
    except ZeroDivisionError:
        said = "it divides by zero"
    except OverflowError:
        said = "the answer is too big"
    except (ValueError, TypeError):
        said = "it has no real answer"
    except _Unfit as unfit:
        said = str(unfit)
    shown = expression.strip()[:80]
    raise ToolDeclined(f"{shown or 'Nothing'} cannot be calculated: {said}.")


def _parse(expression: str) -> ast.expr:
    if len(expression) > MAX_CHARACTERS:
        raise _Unfit(f"it is longer than {MAX_CHARACTERS} characters")
    text = " ".join(_tokens(expression.strip()))
    if not text:
        raise _Unfit("there is no expression")
    try:
        return ast.parse(text, mode="eval").body
    except (SyntaxError, RecursionError, MemoryError):
        raise _Unfit("it is not a complete expression") from None


def _tokens(expression: str) -> list[str]:
    found, at = [], 0
    while at < len(expression):
        token = _TOKEN.match(expression, at)
        if token is None:
            rest = expression[at:].split()
            raise _Unfit(f"I do not understand {rest[0][:20]!r}" if rest else "it is incomplete")
        at = token.end()
        found.append(_token(token))
    return found


def _token(token: re.Match[str]) -> str:
    number, name, sign = token.group("number", "name", "operator")
    if number is not None:
        # Python refuses the leading zeros that people write.
        return str(int(number)) if number.isdigit() else number
    if name is not None:
        if name not in _CONSTANTS and name not in _FUNCTIONS:
            raise _Unfit(f"I do not know {name[:20]}")
        return name
    return _SPELLINGS.get(sign, sign)


def _evaluate(node: ast.expr, depth: int) -> Number:
    if depth > MAX_DEPTH:
        raise _Unfit("it is nested too deep")
    match node:
        case ast.Constant(value=int() | float() as value):
            return _bounded(value)
        case ast.Name(id=name) if name in _CONSTANTS:
            return _CONSTANTS[name]
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            return -_evaluate(operand, depth + 1)
        case ast.UnaryOp(op=ast.UAdd(), operand=operand):
            return _evaluate(operand, depth + 1)
        case ast.BinOp(left=left, op=sign, right=right) if type(sign) in _OPERATORS:
            first, second = _evaluate(left, depth + 1), _evaluate(right, depth + 1)
            return _bounded(_OPERATORS[type(sign)](first, second))
        case ast.Call(func=ast.Name(id=name), args=args, keywords=[]) if name in _FUNCTIONS:
            return _bounded(_FUNCTIONS[name](*(_evaluate(one, depth + 1) for one in args)))
        case _:
            raise _Unfit("it is not plain arithmetic")


def _bounded(value: Any) -> Number:
    if isinstance(value, int):
        if value.bit_length() > MAX_BITS:
            raise OverflowError
        return value
    if not isinstance(value, float):
        raise TypeError("not a real number")
    if not math.isfinite(value):
        raise OverflowError
    return value


def _power(base: Number, exponent: Number) -> Any:
    """Raise to a power whose size is known beforehand, so that no time is spent on a huge one."""
    if (
        isinstance(base, int)
        and isinstance(exponent, int)
        and exponent > 0
        and base.bit_length() * exponent > MAX_BITS + base.bit_length()
        and abs(base) > 1
    ):
        raise OverflowError
    return base**exponent


def _factorial(number: Number) -> int:
    if not isinstance(number, int) or number < 0:
        raise ValueError
    if number > MAX_FACTORIAL:
        raise OverflowError
    return math.factorial(number)


def _round(number: Number, digits: Number = 0) -> Number:
    if not isinstance(digits, int) or abs(digits) > MAX_DIGITS_ROUNDED:
        raise ValueError
    return round(number, digits) if digits else round(number)


def _root(number: Number) -> Number:
    if isinstance(number, int) and number >= 0 and math.isqrt(number) ** 2 == number:
        return math.isqrt(number)
    return math.sqrt(number)


_OPERATORS: dict[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
    ast.Pow: _power,
}

_FUNCTIONS: dict[str, Callable[..., Any]] = {
    "abs": abs,
    "ceil": math.ceil,
    "cos": math.cos,
    "exp": math.exp,
    "factorial": _factorial,
    "floor": math.floor,
    "log": math.log,
    "log10": math.log10,
    "max": max,
    "min": min,
    "round": _round,
    "sin": math.sin,
    "sqrt": _root,
    "tan": math.tan,
}


def _spelled(value: Number) -> str:
    if isinstance(value, int):
        return str(value)
    if value.is_integer() and abs(value) < 10**SIGNIFICANT_DIGITS:
        return str(int(value))
    return f"{value:.{SIGNIFICANT_DIGITS}g}"
