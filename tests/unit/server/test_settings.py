"""Settings: the contract's defaults, the order of sources, and what refuses to start."""

from pathlib import Path

import pytest

from server.settings import NAMES, Settings, SettingsError, load, shown

DEFAULTS = {
    "host": "127.0.0.1",
    "port": 8000,
    "data_dir": Path("data"),
    "database_url": None,
    "redis_url": None,
    "apps": (),
    "config": None,
    "model": None,
    "auth": "off",
    "jwt_secret": None,
    "jwt_jwks": None,
    "allowed_hosts": (),
    "allowed_origins": (),
    "cors_origins": (),
    "max_running": 256,
    "max_running_per_user": 64,
    "max_queued_per_user": 10_000,
    "missions_per_day": None,
    "tokens_per_day": None,
    "cost_per_day_usd": None,
    "submits_per_min": 600,
    "max_connections": 10_000,
    "max_connections_per_user": 50,
    "rate_limits": True,
    "max_frame_bytes": 65_536,
    "max_body_bytes": 1_048_576,
    "send_buffer_bytes": 1_048_576,
    "park_after_s": 60,
    "drain_s": 15,
    "confirmation_ttl_s": 3600,
    "clarification_ttl_s": 86_400,
    "retain_events_days": 30,
    "retain_keys_days": 7,
    "log_level": "info",
    "log_format": "auto",
}


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working folder, so that no tower.toml is found."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_every_default_is_the_contracts() -> None:
    """The table of settings.md, row by row."""
    settings = load().settings
    assert {name: getattr(settings, name) for name in NAMES} == DEFAULTS


def test_every_setting_is_described() -> None:
    """`tower doctor` has something to say about each."""
    assert all(Settings.model_fields[name].description for name in NAMES)


def test_command_line_over_environment_over_file_over_default(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each source wins over those below it, and `sources` tells which did."""
    (folder / "tower.toml").write_text('port = 1\nmax_running = 2\nmodel = "mock:x"\n')
    monkeypatch.setenv("TOWER_PORT", "3")
    monkeypatch.setenv("TOWER_MAX_RUNNING", "4")
    loaded = load({"port": 5, "host": None})
    settings = loaded.settings
    assert (settings.port, settings.max_running, settings.model) == (5, 4, "mock:x")
    origins = {source.name: source.origin for source in loaded.sources()}
    assert origins["TOWER_PORT"] == "command line"
    assert origins["TOWER_MAX_RUNNING"] == "environment"
    assert origins["TOWER_MODEL"] == "tower.toml"
    assert origins["TOWER_HOST"] == "default"


def test_an_empty_variable_is_not_set(monkeypatch: pytest.MonkeyPatch) -> None:
    """`TOWER_MODEL=` in a compose file means no model."""
    monkeypatch.setenv("TOWER_MODEL", "")
    monkeypatch.setenv("TOWER_PORT", "")
    loaded = load()
    assert (loaded.settings.model, loaded.settings.port) == (None, 8000)
    assert {s.origin for s in loaded.sources()} == {"default"}


def test_lists_are_separated_by_commas(monkeypatch: pytest.MonkeyPatch) -> None:
    """In the environment a list is text; in the file it is a list."""
    monkeypatch.setenv("TOWER_APPS", "a.py, pkg.mod ,")
    monkeypatch.setenv("TOWER_ALLOWED_ORIGINS", "https://A.example,http://b.example:8080")
    settings = load().settings
    assert settings.apps == ("a.py", "pkg.mod")
    assert settings.allowed_origins == ("https://a.example", "http://b.example:8080")


@pytest.mark.parametrize(("text", "value"), [("off", False), ("on", True), ("false", False)])
def test_switches_take_words(text: str, value: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """`TOWER_RATE_LIMITS=off`, as the table writes it."""
    monkeypatch.setenv("TOWER_RATE_LIMITS", text)
    assert load().settings.rate_limits is value


def test_the_file_has_tables(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Profiles, MCP servers and prices come from TOWER_CONFIG."""
    path = folder / "other.toml"
    path.write_text(
        '[profiles.dev]\nagent = "echo"\nquota = { max_llm_calls = 3 }\n'
        '[mcp.files]\ncommand = "npx"\nargs = ["x"]\n'
        '[prices."openai:gpt-x"]\ninput_per_million_usd = 1.5\noutput_per_million_usd = 6\n'
    )
    monkeypatch.setenv("TOWER_CONFIG", str(path))
    loaded = load()
    assert loaded.settings.profiles["dev"].agent == "echo"
    assert loaded.settings.mcp["files"].args == ("x",)
    assert loaded.settings.prices["openai:gpt-x"].output_per_million_usd == 6
    assert loaded.warnings == ()


def test_an_unknown_name_is_a_warning_with_the_nearest(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A typo is said, not swallowed, and stops nothing."""
    monkeypatch.setenv("TOWER_PROT", "1")
    (folder / "tower.toml").write_text("maxrunning = 2\n")
    first, second = load().warnings
    assert "TOWER_PROT" in first
    assert "TOWER_PORT" in first
    assert "maxrunning" in second
    assert "max_running" in second


def test_names_of_others_are_no_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    """The provider's address and the test suite's switches are read elsewhere."""
    monkeypatch.setenv("TOWER_LLAMACPP_URL", "http://127.0.0.1:8080")
    monkeypatch.setenv("TOWER_REQUIRE_ALL", "1")
    assert load().warnings == ()


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("TOWER_PORT", "70000", "TOWER_PORT"),
        ("TOWER_PORT", "eighty", "TOWER_PORT"),
        ("TOWER_AUTH", "maybe", "TOWER_AUTH"),
        ("TOWER_DRAIN_S", "-1", "TOWER_DRAIN_S"),
        ("TOWER_MAX_RUNNING", "0", "TOWER_MAX_RUNNING"),
        ("TOWER_LOG_LEVEL", "loud", "TOWER_LOG_LEVEL"),
        ("TOWER_ALLOWED_ORIGINS", "example.com", "scheme://host"),
        ("TOWER_CORS_ORIGINS", "https://a/b", "without a path"),
    ],
)
def test_a_wrong_value_names_the_setting(
    name: str, value: str, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The message says what to mend."""
    monkeypatch.setenv(name, value)
    with pytest.raises(SettingsError, match=said):
        load()


@pytest.mark.parametrize("text", ["port = ", "\xff"])
def test_a_broken_file_is_named(text: str, folder: Path) -> None:
    """Not TOML, not UTF-8."""
    (folder / "tower.toml").write_bytes(text.encode("latin1"))
    with pytest.raises(SettingsError, match=r"tower\.toml can't be read"):
        load()


def test_a_missing_named_file_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """A name that was given is meant."""
    monkeypatch.setenv("TOWER_CONFIG", "nowhere.toml")
    with pytest.raises(SettingsError, match=r"nowhere\.toml"):
        load()


@pytest.mark.parametrize("host", ["0.0.0.0", "192.168.1.5", "::", "tower.example"])
def test_others_may_not_reach_a_server_without_auth(host: str) -> None:
    """It refuses to start and says how."""
    with pytest.raises(SettingsError, match="TOWER_AUTH=keys"):
        load({"host": host})


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "::1", "127.8.9.10", "[::1]"])
def test_loopback_needs_no_auth(host: str) -> None:
    """Only this machine can connect."""
    assert load({"host": host}).settings.host == host


