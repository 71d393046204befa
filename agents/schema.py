"""What a tool takes: a JSON schema from its signature, and the gate for its arguments.

Arguments come from programs and from models; both pass the same gate. They are turned into JSON
values, bounded, and validated strictly as JSON: ``"12"`` is no integer, ``1`` is no text, an
unknown name is refused. What passes is spelled out again with the defaults filled in, so that a
person is shown exactly what will run.
"""

import contextlib
import inspect
import typing
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError, create_model
from pydantic.errors import PydanticUserError
from pydantic.fields import FieldInfo
from pydantic.json_schema import GenerateJsonSchema

from agents.bounds import MAX_ARGUMENTS_BYTES, OutOfBounds, check_inside, encoded, jsonable
from agents.docstrings import read_docstring
from agents.errors import RegistrationError
from agents.secret import Secret
from control_tower.errors import ToolInvalid
from events.payloads import JsonObject

MAX_COMPLAINTS = 5
MAX_PLACE = 100
"""A place may hold names of a caller's own making."""
_BY_NAME = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)


@dataclass(slots=True, frozen=True)
class Checked:
    """Arguments that passed.

    Attributes:
        given: what was passed, validated and spelled as JSON.
        complete: the same with the defaults of what was left out.
    """

    given: JsonObject
    complete: JsonObject


