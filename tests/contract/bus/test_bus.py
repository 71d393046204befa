"""What every bus promises: what one node commits, a hub is told whole, once and in order."""

import asyncio

import pytest

from events.bridge import Bridge
from events.hub import Hub
from events.turns import LoopTurns
from tests.contract.bus.kit import Cluster, Ear, Node, delta, until


async def test_units_arrive_in_order_with_what_is_behind_them(pair: tuple[Node, Ear]) -> None:
    """Events, then the unit's ephemeral ones, then what was sent later."""
    node, ear = pair
    first, second, third = delta(), delta(), delta()
    node.commit(2, [first, second])
    node.bus.send_ephemeral(third)
    node.commit()
    await until(lambda: len(ear.heard) == 6)
    assert ear.heard == [1, 2, first.body, second.body, third.body, 3]


async def test_events_arrive_as_they_were(pair: tuple[Node, Ear]) -> None:
    """Type, scope with all of its topics, and body."""
    node, ear = pair
    events = node.log.unit(3)
    node.bus.send(events, ())
    await until(lambda: len(ear.events) == 3)
    assert ear.events == events
    assert ear.events[0].scope.topics == events[0].scope.topics


async def test_only_ephemeral_ones_may_be_sent(pair: tuple[Node, Ear]) -> None:
    """A unit without events may still have something to say."""
    node, ear = pair
    said = delta()
    node.bus.send((), [said])
    await until(lambda: ear.heard == [said.body])


async def test_a_thousand_deltas_keep_their_order(pair: tuple[Node, Ear]) -> None:
    """Over many ticks, with commits between them."""
    node, ear = pair
    sent: list[int | bytes] = []
    for number in range(1_000):
        said = delta()
        node.bus.send_ephemeral(said)
        sent.append(said.body)
        if number % 50 == 0:
            node.commit()
            sent.append(node.log.head)
            await asyncio.sleep(0)
    await until(lambda: len(ear.heard) == len(sent))
    assert ear.heard == sent


@pytest.mark.parametrize("nodes", [1, 3])
async def test_a_hub_is_content(cluster: Cluster, nodes: int) -> None:
    """Real hubs, which take nothing out of order, follow several nodes that commit at once."""
    hubs = [Hub(cluster.log, LoopTurns()) for _ in range(nodes)]
    bridges = [Bridge((await cluster.node(receiver=hub)).bus) for hub in hubs]
    for number in range(300):
        bridge = bridges[number % nodes]
        bridge.publish(cluster.log.unit(1 + number % 3), [delta()])
        bridge.publish_ephemeral(delta())
        if number % 7 == 0:
            await asyncio.sleep(0.001)
    await until(lambda: all(hub.head == cluster.log.head for hub in hubs))
    for hub in hubs:
        await hub.close()
