"""Settings say no with a line that names the setting, what was given and what is allowed."""

import re
import sys
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

from podflare_emulator import Emulator, EmulatorError
from podflare_emulator.vocabulary.settings import Changes, Mount, Settings, SettingsError

from ..matrix import SLOW


def test_the_defaults_listen_on_loopback_alone() -> None:
    settings = Settings()
    assert (settings.host, settings.port, settings.isolation, settings.fork) == (
        "127.0.0.1",
        7070,
        "auto",
        "live",
    )


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        (
            {},
            {"host": "127.0.0.1", "port": 7070, "api_keys": (), "auth_disabled": False, "log_format": "text"},
        ),
        ({"PODFLARE_API_KEYS": "a,b"}, {"api_keys": ("a", "b")}),
        ({"PODFLARE_API_KEYS": " a , ,b,"}, {"api_keys": ("a", "b")}),
        ({"PODFLARE_API_KEYS": ""}, {"api_keys": ()}),
        ({"PODFLARE_AUTH_DISABLED": "1"}, {"auth_disabled": True}),
        ({"PODFLARE_AUTH_DISABLED": "0"}, {"auth_disabled": False}),
        ({"PODFLARE_AUTH_DISABLED": ""}, {"auth_disabled": False}),
        ({"PODFLARE_HOSTD_ADDR": "127.0.0.2:8080"}, {"host": "127.0.0.2", "port": 8080}),
        ({"PODFLARE_HOSTD_ADDR": "localhost:0"}, {"host": "localhost", "port": 0}),
        ({"PODFLARE_HOSTD_ADDR": "[::1]:7071"}, {"host": "::1", "port": 7071}),
        ({"PODFLARE_HOSTD_ADDR": ""}, {"host": "127.0.0.1", "port": 7070}),
        ({"PODFLARE_LOG_FORMAT": "json"}, {"log_format": "json"}),
        ({"PODFLARE_LOG_FORMAT": ""}, {"log_format": "text"}),
    ],
)
def test_the_environment_is_read(environ: dict[str, str], expected: dict[str, Any]) -> None:
    settings = Settings.from_environment(environ)
    assert {name: getattr(settings, name) for name in expected} == expected


def test_what_is_given_wins_over_the_environment() -> None:
    environ = {
        "PODFLARE_HOSTD_ADDR": "127.0.0.2:8080",
        "PODFLARE_API_KEYS": "a",
        "PODFLARE_LOG_FORMAT": "json",
    }
    settings = Settings.from_environment(environ, port=9, api_keys=("b",), log_format="text")
    assert (settings.host, settings.port, settings.api_keys, settings.log_format) == (
        "127.0.0.2",
        9,
        ("b",),
        "text",
    )


