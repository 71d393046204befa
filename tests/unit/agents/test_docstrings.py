"""Google-style docstrings are read for descriptions."""

from hypothesis import given
from hypothesis import strategies as st

from agents.docstrings import read_docstring


def test_sections_are_told_apart() -> None:
    """The description ends at the first section, and only Args has arguments."""
    read = read_docstring(
        """Refund an order.

        It takes a day
        or two.

        Args:
            order: The order's number.
            amount (float): Euros to pay back,
                with cents.

        Returns:
            text: not an argument.
        """
    )
    assert read.summary == "Refund an order."
    assert read.description == "Refund an order.\n\nIt takes a day or two."
    assert read.arguments == {
        "order": "The order's number.",
        "amount": "Euros to pay back, with cents.",
    }


def test_nothing_is_an_empty_docstring() -> None:
    """A function without a docstring has no description."""
    assert read_docstring(None) == read_docstring("")


@given(st.text())
def test_any_text_is_read(text: str) -> None:
    """Whatever its format, a docstring never raises."""
    assert isinstance(read_docstring(text).summary, str)
