"""Tasks of the event loop that run beside everything else, and how they end."""

import asyncio


async def end(task: "asyncio.Task[None] | None") -> None:
    """Cancel a task and return once it has ended; None, or one that has, is fine."""
    if task is not None:
        task.cancel()
        await asyncio.wait({task})


class Background:
    """Does :meth:`_run`, which never returns by itself, from its start to its stop."""

    def __init__(self) -> None:
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin."""
        self._task = asyncio.get_running_loop().create_task(self._run())

    async def stop(self) -> None:
        """Do no more of it; twice is once."""
        await end(self._task)

    async def _run(self) -> None:
        raise NotImplementedError
