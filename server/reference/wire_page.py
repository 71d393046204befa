"""The readable page of `/ws`: the same tables as the AsyncAPI document, for people."""

from collections.abc import Mapping
from html import escape

import msgspec

from events.payloads import EPHEMERAL_TYPES, EVENT_TYPES, TERMINAL_TYPES
from server.errors import CODES, HTTP_ONLY
from server.reference.asyncapi import METHODS, first_line
from server.wire.close_codes import POLICIES
from server.wire.rpc_session import Method


def page(methods: Mapping[str, Method]) -> str:
    """Return the readable page of `/ws`, as HTML without any script."""
    rows = (
        _table(
            "Methods",
            ("method", "what it does", "parameters", "result"),
            [
                (name, METHODS[name].does, _fields(method.params), METHODS[name].returns)
                for name, method in methods.items()
            ],
        ),
        _table(
            "Events",
            ("type", "what happened", "data", "kind"),
            [
                (name, first_line(kind), _fields(kind), _kind(name))
                for name, kind in EVENT_TYPES.items()
            ],
        ),
        _table(
            "Errors",
            ("data.code", "number", "HTTP"),
            [
                (code, "–" if code in HTTP_ONLY else str(row.rpc), str(row.http.value))
                for code, row in CODES.items()
            ],
        ),
        _table(
            "Close codes",
            ("code", "meaning", "reconnect", "how"),
            [
                (str(int(code)), row.meaning, "yes" if row.reconnect else "no", row.how)
                for code, row in POLICIES.items()
            ],
        ),
    )
    return PAGE.replace("{tables}", "".join(rows))


def _kind(name: str) -> str:
    if name in TERMINAL_TYPES:
        return "terminal"
    return "ephemeral" if name in EPHEMERAL_TYPES else "durable"


def _fields(kind: type[msgspec.Struct]) -> str:
    """Return the fields of a Struct; those with a default have a question mark."""
    return ", ".join(
        field.encode_name if field.required else f"{field.encode_name}?"
        for field in msgspec.structs.fields(kind)
    )


def _table(title: str, headings: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    head = "".join(f'<th scope="col">{escape(each)}</th>' for each in headings)
    body = "".join(
        f'<tr><th scope="row"><code>{escape(first)}</code></th>'
        + "".join(f"<td>{escape(each)}</td>" for each in rest)
        + "</tr>"
        for first, *rest in rows
    )
    return (
        f"<section><h2>{escape(title)}</h2><table><thead><tr>{head}</tr></thead>"
        f"<tbody>{body}</tbody></table></section>"
    )


PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>/ws – Control Tower</title>
<link rel="icon" href="/static/icon.svg">
<link rel="stylesheet" href="/static/css/reference.css">
</head>
<body>
<main>
<h1>The wire: <code>/ws</code></h1>
<p>JSON-RPC 2.0 over one WebSocket, one message a text frame. A request has an <code>id</code>
(a string or an integer) and gets one response; notifications are events. A reply precedes any event
that its call causes. For programs: <a href="/asyncapi.json">/asyncapi.json</a>; over HTTP:
<a href="/docs">/docs</a>.</p>
{tables}
</main>
</body>
</html>
"""
