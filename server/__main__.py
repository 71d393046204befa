"""`python -m server` is `tower`."""

from server.cli import main

if __name__ == "__main__":
    main()
