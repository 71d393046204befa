"""Parameters that do not fit, in words: what msgspec says of types, said of the caller's fields.

mission: must have at least 1 character.
decision: must be one of cancel, extend, fail, finish, it_happened, retry.
quota.foo: there is no such field.
"""

import re
from collections.abc import Iterator
from typing import Final

import msgspec
from msgspec import inspect

from control_tower.errors import InvalidParams

_AT: Final = re.compile(r" - at `\$\.?(.*)`$")
_UNKNOWN: Final = re.compile(r"unknown field `(.*)`$")
_MISSING: Final = re.compile(r"missing required field `(.*)`$")
_BOUND: Final = re.compile(r"Expected `(\w+)`(?: of length)? (>=|<=|>|<) (\S+)$")
_TYPE: Final = re.compile(r"Expected `(.*)`, got `(.*)`$")
_PART: Final = re.compile(r"[^.\[\]]+")

_KINDS: Final = {
    "str": "a text",
    "int": "an integer",
    "float": "a number",
    "bool": "true or false",
    "object": "an object",
    "array": "a list",
    "null": "null",
}
_WORDS: Final = {">=": "at least", "<=": "at most", ">": "more than", "<": "less than"}
_COUNTED: Final = {"str": "character", "array": "item", "object": "field"}


def invalid(error: msgspec.ValidationError, params: type[msgspec.Struct]) -> InvalidParams:
    """Return the refusal of parameters that do not fit ``params``; it names the whole path."""
    said = str(error)
    at = _AT.search(said)
    path, said = (at[1], said[: at.start()]) if at else ("", said)
    for form, words in ((_UNKNOWN, "there is no such field"), (_MISSING, "is required")):
        if found := form.search(said):
            return _refusal(f"{path}.{found[1]}" if path else found[1], words)
    return _refusal(path, _expectation(said, params, path))


def _refusal(path: str, words: str) -> InvalidParams:
    if not path:
        return InvalidParams(f"The parameters {words}.")
    return InvalidParams(f"{path}: {words}.", field=path)


def _expectation(said: str, params: type[msgspec.Struct], path: str) -> str:
    if said.startswith("Invalid enum value"):
        choices = _choices(params, path)
        return f"must be one of {', '.join(choices)}" if choices else "is none of the known values"
    if found := _BOUND.search(said):
        kind, comparison, number = found[1], _WORDS[found[2]], found[3].removesuffix(".0")
        if kind not in _COUNTED:
            return f"must be {comparison} {number}"
        thing = _COUNTED[kind] + ("" if number == "1" else "s")
        return f"must have {comparison} {number} {thing}"
    if found := _TYPE.search(said):
        kinds = [_KINDS.get(kind, kind) for kind in found[1].split(" | ")]
        return f"must be {' or '.join(kinds)}, not {_KINDS.get(found[2], found[2])}"
    return "does not fit"


def _choices(params: type[msgspec.Struct], path: str) -> list[str]:
    """Return the words that may stand at a path, as the types know them."""
    places: list[inspect.Type] = [inspect.type_info(params)]
    for part in _PART.findall(path):
        places = [inner for place in places for inner in _inside(place, part)]
    return list(dict.fromkeys(word for place in places for word in _words(place)))


def _inside(place: inspect.Type, part: str) -> Iterator[inspect.Type]:
    match place:
        case inspect.UnionType():
            for each in place.types:
                yield from _inside(each, part)
        case inspect.StructType():
            yield from (one.type for one in place.fields if one.encode_name == part)
        case inspect.ListType():
            yield place.item_type


def _words(place: inspect.Type) -> Iterator[str]:
    match place:
        case inspect.UnionType():
            for each in place.types:
                yield from _words(each)
        case inspect.LiteralType():
            yield from map(str, place.values)
        case inspect.EnumType():
            yield from (str(each.value) for each in place.cls)
        case inspect.IntType():
            yield "an integer"
        case inspect.BoolType():
            yield from ("true", "false")
