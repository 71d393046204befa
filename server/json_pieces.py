"""Reads a large JSON object piece by piece: the elements of one of its lists, then the rest.

No decoder of ours can be fed a text in parts. This cuts such a text at its brackets, so that each
piece fits the decoder: it knows strings, depth and commas between elements, nothing more. What is
cut wrongly because the text is no JSON, the decoder refuses.
"""

import re

from control_tower.errors import InvalidParams
from server.errors import ParseError
from server.json_text import MAX_DEPTH

_STRUCTURE = re.compile(rb'["\[\]{}]')
_STRING = re.compile(rb'(?:[^"\\]++|\\.)*+', re.DOTALL)
_QUOTE = ord('"')
_LIST_DEPTH = 2


class Pieces:
    """Cuts one text.

    Args:
        member: name of the list, a member of the outermost object; its elements are objects.
        most_element: bytes that an element may have.
        most_rest: bytes that all else may have.
    """

    def __init__(self, member: str, most_element: int, most_rest: int) -> None:
        self._member = member
        self._opens = re.compile(rb'"%b"\s*:\s*\Z' % member.encode())
        self._most_element = most_element
        self._most_rest = most_rest
        self._left = b""
        self._depth = 0
        self._in_string = False
        self._in_list = False
        self._first = True
        self._rest = bytearray()
        self._gap = bytearray()
        self._element: bytearray | None = None

    def feed(self, chunk: bytes) -> list[bytes]:
        """Return the elements that are whole now.

        Raises:
            ParseError: when the text is no JSON.
            InvalidParams: when a part of it is too large.
        """
        text, at = self._left + chunk, 0
        self._left = b""
        found: list[bytes] = []
        while at < len(text):
            if self._in_string:
                end = self._string(text, at)
                if end is None:
                    break
            else:
                token = _STRUCTURE.search(text, at)
                end = len(text) if token is None else token.end()
                self._take(text[at : end if token is None else end - 1])
                if token is not None:
                    self._structure(token[0], found)
            at = end
        return found

    def rest(self) -> bytes:
        """Return the text without the elements, once all of it was fed."""
        return bytes(self._rest) + self._left

    def _string(self, text: bytes, at: int) -> int | None:
        """Take the string's next part; None when the text ends before the string does."""
        match = _STRING.match(text, at)
        end = at if match is None else match.end()
        if end < len(text) and text[end] == _QUOTE:
            self._in_string = False
            self._take(text[at : end + 1])
            return end + 1
        self._take(text[at:end])
        self._left = text[end:]  # half an escape, if anything
        return None

    def _structure(self, mark: bytes, found: list[bytes]) -> None:
        if mark == b'"':
            self._in_string = True
            self._take(mark)
        elif mark in b"[{":
            self._open(mark)
        else:
            self._close(mark, found)

    def _open(self, mark: bytes) -> None:
        if self._in_list and self._element is None:
            self._between(b"" if self._first else b",")
            self._first = False
            self._element = bytearray()
        elif self._depth == 1 and mark == b"[" and self._opens.search(self._rest):
            self._take(mark)
            self._in_list, self._first = True, True
            self._depth += 1
            return
        self._take(mark)
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise ParseError("The body is nested too deeply.")

    def _close(self, mark: bytes, found: list[bytes]) -> None:
        self._depth -= 1
        if self._in_list and self._element is None:
            self._between(b"")
            self._in_list = False
        self._take(mark)
        if self._element is not None and self._depth == _LIST_DEPTH:
            found.append(bytes(self._element))
            self._element = None

    def _between(self, wanted: bytes) -> None:
        """Check what stands between two elements, or at an end of the list."""
        if bytes(self._gap).strip(b" \t\r\n") != wanted:
            raise ParseError(f"{self._member} is no list of objects.")
        self._gap.clear()

    def _take(self, text: bytes) -> None:
        if self._element is not None:
            sink, most = self._element, self._most_element
        else:
            sink, most = (self._gap if self._in_list else self._rest), self._most_rest
        if len(sink) + len(text) > most:
            raise InvalidParams(
                f"This part has at most {most} bytes.",
                field="body" if self._element is None else self._member,
            )
        sink += text
