"""One world: a server that lives and dies, people, weather, and an auditor."""

import asyncio
import traceback
from collections.abc import Awaitable, Callable, MutableMapping
from contextlib import ExitStack
from types import SimpleNamespace
from typing import Any, Self, TypeVar
from unittest import mock

import structlog

from control_tower.commands import Caller
from control_tower.execution import context as context_module
from control_tower.limits import TowerLimits
from control_tower.store.engine import connect_writer
from control_tower.store.migrations import prepare
from control_tower.tower import Tower
from tests.rig.tower import CountedIds, Shelf
from tests.simulation.auditor import Auditor
from tests.simulation.chance import Chance
from tests.simulation.disk import FaultyStore, Weather
from tests.simulation.lives import Life, LivesLoop
from tests.simulation.plans import plans
from tests.simulation.programs import Scripted
from tests.simulation.tooling import Hands, Minds

T = TypeVar("T")

PATIENCE_S = 300.0
"""How long a person waits for a reply before it counts as never coming."""

OPERATOR = Caller("root", "operator")


class ConnectionLost(Exception):
    """The server died, or is not there; what became of the request is unknown."""


class World:
    """Everything drawn from one seed. Use as a context manager."""

    def __init__(self, seed: int) -> None:
        chance = self.chance = Chance("world", seed)
        self.seed = seed
        self.loop = LivesLoop(chance.of("loop"))
        self.auditor = Auditor(self)
        self.weather = Weather()
        self.hands = Hands(self, chance.of("hands"), trouble=chance.pick((0.0, 0.1, 0.25, 0.5)))
        self.shelf = Shelf(default_agent="a0")
        self.programs = {plan.name: Scripted(plan, self.hands) for plan in plans(chance)}
        self.shelf.programs.update(self.programs)
        self.ids = CountedIds()
        self.limits = _limits(chance.of("limits"))
        self.operators = ("root",)
        self.calm = False
        self.lives: list[Life] = []
        self.life = Life(0)
        self.life.alive = False
        self.tower: Tower | None = None
        self.store: FaultyStore | None = None
        self.up = False
        self.ends = asyncio.Event()
        self._replies: dict[asyncio.Future[Any], None] = {}
        self.connection = connect_writer(":memory:")
        prepare(self.connection, "epoch-1")
        self._log_config: dict[str, Any] = {}
        self._fakes = ExitStack()

    def __enter__(self) -> Self:
        self._log_config = structlog.get_config()
        structlog.configure(processors=[self._logged], cache_logger_on_first_use=False)
        drawn = self.chance.of("instants").random
        fakes = {
            "random": SimpleNamespace(random=drawn.random),
            "uuid": SimpleNamespace(uuid4=lambda: f"{drawn.getrandbits(128):032x}"),
        }
        for name, fake in fakes.items():
            self._fakes.enter_context(mock.patch.object(context_module, name, fake))
        return self

    def __exit__(self, *_: object) -> None:
        self._fakes.close()
        structlog.configure(**self._log_config)
        self.loop.bury(self.lives)
        self.loop.close()
        self.connection.close()

    def _logged(self, _logger: Any, method: str, entry: MutableMapping[str, Any]) -> str:
        if method in ("error", "critical", "exception"):
            told = entry.pop("exc_info", None)
            trace = ""
            if isinstance(told, BaseException):
                trace = "".join(traceback.format_exception(told))
            elif told:
                trace = traceback.format_exc()
            self.auditor.breach(f"log: {entry} {trace}")
        elif "pid" in entry:
            self.auditor.note(f"log: {entry}")
        raise structlog.DropEvent

    # -- the server -----------------------------------------------------------------------

    async def boot(self) -> None:
        """Start the server; it takes requests once its tower has started."""
        life = self.life = Life(len(self.lives) + 1)
        self.lives.append(life)
        self.ends = asyncio.Event()
        await self._inside(self._start(life))
        self.up = life.alive

    async def _start(self, life: Life) -> None:
        store = self.store = FaultyStore(
            self.connection,
            self.auditor.screen,
            loop=self.loop,
            chance=self.chance.of("disk", life.number),
            weather=self.weather,
            auditor=self.auditor,
            die=self.crash,
            broken=lambda: self._exit_soon(life),
            delivered=lambda: self.auditor.delivered(self.tower),
        )
        self.auditor.screen.begin_life(store.head)
        tower = self.tower = Tower(
            store=store,
            catalog=self.shelf,
            tools=self.hands,
            models=Minds(self.hands),
            publisher=self.auditor.screen,
            clock=self.loop.wall,
            ids=self.ids,
            node=f"node-{life.number}",
            limits=self.limits,
        )
        await tower.start(watch=False)

    def _exit_soon(self, life: Life) -> None:
        """End the process, as a server does whose disk failed: not in the same instant."""
        self.loop.call_later(0.005, lambda: self.crash() if life is self.life else None)

    def crash(self) -> None:
        """Die as by ``kill -9``: nothing of this life runs any more."""
        if not self.life.alive:
            return
        self.life.alive = False
        self.up = False
        self.ends.set()
        for reply in tuple(self._replies):
            if not reply.done():
                reply.set_exception(ConnectionLost())

    async def drain(self, drain_s: float) -> None:
        """Stop in good order, then end the process."""
        tower, store = self.tower, self.store
        assert tower is not None
        assert store is not None

        async def stop() -> None:
            await tower.stop(drain_s)
            await store.close()

        try:
            await self._inside(stop())
        except ConnectionLost:
            return
        self.crash()

    # -- requests -------------------------------------------------------------------------

    async def _inside(self, work: Any) -> Any:
        """Run work in the server's life; raise ConnectionLost if that ends first."""
        reply: asyncio.Future[Any] = self.loop.create_future()
        task = self.loop.create_task(work, context=self.life.context)
        self._replies[reply] = None

        def ended(done: asyncio.Task[Any]) -> None:
            if reply.done():
                return
            if done.cancelled():
                reply.set_exception(ConnectionLost())
            elif (error := done.exception()) is not None:
                reply.set_exception(error)
            else:
                reply.set_result(done.result())

        task.add_done_callback(ended)
        try:
            return await reply
        except asyncio.CancelledError:
            task.cancel()
            raise
        finally:
            self._replies.pop(reply, None)

    async def request(self, act: Callable[[Tower], Awaitable[T]]) -> T:
        """Ask the server for something, as over a connection.

        Raises:
            ConnectionLost: if there is no server, or it died before its reply came.
        """
        if not self.up or self.tower is None:
            raise ConnectionLost
        began, life = self.loop.time(), self.life
        result: T = await self._inside(_coroutine(act, self.tower))
        if self.loop.time() - began > PATIENCE_S:
            self.auditor.breach(f"a reply took {self.loop.time() - began:.0f} s")
        if not life.alive:
            raise ConnectionLost
        return result


async def _coroutine(act: Callable[[Tower], Awaitable[T]], tower: Tower) -> T:
    return await act(tower)


def _limits(chance: Chance) -> TowerLimits:
    return TowerLimits(
        max_queued_per_user=chance.pick((3, 10_000)),
        missions_per_day=chance.pick((None, None, 12)),
        max_running=chance.pick((1, 2, 3, 8)),
        max_running_per_user=chance.pick((None, None, 1, 2)),
        park_after_s=chance.pick((0.2, 2.0, 60.0)),
        confirmation_ttl_s=chance.pick((3.0, 30.0, 3600.0)),
        clarification_ttl_s=chance.pick((3.0, 30.0, 86_400.0)),
        resource_exhausted_ttl_s=chance.pick((5.0, 86_400.0)),
    )