@pytest.mark.parametrize(
    "environ",
    [
        *(
            {"PODFLARE_HOSTD_ADDR": given}
            for given in ("7070", ":7070", "localhost", "localhost:http", "::1:7070")
        ),
        *({"PODFLARE_HOSTD_ADDR": given} for given in ("localhost:70000", "localhost:-1", "[]:1", "[::1]")),
        {"PODFLARE_AUTH_DISABLED": "true"},
        {"PODFLARE_LOG_FORMAT": "yaml"},
    ],
)
def test_a_variable_that_cannot_be_read_is_refused(environ: dict[str, str]) -> None:
    with pytest.raises(SettingsError):
        Settings.from_environment(environ)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"host": ""}, "host: expected an address"),
        ({"host": "http://localhost"}, "host: expected an address"),
        ({"port": -1}, "port: expected 0 to 65535, got -1"),
        ({"port": 65536}, "port: expected 0 to 65535, got 65536"),
        ({"pool_size": -1}, "pool size: expected 0 or more, got -1"),
        (
            {"isolation": "vm"},
            "isolation: expected auto, namespace, preload or portable, got 'vm'",
        ),
        ({"fork": "magic"}, "fork: expected live or replay, got 'magic'"),
        ({"fork_files": "links"}, "fork files: expected auto, layers or copy, got 'links'"),
        (
            {"fork_files": "layers", "isolation": "preload"},
            "fork files: preload isolation has no layers; give ",
        ),
        ({"fork_files": "layers", "fork": "replay"}, "fork files: a fork by replay shares no layers; give "),
        ({"log_format": "yaml"}, "log format: expected text or json, got 'yaml'"),
        ({"network": "none"}, "network: expected auto, private or host, got 'none'"),
        ({"reachable": "127.0.0.1:80"}, "reachable: expected a tuple such as [('127.0.0.1', 8080)], got "),
        (
            {"reachable": [("10.0.0.1", 80)]},
            "reachable: expected a loopback address, such as ('127.0.0.1', 8080)",
        ),
        ({"reachable": [("127.0.0.1", 70000)]}, "reachable: expected a port from 1 to 65535, got "),
        ({"profile": "cloud"}, "profile: expected local or hosted, got 'cloud'"),
        ({"host": None}, "host: expected an address"),
        ({"port": "7070"}, "port: expected 0 to 65535, got '7070'"),
        ({"port": True}, "port: expected 0 to 65535, got True"),
        ({"pool_size": 1.5}, "pool size: expected 0 or more, got 1.5"),
        ({"egress": "no"}, "egress: expected True or False, got 'no'"),
        ({"egress": 0}, "egress: expected True or False, got 0"),
        ({"auth_disabled": "0"}, "auth_disabled: expected True or False, got '0'"),
        ({"egress_denied": "lose"}, "egress denied: expected refuse or drop, got 'lose'"),
        ({"echo_last_expression": 1}, "echo_last_expression: expected True or False, got 1"),
        ({"egress_unenforced": None}, "egress_unenforced: expected True or False, got None"),
        ({"files_on_disk": "yes"}, "files_on_disk: expected True or False, got 'yes'"),
        ({"isolation": ["portable"]}, "isolation: expected auto, namespace, preload or portable, got "),
        ({"api_keys": "pk"}, "api_keys: expected a tuple such as ('pk_test',), got str"),
        ({"api_keys": (b"pk",)}, "api key: "),
        ({"allow_hosts": "devbox"}, "allow_hosts: expected a tuple such as ('devbox',), got 'devbox'"),
        ({"allow_hosts": (1,)}, "allow host: "),
        (
            {"mounts": "./data:/data"},
            "mounts: expected a tuple such as ('./data:/data',), got './data:/data'",
        ),
        (
            {"mounts": [("./data", "/data")]},
            "mounts: expected strings such as './data:/data', or Mount, got ",
        ),
        ({"mounts": ["./no-such-folder:/data"]}, "no such file or folder on the host"),
        ({"python": 3}, "python: expected a path such as /usr/bin/python3, got 3"),
        ({"env": ["TZ=UTC"]}, "env: expected a dict such as {'TZ': 'UTC'}, got list"),
        ({"env": {"A=B": "1"}}, "env: expected the name of a variable, such as TZ, got 'A=B'"),
        ({"env": {"A": 1}}, "env: A: expected a string without NUL characters, got int"),
        ({"env": {"PATH": "/bin"}}, "env: PATH is the sandbox's own; set it in the code that you run"),
        ({"python": "/no/such/python"}, "python: no executable file '/no/such/python'"),
        ({"api_keys": ("",)}, "api key: "),
        ({"api_keys": ("a b",)}, "api key: "),
        ({"api_keys": ("é",)}, "api key: "),
        ({"allow_hosts": ("http://devbox",)}, "allow host: "),
        ({"allow_hosts": ("devbox:7070",)}, "allow host: "),
        ({"allow_hosts": ("*",)}, "allow host: "),
        ({"allow_hosts": ("",)}, "allow host: "),
        ({"webhook_url": "ftp://here/"}, "webhook url: expected a URL such as"),
        ({"webhook_url": "http://a..b/"}, "webhook url: expected a URL such as"),
        ({"webhook_url": "http://here/caf\xe9"}, "webhook url: percent-encode spaces and what is not ASCII"),
        ({"webhook_url": "http://here/a b"}, "webhook url: percent-encode spaces and what is not ASCII"),
        ({"endpoint": "http://here/\n"}, "endpoint: percent-encode spaces and what is not ASCII"),
    ],
)
def test_a_value_that_cannot_be_used_is_refused(given: dict[str, Any], message: str) -> None:
    with pytest.raises(SettingsError, match=re.escape(message)) as refusal:
        Settings(**given)
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "10.0.0.1", "devbox"])
def test_an_address_beyond_loopback_needs_keys_or_an_explicit_no(host: str) -> None:
    with pytest.raises(SettingsError, match=r"--api-key.*PODFLARE_API_KEYS.*PODFLARE_AUTH_DISABLED=1"):
        Settings(host=host)
    assert Settings(host=host, api_keys=("pk",)).host == host
    assert Settings(host=host, auth_disabled=True).host == host


@pytest.mark.parametrize("host", ["127.0.0.1", "127.1.2.3", "localhost", "::1"])
def test_a_loopback_address_needs_no_key(host: str) -> None:
    assert Settings(host=host).host == host


def test_the_keys_do_not_show_where_settings_are_printed() -> None:
    assert "pk_secret" not in repr(Settings(api_keys=("pk_secret",)))


def test_python_is_made_absolute_and_not_resolved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "python").symlink_to(sys.executable)
    monkeypatch.chdir(tmp_path)
    assert Settings(python="./python").python == str(tmp_path / "python")


