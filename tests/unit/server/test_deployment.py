"""The image and the compose file, as far as they can be checked without Docker."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml  # type: ignore[import-untyped]
from typer.testing import CliRunner

from server.commands.tower import app
from server.settings import NAMES, PREFIX

ROOT = Path(__file__).parents[3]
SETTINGS = {PREFIX + name.upper() for name in NAMES}


@pytest.fixture
def compose() -> dict[str, Any]:
    """Return the compose file."""
    loaded: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
    return loaded


@pytest.fixture
def image() -> list[list[str]]:
    """Return the Dockerfile's instructions, each as its words."""
    text = (ROOT / "Dockerfile").read_text().replace("\\\n", " ")
    return [line.split() for line in text.splitlines() if line and not line.startswith("#")]


def words(image: list[list[str]], instruction: str) -> list[list[str]]:
    """Return what follows an instruction, each time it comes."""
    return [line[1:] for line in image if line[0] == instruction]


def ours(compose: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Return the services that are nodes of the tower."""
    return {name: one for name, one in compose["services"].items() if one.get("build") == "."}


def test_every_service_restarts_and_says_how_it_is(
    compose: dict[str, Any], image: list[list[str]]
) -> None:
    """The nodes by the health check of their image."""
    for name, service in compose["services"].items():
        assert service["restart"] == "always", name
        assert "healthcheck" in service or name in ours(compose), name
        for part in ("test", "interval", "timeout"):
            assert part in service.get("healthcheck", {part: 0}), name
    (check,) = words(image, "HEALTHCHECK")
    assert "/health'," in " ".join(check)


def test_nobody_starts_before_what_it_needs_is_well(compose: dict[str, Any]) -> None:
    """Each dependency is a service that is there, and waited for until its check passes."""
    services = compose["services"]
    needs = {name: one.get("depends_on", {}) for name, one in services.items()}
    for name, others in needs.items():
        for other, how in others.items():
            assert other in services, name
            assert how == {"condition": "service_healthy"}, name
    assert set(needs["proxy"]) == {"server"}
    assert all(set(needs[name]) == {"postgres", "redis"} for name in ours(compose))


def test_there_are_two_of_each_role_and_the_commands_exist(compose: dict[str, Any]) -> None:
    """Servers run no missions, workers serve nobody; either may die."""
    assert {name: one["deploy"]["replicas"] for name, one in ours(compose).items()} == {
        "server": 2,
        "worker": 2,
    }
    commands = {name: one["command"] for name, one in ours(compose).items()}
    assert commands == {"server": ["serve", "--role", "web"], "worker": ["worker"]}
    for command in commands.values():
        done = CliRunner().invoke(app, [*command, "--port", "0"])
        assert done.exit_code == 1
        assert "TOWER_REDIS_URL" in done.stderr, "it is understood, and misses what is not set here"


def test_nobody_is_root(compose: dict[str, Any]) -> None:
    """By the image's own user, or by one that is named here."""
    for name, service in compose["services"].items():
        if name not in ours(compose):
            assert service["user"].partition(":")[0] not in {"", "0", "root"}, name
        else:
            assert service["cap_drop"] == ["ALL"]
            assert service["read_only"] is True
        assert not service.get("privileged"), name


def test_every_network_and_volume_is_declared_and_used(compose: dict[str, Any]) -> None:
    """Compose would refuse one that is not, and one that nobody uses is a mistake, too."""
    services = compose["services"].values()
    assert {net for one in services for net in one["networks"]} == set(compose["networks"])
    named = {v.partition(":")[0] for one in services for v in one.get("volumes", ())}
    assert named == set(compose["volumes"])
    sources = {each["source"] for one in services for each in one.get("configs", ())}
    assert sources == set(compose["configs"])


def test_the_database_and_the_bus_are_reached_by_nodes_only(compose: dict[str, Any]) -> None:
    """From where people come in there is no way to them, nor from them to anywhere."""
    networks = {name: set(one["networks"]) for name, one in compose["services"].items()}
    assert networks["postgres"] == networks["redis"] == {"behind"}
    assert compose["networks"]["behind"] == {"internal": True}
    assert {name for name, nets in networks.items() if "behind" in nets} == {
        "postgres",
        "redis",
        *ours(compose),
    }


def test_only_the_proxy_is_reached_and_only_from_this_machine(compose: dict[str, Any]) -> None:
    """A database or a server without the proxy is nobody's business outside."""
    ports = {name: one["ports"] for name, one in compose["services"].items() if "ports" in one}
    assert ports == {"proxy": ["127.0.0.1:8080:8080"]}


def test_no_password_has_a_default(compose: dict[str, Any]) -> None:
    """Compose refuses to start without one."""
    text = (ROOT / "docker-compose.yml").read_text()
    used = re.findall(r"\$\{([^}]*)\}", text)
    assert used
    assert {each.split(":?")[0] for each in used} == {"POSTGRES_PASSWORD", "REDIS_PASSWORD"}
    assert all(":?" in each for each in used)
    assert compose["services"]["postgres"]["environment"]["POSTGRES_PASSWORD"].startswith("${")
    command = compose["services"]["redis"]["command"]
    assert command[command.index("--requirepass") + 1].startswith("${")


def test_images_are_of_a_version(compose: dict[str, Any], image: list[list[str]]) -> None:
    """What is built today is what was built yesterday, as far as a tag can say."""
    named = [one["image"] for one in compose["services"].values() if "build" not in one]
    named += [line[0] for line in words(image, "FROM")]
    assert all(re.search(r":\d", each) for each in named), named


def test_every_setting_that_is_given_exists(
    compose: dict[str, Any], image: list[list[str]]
) -> None:
    """A name nobody reads would be a promise that nobody keeps."""
    given = {name for one in compose["services"].values() for name in one.get("environment", {})}
    given |= {word.split("=")[0] for line in words(image, "ENV") for word in line}
    settings = {name for name in given if name.startswith(PREFIX)}
    assert {"TOWER_DATABASE_URL", "TOWER_REDIS_URL", "TOWER_AUTH", "TOWER_HOST"} <= settings
    assert settings <= SETTINGS


def test_each_node_has_a_data_folder_of_its_own(
    compose: dict[str, Any], image: list[list[str]]
) -> None:
    """The folder says who a node is: two with the same one would take turns in killing.

    The image declares it, so a container that is given no volume gets one that nobody else has.
    """
    assert words(image, "VOLUME") == [["/data"]]
    assert all("volumes" not in one for one in ours(compose).values())


def test_the_proxy_asks_who_is_ready_and_lets_sockets_live(compose: dict[str, Any]) -> None:
    """One health check a second, and no time-out of requests on an open socket."""
    text = compose["configs"]["haproxy"]["content"]
    assert "option httpchk GET /ready" in text
    assert "http-check expect status 200" in text
    assert "balance leastconn" in text
    assert re.search(r"timeout tunnel \d+h", text)
    ((most, service),) = re.findall(r"server-template \S+ (\d+) (\S+):8000", text)
    assert service == "server"
    assert int(most) >= ours(compose)["server"]["deploy"]["replicas"]
    connections = re.search(r"maxconn (\d+)", text)
    assert connections is not None
    files = compose["services"]["proxy"]["ulimits"]["nofile"]
    assert files > 2 * int(connections[1]), "haproxy refuses to start with fewer"


def test_the_image_holds_what_is_there_and_runs_without_rights(image: list[list[str]]) -> None:
    """Every file that it copies exists, and the last user is nobody's root."""
    for line in words(image, "COPY"):
        if not line[0].startswith("--from"):
            assert all((ROOT / source).exists() for source in line[:-1]), line
    (user,) = words(image, "USER")
    assert int(user[0]) > 0
    ignored = (ROOT / ".dockerignore").read_text().splitlines()
    copied = {s for line in words(image, "COPY") if line[0][0] != "-" for s in line[:-1]}
    assert ignored[0] == "*"
    assert copied <= {line.removeprefix("!") for line in ignored}


def test_the_image_installs_extras_that_there_are(image: list[list[str]]) -> None:
    """Among them what the compose file's database needs; what the bus does is always there."""
    said = re.search(r'"\.\[([a-z,]+)\]"', " ".join(" ".join(line) for line in image))
    assert said is not None
    extras = set(said[1].split(","))
    assert "postgres" in extras
    project = (ROOT / "pyproject.toml").read_text()
    assert all(f"\n{extra} = [" in project for extra in extras)
