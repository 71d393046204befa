"""A whole tower for tests: virtual time, an inline store, and user land made of functions."""
