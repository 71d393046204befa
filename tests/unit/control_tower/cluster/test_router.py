"""Homes found, given and lost: every command reaches the one node where its user is at home."""

import asyncio

import pytest

from control_tower.cluster import commands
from control_tower.cluster.ports import LEAVING
from control_tower.cluster.refusals import NotAtHome
from control_tower.cluster.router import PATIENCE_S
from control_tower.commands import Submission
from control_tower.errors import Conflict, NotFound, Unavailable
from control_tower.execution.context import Context
from control_tower.limits import TowerLimits
from events.payloads import JsonObject
from tests.rig.tower import ALICE, BOB
from tests.rig.town import TownNode, Village


async def quick(_: Context) -> str:
    """An agent."""
    return "done"


async def endless(ctx: Context) -> None:
    """An agent that only a kill or a cancel ends."""
    await ctx.step("work", asyncio.sleep, 100_000, idempotent=True)


async def submit(node: TownNode, **fields: object) -> JsonObject:
    """Submit a mission of alice's on a node."""
    submission = Submission(mission="go", **fields)  # type: ignore[arg-type]
    return await node.tower.submit(ALICE, submission, body_sha256="go")


def village(count: int = 2, limits: TowerLimits | None = None) -> Village:
    """Return so many nodes with two agents."""
    made = Village(count, limits)
    made.agent(quick)
    made.agent(endless, "endless")
    return made


def test_a_new_user_is_at_home_where_they_came_in() -> None:
    """Nothing is passed on for them, then or later."""
    world = village()

    async def scenario() -> None:
        _, second = world.nodes
        await submit(second)
        await submit(second)
        assert world.town.homes == {"alice": 2}
        assert world.town.letters == []

    world.run(scenario)


def test_a_command_is_passed_on_to_its_users_home() -> None:
    """Whatever node it came in on; there the mission runs."""
    world = village()

    async def scenario() -> None:
        first, second = world.nodes
        await submit(second)
        reply = await submit(first, agent="endless")
        assert reply["mission_id"] in second.local.parts.memory.processes
        assert reply["mission_id"] not in first.local.parts.memory.processes

    world.run(scenario)


def test_a_user_goes_where_there_is_least_to_do() -> None:
    """When we have no room; a node that runs no missions is nobody's home."""
    world = village(3, TowerLimits(max_running=4))

    async def scenario() -> None:
        first, second, third = world.nodes
        web = world.add(runs_missions=False)
        for node, load in ((first, 9), (second, 7), (third, 6), (web, 0)):
            world.busy(node, load)
        await submit(first)
        assert world.town.homes == {"alice": 3}
        await web.tower.submit(BOB, Submission(mission="go"), body_sha256="go")
        assert world.town.homes["bob"] == 3

    world.run(scenario)


def test_nobody_new_is_sent_to_a_node_that_leaves() -> None:
    """It has the least to do, and soon it is gone."""
    world = village(2)

    async def scenario() -> None:
        first, second = world.nodes
        web = world.add(runs_missions=False)
        world.busy(second, 3)
        await first.local.stop(0)
        world.busy(first, first.router.load())
        await submit(web)
        assert world.town.homes == {"alice": 2}
        assert (first.router.load(), second.router.load()) == (LEAVING, 3)

    world.run(scenario)


def test_without_a_node_that_runs_missions_a_command_is_unavailable() -> None:
    """Certainly not carried out; to be tried again."""
    world = village(0)

    async def scenario() -> None:
        web = world.add(runs_missions=False)
        with pytest.raises(Unavailable) as caught:
            await submit(web)
        assert caught.value.outcome == "rejected"
        assert caught.value.retry_after_s

    world.run(scenario)


def test_two_nodes_at_once_give_a_user_one_home() -> None:
    """Both commands are carried out there."""
    world = village()

    async def scenario() -> None:
        first, second = world.nodes
        replies = await asyncio.gather(submit(first), submit(second))
        home = world.nodes[world.town.homes["alice"] - 1]
        pids = {reply["mission_id"] for reply in replies}
        other = first if home is second else second
        assert not pids & other.local.parts.memory.processes.keys()
        assert "alice" in home.residents
        assert "alice" not in other.residents

    world.run(scenario)


def test_a_session_is_one_queue_whichever_nodes_its_submits_come_by() -> None:
    """So its gate holds over all of them."""
    world = village(3)

    async def scenario() -> None:
        reply = await submit(world.nodes[0], agent="endless")
        states = [
            (await submit(node, session_id=reply["session_id"]))["state"] for node in world.nodes
        ]
        assert states == ["blocked"] * 3

    world.run(scenario)


