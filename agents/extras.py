"""What a part that is not installed asks people to type.

A clone installs itself: in a public registry, the package's name may be anybody's.
"""

from pathlib import Path

HOME = Path(__file__).resolve().parents[1]
"""The clone that this runs from, or the folder that a package was installed into."""


def install_command(extra: str, home: Path = HOME) -> str:
    """Return the command that installs an extra, in a clone or beside a package."""
    if (home / "pyproject.toml").is_file():
        return f".venv/bin/pip install -e '.[{extra}]'"
    return f"pip install 'control-tower[{extra}]'"
