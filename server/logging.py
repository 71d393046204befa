"""Logs: structlog for ours and for the libraries', coloured on a terminal, JSON elsewhere.

Nothing secret is written: :class:`Redactor` masks values by the name of their key, by their
shape (bearer tokens, provider keys, JWTs, passwords in URLs, tokens in query strings) and by
what it was told: the settings' own secrets, those of the environment, and each that a tool is
given as an argument.
"""

import logging
import re
import sys
from collections.abc import Iterable, Mapping, MutableMapping
from functools import lru_cache
from typing import Any

import structlog
from structlog.typing import Processor

MASK = "***"

SECRET_KEYS = re.compile(
    r"(?i)(^|[_\-.])(authorization|cookie|set-cookie|token|secret|password|passwd|ticket|jwt"
    r"|api[_\-]?key|credentials?)s?$"
)
"""Names whose value is never written, whatever it is."""

SECRET_SHAPES = (
    ((" ", "\t", "\n", "\r"), re.compile(r"(?i)\b(bearer\s+)[^\s\"',;]+")),
    (("=",), re.compile(r"(?i)([?&](?:token|ticket|key|access_token|api_key)=)[^&\s\"']+")),
    (("@",), re.compile(r"(://[^/\s:@]*:)[^@\s/]+(?=@)")),
    (("eyJ",), re.compile(r"()\beyJ[\w-]{8,}\.[\w-]{8,}\.[\w-]*")),
    (
        ("sk-", "sk_", "pk-", "pk_", "rk-", "rk_", "ct-", "ct_", "ghp", "xox"),
        re.compile(r"()\b(?:sk|pk|rk|ct|ghp|xox[abp])[-_][A-Za-z0-9_\-]{16,}"),
    ),
)
"""Shapes of secrets inside a text; what the first group matched stays.

Beside each stand the texts of which it has one: to look for those takes a tenth of the time, and
a line of the log has a dozen values.
"""

MIN_SECRET = 6
"""Shorter secrets are not searched for in texts: they would mask ordinary words."""


@lru_cache(maxsize=4_096)
def is_secret_name(name: str) -> bool:
    """Whether what stands under this name is never written."""
    return SECRET_KEYS.search(name) is not None


class Redactor:
    """Masks secrets in log events. Shared by every logger of the process."""

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        self._secrets: tuple[str, ...] = ()
        for secret in secrets:
            self.learn(secret)

    def learn(self, secret: str) -> None:
        """Mask this text from now on, too."""
        if len(secret) >= MIN_SECRET and secret not in self._secrets:
            # The longest first: one may be the beginning of another.
            self._secrets = tuple(sorted((*self._secrets, secret), key=len, reverse=True))

    def text(self, text: str) -> str:
        """Return ``text`` without what is, or looks like, a secret."""
        for secret in self._secrets:
            text = text.replace(secret, MASK)
        for signs, shape in SECRET_SHAPES:
            if any(sign in text for sign in signs):
                text = shape.sub(rf"\1{MASK}", text)
        return text

    def value(self, value: object) -> object:
        """Return ``value`` with every text inside it redacted."""
        match value:
            case str():
                return self.text(value)
            case bytes():
                return self.text(value.decode(errors="replace"))
            case Mapping():
                return {
                    key: MASK if is_secret_name(str(key)) else self.value(inner)
                    for key, inner in value.items()
                }
            case list() | tuple() | set() | frozenset():
                return [self.value(inner) for inner in value]
            case int() | float() | None:
                return value
            case _:
                return self.text(str(value))

    def __call__(
        self, _logger: object, _method: str, event: MutableMapping[str, Any]
    ) -> MutableMapping[str, Any]:
        """Redact one log event (a structlog processor)."""
        for key in list(event):
            if key.startswith("_"):
                continue
            event[key] = MASK if is_secret_name(key) else self.value(event[key])
        return event


_redactor = Redactor()
"""That of the logs as they were configured last."""


def learn(secret: str) -> None:
    """Mask a secret that became known while the server ran."""
    _redactor.learn(secret)


def secrets_of_environment(environ: Mapping[str, str]) -> list[str]:
    """Return the values of those variables whose name says that they are secret."""
    return [value for name, value in environ.items() if is_secret_name(name)]


def configure(level: str = "info", style: str = "auto", secrets: Iterable[str] = ()) -> None:
    """Set up structlog and the standard library's logging, on standard error.

    Args:
        level: ``debug``, ``info``, ``warning`` or ``error``.
        style: ``console``, ``json``, or ``auto``: console on a terminal, else json.
        secrets: texts that must never be written.
    """
    console = style == "console" or (style == "auto" and sys.stderr.isatty())
    global _redactor  # noqa: PLW0603 - logging is one for the process, and so is this
    redactor = _redactor = Redactor(secrets)
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.add_log_level,
        structlog.stdlib.ExtraAdder(),
        structlog.processors.TimeStamper(fmt="%H:%M:%S" if console else "iso", utc=not console),
        structlog.processors.StackInfoRenderer(),
    ]
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        wrapper_class=structlog.stdlib.BoundLogger,
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared, processors=_last(redactor, console)
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    for name in (
        *("uvicorn", "uvicorn.error", "uvicorn.access", "alembic", "sqlalchemy"),
        *("httpx", "httpx2"),  # a line for each turn of a model, which the journal has
    ):
        library = logging.getLogger(name)
        library.handlers.clear()
        library.propagate = True
        library.setLevel(logging.WARNING)


def _last(redactor: Redactor, console: bool) -> list[Processor]:
    """The processors after which an event is text. Tracebacks are text before they are redacted."""
    remove = structlog.stdlib.ProcessorFormatter.remove_processors_meta
    traceback = structlog.processors.format_exc_info
    if console:
        colours = sys.stderr.isatty()
        return [remove, traceback, redactor, structlog.dev.ConsoleRenderer(colors=colours)]
    return [remove, traceback, redactor, structlog.processors.JSONRenderer()]
