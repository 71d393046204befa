"""Tests of one package each, without a server."""
