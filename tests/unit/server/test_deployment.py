"""The image and the compose file, as far as they can be checked without Docker."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml  # type: ignore[import-untyped]

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


def test_every_service_restarts_and_says_how_it_is(
    compose: dict[str, Any], image: list[list[str]]
) -> None:
    """The servers by the health check of their image."""
    for name, service in compose["services"].items():
        assert service["restart"] == "always", name
        assert "healthcheck" in service or service.get("build") == ".", name
    (check,) = words(image, "HEALTHCHECK")
    assert "/health'," in " ".join(check)


def test_only_the_proxy_is_reached_and_only_from_this_machine(compose: dict[str, Any]) -> None:
    """A database or a server without the proxy is nobody's business outside."""
    ports = {name: one["ports"] for name, one in compose["services"].items() if "ports" in one}
    assert ports == {"proxy": ["127.0.0.1:8080:8080"]}


def test_no_password_has_a_default(compose: dict[str, Any]) -> None:
    """Compose refuses to start without one."""
    text = (ROOT / "docker-compose.yml").read_text()
    used = re.findall(r"\$\{([^}]*)\}", text)
    assert used
    assert {each.split(":?")[0] for each in used} == {"POSTGRES_PASSWORD"}
    assert all(":?" in each for each in used)
    assert compose["services"]["postgres"]["environment"]["POSTGRES_PASSWORD"].startswith("${")


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
    ours = {name for name in given if name.startswith(PREFIX)}
    assert {"TOWER_DATABASE_URL", "TOWER_AUTH", "TOWER_HOST", "TOWER_DATA_DIR"} <= ours
    assert ours <= SETTINGS


def test_each_server_has_a_data_folder_of_its_own(compose: dict[str, Any]) -> None:
    """The folder says who a server is: two with the same one would take turns in killing."""
    folders = [
        one["volumes"] for one in compose["services"].values() if one.get("build") is not None
    ]
    assert len(folders) == 2
    assert len({volume for each in folders for volume in each}) == 2


def test_the_proxy_asks_who_is_ready_and_lets_sockets_live(compose: dict[str, Any]) -> None:
    """One health check a second, and no time-out of requests on an open socket."""
    text = compose["configs"]["haproxy"]["content"]
    assert "option httpchk GET /ready" in text
    assert "http-check expect status 200" in text
    assert re.search(r"timeout tunnel \d+h", text)
    servers = re.findall(r"server (\S+) (\S+):8000", text)
    assert {name for name, _ in servers} == {"tower-a", "tower-b"} <= set(compose["services"])


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
    """Among them the driver that the compose file's database needs."""
    said = re.search(r'"\.\[([a-z,]+)\]"', " ".join(" ".join(line) for line in image))
    assert said is not None
    extras = set(said[1].split(","))
    assert "postgres" in extras
    project = (ROOT / "pyproject.toml").read_text()
    assert all(f"\n{extra} = [" in project for extra in extras)