def test_with_auth_any_address_will_do() -> None:
    """`keys` is auth."""
    assert load({"host": "0.0.0.0", "auth": "keys"}).settings.host == "0.0.0.0"


def test_jwt_needs_something_to_check_with() -> None:
    """Neither a secret nor keys: every token would be refused, or worse."""
    with pytest.raises(SettingsError, match="TOWER_JWT_SECRET"):
        load({"auth": "jwt"})


@pytest.mark.parametrize("name", ["cors_origins", "allowed_origins"])
def test_any_origin_is_refused(name: str) -> None:
    """A star would let any page act with its visitor's credentials."""
    with pytest.raises(SettingsError, match="exact origins"):
        load({name: ("*",)})


def test_a_users_limits_do_not_hold_while_auth_is_off() -> None:
    """Everybody is `local` then; set on purpose, they do hold."""
    assert load().settings.running_per_user is None
    assert load().settings.connections_per_user is None
    assert load({"max_running_per_user": 3}).settings.running_per_user == 3
    assert load({"auth": "keys"}).settings.running_per_user == 64
    assert load({"auth": "keys"}).settings.connections_per_user == 50


def test_secrets_are_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    """`tower doctor` may be pasted into an issue."""
    monkeypatch.setenv("TOWER_AUTH", "jwt")
    monkeypatch.setenv("TOWER_JWT_SECRET", "s3cret-s3cret")
    shown = "\n".join(f"{source.name}={source.value}" for source in load().sources())
    assert "s3cret" not in shown


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("postgresql://me:hunter22@db.example/tower", "postgresql://me:***@db.example/tower"),
        ("redis://:hunter22@cache/0", "redis://:***@cache/0"),
        ("redis://cache/0", "redis://cache/0"),
        ("plain text", "plain text"),
        (("a", "b"), "a,b"),
        ((), "none"),
        (None, "none"),
        (True, "on"),
        (5, "5"),
    ],
)
def test_values_are_shown_without_passwords(value: object, expected: str) -> None:
    """`tower doctor` may be pasted into an issue."""
    assert shown(value) == expected


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("TOWER_DATABASE_URL", "mysql://me:hunter22@db.example/tower", "is postgresql://"),
        ("TOWER_REDIS_URL", "redis://:hunter22@cache/0", "set TOWER_DATABASE_URL"),
        ("TOWER_REDIS_URL", "http://:hunter22@cache/0", "is redis://"),
        ("TOWER_REDIS_URL", "redis://:hunter22/x@cache/0", "%2F"),
        ("TOWER_REDIS_URL", "redis://:hunter22@[cache/0", "can't be read"),
    ],
)
def test_what_can_not_be_served_is_refused(
    name: str, value: str, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rather than quietly keeping everything somewhere else."""
    monkeypatch.setenv(name, value)
    with pytest.raises(SettingsError, match=said) as refused:
        load()
    assert "hunter22" not in str(refused.value)


@pytest.mark.parametrize("scheme", ["postgresql", "postgres"])
def test_a_database_server_can_be_named(scheme: str) -> None:
    """By either of the names that libpq knows."""
    url = f"{scheme}://me@db.example/tower"
    assert load({"database_url": url}).settings.database_url == url


@pytest.mark.parametrize(
    "url", ["redis://cache:6379/0", "rediss://cache", "unix:///run/redis.sock"]
)
def test_a_bus_can_be_named_beside_a_database(url: str) -> None:
    """By TCP, by TLS, or by a socket of this machine."""
    given = {"database_url": "postgresql://db.example/tower", "redis_url": url}
    assert load(given).settings.redis_url == url