class ArgumentSchema:
    """The arguments of one function.

    Attributes:
        json_schema: JSON Schema of an object, as given to models and shown to people.
    """

    def __init__(
        self, function: Callable[..., object], *, context: type, name: str | None = None
    ) -> None:
        """Read a signature.

        Args:
            function: what will be called with keyword arguments.
            context: a parameter of this type is not an argument but given by the executor.
            name: the tool's, for its errors; the function's own if left out.

        Raises:
            RegistrationError: for a signature that cannot be called with named JSON values.
        """
        self._label = name or getattr(function, "__name__", type(function).__name__)
        self.context_parameter: str | None = None
        self._fields: dict[str, str] = {}
        self._defaults: JsonObject = {}
        documented = read_docstring(inspect.getdoc(function)).arguments
        definitions: dict[str, Any] = {}
        for parameter, annotation in self._parameters(function, context):
            inner = f"a{len(self._fields)}"
            self._fields[inner] = parameter.name
            definitions[inner] = (annotation, self._field(parameter, documented))
        self._model = self._build(definitions)
        self.json_schema = self._describe()

    def check(self, arguments: Mapping[str, object]) -> Checked:
        """Validate ``arguments``.

        Raises:
            ToolInvalid: naming what is wrong; never with the values.
        """
        try:
            plain = {name: jsonable(value) for name, value in arguments.items()}
            check_inside(plain)
            text = encoded(plain, MAX_ARGUMENTS_BYTES)
        except OutOfBounds as error:
            raise ToolInvalid(f"{self._label} cannot take these arguments: {error}.") from error
        model = self._validate(text)
        given = model.model_dump(mode="json", by_alias=True, exclude_unset=True)
        known = self._defaults | given
        complete = {name: known[name] for name in self._fields.values() if name in known}
        return Checked(given=given, complete=complete)

    def keywords(self, arguments: JsonObject) -> dict[str, Any]:
        """Return checked ``arguments`` as the function takes them: dates as dates, and so on.

        Raises:
            ToolInvalid: if they do not fit (the function may have changed since).
        """
        model = self._validate(encoded(arguments, 2 * MAX_ARGUMENTS_BYTES))
        return {
            name: getattr(model, inner)
            for inner, name in self._fields.items()
            if inner in model.model_fields_set
        }

    def _parameters(
        self, function: Callable[..., object], context: type
    ) -> list[tuple[inspect.Parameter, Any]]:
        """Return the parameters that are arguments, each with its annotation."""
        hints = self._hints(function)
        found = []
        for parameter in self._signature(function).parameters.values():
            annotation = hints.get(parameter.name, Any)
            if annotation is context or (parameter.name == "ctx" and annotation is Any):
                self.context_parameter = parameter.name
                continue
            if parameter.kind not in _BY_NAME:
                raise self._complaint(
                    f"takes {parameter}: every parameter must be one that can be passed by name"
                )
            if annotation is Secret:
                raise self._complaint(
                    f"declares {parameter.name}: Secret; declare it as str, the caller passes "
                    'agents.Secret("NAME")'
                )
            found.append((parameter, annotation))
        return found

    def _signature(self, function: Callable[..., object]) -> inspect.Signature:
        try:
            return inspect.signature(function)
        except (TypeError, ValueError) as error:
            raise self._complaint("has no signature that can be read") from error

    def _hints(self, function: Callable[..., object]) -> dict[str, Any]:
        plain = function if inspect.isroutine(function) else type(function).__call__
        try:
            return typing.get_type_hints(inspect.unwrap(plain), include_extras=True)
        except (NameError, TypeError) as error:
            raise self._complaint(f"has an annotation that cannot be resolved: {error}") from error

    def _field(self, parameter: inspect.Parameter, documented: dict[str, str]) -> FieldInfo:
        more: dict[str, Any] = {}
        if parameter.name in documented:
            more["description"] = documented[parameter.name]
        if parameter.default is not inspect.Parameter.empty:
            default = parameter.default
            more["default_factory"] = lambda: default
            # A sentinel of the author's own has no JSON: it stays theirs and is not shown.
            with contextlib.suppress(OutOfBounds):
                self._defaults[parameter.name] = jsonable(default)
        field: FieldInfo = Field(alias=parameter.name, **more)
        return field

    def _build(self, definitions: dict[str, Any]) -> type[BaseModel]:
        try:
            return create_model(
                f"{self._label}_arguments", __config__=ConfigDict(extra="forbid"), **definitions
            )
        except (PydanticUserError, TypeError) as error:
            raise self._complaint(
                "has a parameter whose type is not JSON; use str, int, float, bool, list, dict, "
                "dataclasses or pydantic models"
            ) from error

    def _describe(self) -> JsonObject:
        try:
            schema = self._model.model_json_schema(schema_generator=_Untitled)
        except PydanticUserError as error:
            raise self._complaint("has a parameter whose type has no JSON schema") from error
        schema.pop("title", None)
        schema.setdefault("properties", {})
        for name, default in self._defaults.items():
            schema["properties"][name].setdefault("default", default)
        return schema

    def _validate(self, text: bytes) -> BaseModel:
        try:
            return self._model.model_validate_json(text, strict=True)
        except ValidationError as error:
            raise ToolInvalid(
                f"{self._label} cannot take these arguments: {_complaints(error)}."
            ) from None

    def _complaint(self, what: str) -> RegistrationError:
        return RegistrationError(f"The tool {self._label} {what}.")


class _Untitled(GenerateJsonSchema):
    """Leaves out the titles that only repeat the names of the parameters."""

    def field_title_should_be_set(self, schema: Any) -> bool:  # noqa: ARG002
        """Return False."""
        return False


def _complaints(error: ValidationError) -> str:
    found = error.errors(include_url=False, include_input=False, include_context=False)
    said = [
        f"{'.'.join(map(str, complaint['loc']))[:MAX_PLACE] or 'arguments'}: {_plain(complaint)}"
        for complaint in found[:MAX_COMPLAINTS]
    ]
    if len(found) > MAX_COMPLAINTS:
        said.append(f"and {len(found) - MAX_COMPLAINTS} more")
    return "; ".join(said)


def _plain(complaint: Mapping[str, Any]) -> str:
    match complaint["type"]:
        case "extra_forbidden":
            return "there is no such argument"
        case "missing":
            return "is missing"
        case _:
            message = str(complaint["msg"])
            return message[:1].lower() + message[1:]
