"""The kernel: missions as processes, their journal, quotas, questions and schedule.

``ControlTower`` is the surface for Python code in the same process, ``Tower`` the one for servers.
"""

from control_tower.commands import Caller, Submission
from control_tower.quota.quotas import ResourceQuota, ResourceUsage
from control_tower.records import Priority as SchedulingPriority
from control_tower.records import ProcessControlBlock
from control_tower.requests import ControlTower, Envelope
from control_tower.tower import Tower

__all__ = [
    "Caller",
    "ControlTower",
    "Envelope",
    "ProcessControlBlock",
    "ResourceQuota",
    "ResourceUsage",
    "SchedulingPriority",
    "Submission",
    "Tower",
]
