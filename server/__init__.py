"""The top floor: the Starlette app, its settings, the command line. Wires all that is below."""