def test_an_idempotency_key_holds_over_all_nodes() -> None:
    """Submitted on each at once, it is one mission."""
    world = village(3)

    async def scenario() -> None:
        replies = await asyncio.gather(*(submit(node, idempotency_key="k") for node in world.nodes))
        assert len({reply["mission_id"] for reply in replies}) == 1
        assert sorted(reply["duplicate"] for reply in replies) == [False, True, True]

    world.run(scenario)


def test_a_refusal_comes_back_as_it_was() -> None:
    """Also one of the home's own."""
    world = village()

    async def scenario() -> None:
        first, second = world.nodes
        reply = await submit(second)
        await world.ended(reply["mission_id"])
        with pytest.raises(Conflict, match=r"The mission has ended\."):
            await first.tower.pause(ALICE, reply["mission_id"])
        with pytest.raises(NotFound, match=r"No such agent\."):
            await submit(first, agent="nobody")

    world.run(scenario)


def test_a_home_that_moved_is_looked_up_again() -> None:
    """What was remembered of it is wrong: the node that is asked says so, and passes nothing on."""
    world = village(3)

    async def scenario() -> None:
        first, second, third = world.nodes
        await submit(second)
        first.router._homes["alice"] = 3
        reply = await submit(first, agent="endless")
        assert reply["mission_id"] in second.local.parts.memory.processes
        assert len(third.residents) == 0
        assert not [letter for letter in world.town.letters if letter[:2] == (3, 2)]

    world.run(scenario)


def test_a_stranger_is_refused_by_who_is_asked() -> None:
    """A node carries nothing out for a user who is at home elsewhere."""
    world = village()

    async def scenario() -> None:
        first, second = world.nodes
        await submit(second)
        command = commands.Submit(caller=ALICE, submission=Submission(mission="go"), body_sha256="")
        with pytest.raises(NotAtHome):
            await first.router._passed_on(commands.PassedOn("alice", command), None)

    world.run(scenario)


def test_a_command_waits_while_the_home_is_dead_and_not_buried() -> None:
    """Then the user gets another, with what they had running."""
    world = village()

    async def scenario() -> None:
        first, second = world.nodes
        running = await submit(second, agent="endless")
        world.die(second)
        world.town.unseen.add(2)
        asyncio.get_running_loop().call_later(5, world.town.bury, 2)
        reply = await submit(first, agent="endless", session_id=running["session_id"])
        assert asyncio.get_running_loop().time() >= 5
        assert reply["state"] == "blocked"
        assert running["mission_id"] in first.local.parts.memory.processes

    world.run(scenario)


def test_it_does_not_wait_for_ever() -> None:
    """And says that nothing has happened."""
    world = village()

    async def scenario() -> None:
        first, second = world.nodes
        await submit(second)
        world.die(second)
        world.town.unseen.add(2)
        began = asyncio.get_running_loop().time()
        with pytest.raises(Unavailable) as caught:
            await submit(first)
        assert caught.value.outcome == "rejected"
        assert PATIENCE_S <= asyncio.get_running_loop().time() - began < PATIENCE_S + 2

    world.run(scenario)


@pytest.mark.parametrize("key", [None, "k"])
def test_a_command_under_way_to_a_node_that_dies_is_unknown_or_made_again(key: str | None) -> None:
    """Made again only if a second one does no harm."""
    world = village()

    async def scenario() -> None:
        first, second = world.nodes
        await submit(second)
        world.die(second)
        asyncio.get_running_loop().call_later(3, world.town.bury, 2)
        if key is None:
            with pytest.raises(Unavailable) as caught:
                await submit(first)
            assert caught.value.outcome == "unknown"
        else:
            reply = await submit(first, idempotency_key=key)
            assert world.town.homes == {"alice": 1}
            assert not reply["duplicate"]

    world.run(scenario)


def test_a_home_that_is_dying_refuses_and_is_left() -> None:
    """Its store takes nothing any more, and soon it is gone: the command goes on to the next."""
    world = village()

    async def scenario() -> None:
        first, second = world.nodes
        await submit(second)
        asyncio.get_running_loop().call_later(0.5, world.town.bury, 2)
        running = await submit(second, agent="endless")
        second.local.parts.memory.processes[running["mission_id"]].lost = True
        assert (await first.tower.cancel(ALICE, running["mission_id"]))["state"] == "terminated"
        assert world.town.homes == {"alice": 1}

    world.run(scenario)