def test_python_may_be_a_name_on_the_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "python9").symlink_to(sys.executable)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert Settings(python="python9").python == str(tmp_path / "python9")


def test_a_python_that_cannot_be_executed_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for path in (tmp_path, tmp_path / "file"):
        with pytest.raises(SettingsError, match="no executable file"):
            Settings(python=str(path))


@pytest.mark.parametrize("target", ["/data", "/data/", "//data", "/x/../data/."])
def test_a_mount_is_read_relative_to_the_current_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, target: str
) -> None:
    (tmp_path / "a:b").mkdir()
    monkeypatch.chdir(tmp_path)
    assert Mount.parse(f"./a:b:{target}") == Mount(str(tmp_path / "a:b"), "/data")


@pytest.mark.parametrize("text", ["", ":", "data", "data:", ":/data", "/no/such/folder:/data"])
def test_a_mount_that_is_not_a_pair_of_paths_is_refused(text: str) -> None:
    with pytest.raises(SettingsError, match="mount"):
        Mount.parse(text)


@pytest.mark.parametrize(
    "target",
    [
        "data",
        "./data",
        "/",
        "//",
        "/..",
        "/usr",
        "/usr/",
        "/usr/local/x",
        "/proc/1",
        "/dev",
        "/etc/x",
        "/x/../etc",
    ],
)
def test_a_mount_over_the_root_or_a_system_directory_is_refused(tmp_path: Path, target: str) -> None:
    with pytest.raises(SettingsError, match=r"the sandbox path must|belongs to the system"):
        Mount.parse(f"{tmp_path}:{target}")


def test_a_directory_that_only_begins_like_a_system_directory_is_fine(tmp_path: Path) -> None:
    assert Mount.parse(f"{tmp_path}:/devices").target == "/devices"


@pytest.mark.parametrize(("source", "target"), [(".", "/data"), ("/", "/data/"), ("/", "/a/../b")])
def test_a_mount_made_by_hand_must_be_absolute_and_normalised(source: str, target: str) -> None:
    with pytest.raises(SettingsError):
        Mount(source, target)


def test_one_place_for_two_mounts_is_refused(tmp_path: Path) -> None:
    mount = Mount(str(tmp_path), "/data")
    with pytest.raises(SettingsError, match="'/data' is given twice"):
        Settings(mounts=(mount, mount))


@pytest.mark.parametrize("seed", [-1, 1.0, True, "7"])
def test_a_seed_is_a_whole_number(seed: Any) -> None:
    with pytest.raises(SettingsError, match="seed: expected a whole number from 0, such as 7"):
        Settings(seed=seed)


def test_what_can_only_mean_one_thing_is_taken(tmp_path: Path) -> None:
    settings = Settings(mounts=[f"{tmp_path}:/data"], api_keys=["pk"], python=Path(sys.executable))  # type: ignore[arg-type]
    assert settings.mounts == (Mount(str(tmp_path), "/data"),)
    assert settings.api_keys == ("pk",)
    assert settings.python == sys.executable


def test_secrets_are_not_in_a_refusal_or_where_settings_are_printed() -> None:
    with pytest.raises(SettingsError) as refusal:
        Settings(api_keys="pk_secret")  # type: ignore[arg-type]
    assert "pk_secret" not in str(refusal.value)
    assert "pk_secret" not in repr(Settings(env={"TOKEN": "pk_secret"}))


def test_a_refusal_is_an_error_of_the_emulators_and_of_a_value() -> None:
    assert issubclass(SettingsError, EmulatorError)
    assert issubclass(SettingsError, ValueError)


def test_what_an_emulator_takes_by_name_are_the_settings() -> None:
    assert {*Changes.__annotations__} - {"fork_engine"} == {field.name for field in fields(Settings)}


def test_the_old_name_of_fork_works_and_says_so() -> None:
    with pytest.warns(DeprecationWarning, match="fork_engine is called fork now") as warned:
        emulator = Emulator(fork_engine="replay")
    assert warned[0].filename == __file__
    assert emulator.settings.fork == "replay"
    with pytest.warns(DeprecationWarning, match="fork_engine is called fork now"):
        assert emulator.settings.fork_engine == "replay"


@SLOW
def test_a_setting_that_does_not_exist_is_refused_with_the_nearest() -> None:
    with pytest.raises(SettingsError, match="isolaton: no such setting; did you mean isolation"):
        Emulator(isolaton="portable")  # type: ignore[call-arg]
    with pytest.raises(
        SettingsError, match="settings: expected Settings, or its fields by name, got 'portable'"
    ):
        Emulator("portable")  # type: ignore[arg-type]
