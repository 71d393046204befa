"""Many nodes over one database: who is where, and how a command gets there.

Every node is a whole tower for the users that are *at home* with it, and only for them: their
sessions, missions, limits and queues are in one memory, as on a single machine. A command that
comes in elsewhere is passed on to the home. A home moves only when its node is gone.
"""
