"""Durable execution: a program, its calls, their journal and their effects."""
