"""Membership: this node's part in the cluster, put together.

For ``app.py``, on a node of many::

    calls = Calls(post, nodes.token, nodes.alive, bus)
    ...                                     # a tower, sessions, an eraser: each a local one
    membership = Membership(nodes, calls, place, room, store)
    tower = RoutedTower(place.tower, membership.router, roster)
    sessions = RoutedSessions(place.sessions, membership.router)
    await place.tower.start(restore=False)
    await post.start(calls.take)            # from here on others' commands are carried out
    membership.start(adopts=runs_missions)
    ...
    await membership.drain()                # before the tower stops
    await membership.close()                # before the post and the store close
"""

from control_tower.cluster.adoption import Adoption
from control_tower.cluster.calls import Calls
from control_tower.cluster.commands import Place
from control_tower.cluster.ports import Nodes
from control_tower.cluster.residents import Residents
from control_tower.cluster.router import Room, Router
from control_tower.cluster.stewardship import Stewardship
from control_tower.erasure import ErasingStore


class Membership:
    """What a node of many has that one alone has not.

    Attributes:
        router: has commands carried out where their users are at home.
    """

    def __init__(
        self, nodes: Nodes, calls: Calls, place: Place, room: Room, store: ErasingStore
    ) -> None:
        self._calls = calls
        self._residents = Residents(nodes, place.tower.adopt)
        self._adoption = Adoption(nodes, self._residents)
        self.router = Router(nodes, calls, self._residents, room, place)
        self._stewardship = Stewardship(nodes, self.router, store)

    def start(self, *, adopts: bool) -> None:
        """Begin; once the local tower has started. ``adopts``: it runs missions."""
        if adopts:
            self._adoption.start()
            self._stewardship.start()

    async def drain(self) -> None:
        """Take no more users over: the node is about to leave."""
        await self._adoption.stop()
        await self._stewardship.stop()

    async def close(self) -> None:
        """Stop; what others have asked for and is under way they learn no more of."""
        await self.drain()
        await self._calls.close()
        await self._residents.close()