def test_a_home_that_lives_and_refuses_has_refused() -> None:
    """Soon enough: nobody waits for a death that does not come."""
    world = village()

    async def scenario() -> None:
        first, second = world.nodes
        running = await submit(second, agent="endless")
        second.local.parts.memory.processes[running["mission_id"]].lost = True
        with pytest.raises(Unavailable) as caught:
            await first.tower.cancel(ALICE, running["mission_id"])
        assert caught.value.outcome == "rejected"
        assert asyncio.get_running_loop().time() < 3

    world.run(scenario)


def test_a_keyed_submit_whose_reply_died_with_its_node_is_one_mission() -> None:
    """It was committed; made again, it is answered as the first would have been."""
    world = village()

    async def scenario() -> None:
        first, second = world.nodes
        await submit(second)
        world.town.bus = False
        world.town.lost = lambda sender, *_: sender == 2
        sent = asyncio.create_task(submit(first, agent="endless", idempotency_key="k"))
        await asyncio.sleep(1)
        world.die(second)
        world.town.bury(2)
        reply = await sent
        assert reply["duplicate"]
        assert reply["mission_id"] in first.local.parts.memory.processes

    world.run(scenario)


def test_commands_for_users_of_a_node_that_leaves_wait_for_its_going() -> None:
    """It takes nothing new; whoever takes its users over does."""
    world = village()

    async def scenario() -> None:
        first, second = world.nodes
        await submit(second)
        await second.local.stop(0)
        asyncio.get_running_loop().call_later(3, world.town.bury, 2)
        await submit(first)
        assert world.town.homes == {"alice": 1}

    world.run(scenario)


def test_a_node_that_leaves_restores_nobody() -> None:
    """A user sent to it just now waits for its going, too; what they had running is left alone."""
    world = village()

    async def scenario() -> None:
        first, second = world.nodes
        world.town.homes["alice"] = 2
        await second.local.stop(0)
        asyncio.get_running_loop().call_later(3, world.town.bury, 2)
        await submit(first)
        assert "alice" not in second.residents
        assert world.town.homes == {"alice": 1}

    world.run(scenario)


def test_a_user_is_restored_before_anything_is_carried_out_for_them() -> None:
    """Also when commands and the adoption come all at once: once, and nothing overtakes."""
    world = village(3)

    async def scenario() -> None:
        first, second, third = world.nodes
        running = await submit(third, agent="endless")
        session_id = running["session_id"]
        world.die(third)
        world.town.bury(3)
        first.adoption.start()
        second.adoption.start()
        replies = await asyncio.gather(
            *(submit(node, session_id=session_id) for node in (first, second) * 3)
        )
        assert {reply["state"] for reply in replies} == {"blocked"}
        await asyncio.sleep(1)
        assert world.ledger.types(running["mission_id"]).count("mission.recovered") == 1

    world.run(scenario)


def test_users_of_a_node_that_is_gone_are_adopted_without_being_asked_for() -> None:
    """Within a second of its burial, all of them; who had nothing running is let go."""
    world = village(3)

    async def scenario() -> None:
        first, second, third = world.nodes
        running = await submit(third, agent="endless")
        await third.tower.submit(BOB, Submission(mission="go"), body_sha256="go")
        first.adoption.start()
        second.adoption.start()
        await asyncio.sleep(2.2)
        world.die(third)
        world.town.bury(3)
        await asyncio.sleep(1)
        assert set(world.town.homes) == {"alice"}
        home = world.nodes[world.town.homes["alice"] - 1]
        assert running["mission_id"] in home.local.parts.memory.processes

    world.run(scenario)


def test_adoption_survives_a_database_that_is_away() -> None:
    """And goes on when it is back."""
    world = village()

    async def scenario() -> None:
        first, second = world.nodes
        running = await submit(second, agent="endless")
        world.die(second)
        world.town.away = True
        world.town.bury(2)
        first.adoption.start()
        await asyncio.sleep(5)
        world.town.away = False
        await asyncio.sleep(2)
        assert running["mission_id"] in first.local.parts.memory.processes

    world.run(scenario)


def test_one_node_is_the_steward() -> None:
    """The first of those that run missions; when it is gone or leaves, the next."""
    world = village(0)

    async def scenario() -> None:
        web, first, second = world.add(runs_missions=False), world.add(), world.add()
        stewards = [node.token for node in (web, first, second) if node.router.is_steward()]
        assert stewards == [2]
        world.town.bury(2)
        assert second.router.is_steward()
        await second.local.stop(0)
        assert not second.router.is_steward()

    world.run(scenario)
