"""What a process of the tower does: serve people, run missions, or both."""

from enum import Enum

from server.settings import Settings, SettingsError

SHARED = {
    "database_url": "TOWER_DATABASE_URL=postgresql://…",
    "redis_url": "TOWER_REDIS_URL=redis://…",
}
"""What nodes that work together share, by the setting's field."""


class Role(Enum):
    """What a node does.

    Said on the command line and nowhere else: a settings file is shared by nodes of every role.
    """

    ALL = "all"
    WEB = "web"
    WORKER = "worker"

    @property
    def runs_missions(self) -> bool:
        """Whether users may be at home here. A node that runs none passes every command on."""
        return self is not Role.WEB

    @property
    def serves_people(self) -> bool:
        """Whether it has `/ws`, HTTP and pages, beside what a supervisor asks."""
        return self is not Role.WORKER


def check_shared(settings: Settings, role: Role, processes: int = 1) -> None:
    """Refuse what needs other nodes, where the settings name nothing that nodes could share.

    Raises:
        SettingsError: it says which settings are missing.
    """
    missing = [said for name, said in SHARED.items() if getattr(settings, name) is None]
    if not missing:
        return
    if role is Role.WEB:
        why = "--role web runs no missions itself: it passes them on to other nodes"
    elif role is Role.WORKER:
        why = "a worker runs the missions that come in at other nodes"
    elif processes > 1:
        why = (
            f"--processes {processes} are {processes} nodes of one tower, and on SQLite one serves"
        )
    else:
        return
    raise SettingsError(f"{why}. They share a database and a bus: set {' and '.join(missing)}.")
