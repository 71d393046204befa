"""`tower new`: a file to start an agent from."""

from pathlib import Path
from typing import Annotated

import typer

from server.commands.terminal import fail, out, plainly

STARTER = Path(__file__).with_name("starter.py")


@plainly
def new(
    file: Annotated[Path, typer.Argument(help="Where to write it.")] = Path("app.py"),
) -> None:
    """Write a file with an agent and two tools to start from. It never replaces a file."""
    if file.suffix != ".py":
        fail(f"{file} must end in .py, to be served.")
    try:
        with file.open("x", encoding="utf-8") as written:
            written.write(STARTER.read_text(encoding="utf-8"))
    except FileExistsError:
        fail(f"{file} is there already; nothing was written.")
    except OSError as error:
        fail(f"{file} can't be written: {error.strerror}.")
    out.print(f"Wrote {file}. Serve it with: tower serve {file}", highlight=False, markup=False)
