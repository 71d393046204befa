"""The whole tower in virtual time, under seeded faults, with oracles that stand outside of it.

One seed is one world: programs, people, disk, tools, models and crashes are drawn from it, so that
a failure is found again by its number: ``python -m tests.simulation SEED``.
"""
