"""A look at the PostgreSQL database that the settings name."""

from control_tower.store import DatabaseUnusable
from server.commands.diagnosis import Diagnosis
from server.parts import postgres
from server.settings import SettingsError

WHAT = "PostgreSQL"


def examine_database(database_url: str) -> Diagnosis:
    """Say whether a server could begin over it, and who serves it now."""
    try:
        found = postgres().look(database_url)
    except SettingsError as error:
        return Diagnosis(WHAT, "bad", str(error))
    except DatabaseUnusable as error:
        return Diagnosis(WHAT, "bad", str(error), "Mend TOWER_DATABASE_URL, or the server there.")
    if found.schema is None:
        return Diagnosis(WHAT, "ok", f"{found.version}, empty (tables will be made)")
    if found.schema != found.wanted:
        said = f"schema {found.schema}, and this version needs {found.wanted}"
        return Diagnosis(WHAT, "bad", said, "Stop every server, make a backup: tower db upgrade")
    holder = found.occupant
    who = f"served by {holder.node} at {holder.url}" if holder else "served by nobody"
    return Diagnosis(WHAT, "ok", f"{found.version}, {who}")
