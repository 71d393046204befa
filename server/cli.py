"""The command line: `tower`, or `python -m server`. Without arguments it serves."""

import sys


def main() -> None:
    """Run the command line; Ctrl-C ends it without a traceback, from the first moment on."""
    try:
        # Importing takes a good part of a second, in which people press Ctrl-C, too.
        from server.commands.tower import app  # noqa: PLC0415
        from server.leaving import for_good  # noqa: PLC0415

        with for_good():
            app()
    except KeyboardInterrupt:
        sys.exit(130)
