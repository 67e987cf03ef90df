"""What `doctor` says of machines that lack something. The machines are made: by namespaces and by seccomp filters."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from podflare_emulator.command.doctor import _client as client
from podflare_emulator.command.remedies import Surroundings, remedy
from podflare_emulator.guest.processes import probe
from podflare_emulator.hosting.machine.disposable import disposable

from ..matrix import SLOW

REFUSING = str(Path(__file__).with_name("refusing.py"))
DOCTOR = [sys.executable, "-m", "podflare_emulator", "doctor"]

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="it is Linux that has these abilities")


class Report:
    """The table, by ability."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.there: dict[str, bool] = {}
        self.words: dict[str, str] = {}
        self.remedies: dict[str, str] = {}
        ability = ""
        for line in text.splitlines()[1:]:
            if line[:1].strip() and line[22:27].strip() in ("yes", "no"):
                ability = line[:22].strip()
                self.there[ability] = line[22:27].strip() == "yes"
                self.words[ability] = line[27:]
            elif line.strip().startswith("to get it: "):
                self.remedies[ability] = line.split(": ", 1)[1]
        self.chosen = text.splitlines()[-1].removeprefix("--isolation auto takes: ")


def doctor(wrapper: Sequence[str] = (), **variables: str) -> Report:
    done = subprocess.run(
        [*wrapper, *DOCTOR],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": ":".join(filter(None, sys.path)), **variables},
        timeout=120,
    )
    if done.returncode:
        raise AssertionError(f"doctor ended with {done.returncode}:\n{done.stdout}{done.stderr}")
    return Report(done.stdout)


def refusing(number: str, *calls: str) -> list[str]:
    return [sys.executable, REFUSING, number, *calls, "--"]


def in_namespaces(first: str) -> list[str]:
    """Runs `first`, then the program, as root of namespaces of its own."""
    wrapper = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", f'{first} && exec "$@"', "sh"]
    tried = subprocess.run([*wrapper, "true"], capture_output=True, text=True)
    if tried.returncode:
        pytest.skip(f"the machine cannot be made here: {tried.stderr.strip()}")
    return wrapper


@SLOW
def test_every_ability_is_tried_and_the_emulator_can_run() -> None:
    report = doctor()
    tried = ("user namespace", "mounts inside it", "PID namespace", "fresh /proc", "network namespace")
    others = (
        "private network",
        "overlay inside it",
        "pidfd",
        "Landlock",
        "users and groups",
        "idmapped mounts",
        "root emulation",
    )
    others = (*others, "fakechroot", "open files", "temp directory")
    backends = ("namespace isolation", "preload isolation", "portable isolation")
    assert [*report.there] == ["Python", "bash", "podflare client", *tried, *others, *backends]
    assert report.there["portable isolation"]
    assert report.there[f"{report.chosen} isolation"]


@pytest.mark.parametrize(
    ("summary", "words"),
    [
        (None, "0.1.0, this project's SDK; it replaces the vendor's client, a package of the same name"),
        ("Podflare", "9.9.9, the vendor's client"),
    ],
    ids=["ours", "another"],
)
def test_the_installed_client_is_named(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    summary: str | None,
    words: str,
) -> None:
    if summary:
        package = tmp_path / "podflare-9.9.9.dist-info"
        package.mkdir()
        (package / "METADATA").write_text(f"Name: podflare\nVersion: 9.9.9\nSummary: {summary}\n")
        monkeypatch.syspath_prepend(tmp_path)
    client()
    assert words in capsys.readouterr().out


def test_without_a_client_it_says_so(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "path", [])
    client()
    said = capsys.readouterr().out
    assert "none installed" in said
    assert "pip install podflare" in said


@SLOW
def test_what_is_missing_has_a_price_and_a_remedy_and_what_is_there_has_none() -> None:
    lines = doctor(refusing("EPERM", "unshare")).text.splitlines()
    for number, line in enumerate(lines):
        prices = [following.strip().partition(":")[0] for following in lines[number + 1 : number + 3]]
        if line[22:27].strip() == "no":
            assert prices == ["costs you", "to get it"], line
        elif line[22:27].strip() == "yes":
            assert "costs you" not in prices[:1], line


@SLOW
def test_without_user_namespaces_as_in_docker_another_backend_is_taken() -> None:
    report = doctor(refusing("EPERM", "unshare"))
    assert not report.there["user namespace"]
    assert "Operation not permitted" in report.words["namespace isolation"]
    assert "--security-opt seccomp=unconfined" in report.remedies["namespace isolation"]
    assert report.remedies["network namespace"] == "as for the user namespace"
    assert report.chosen in ("preload", "portable")


@SLOW
def test_user_namespaces_that_are_switched_off_by_their_number() -> None:
    report = doctor(in_namespaces("echo 0 > /proc/sys/user/max_user_namespaces"))
    assert "No space left on device" in report.words["user namespace"]
    assert report.remedies["namespace isolation"].startswith("sysctl -w user.max_user_namespaces=")
    assert report.chosen in ("preload", "portable")


@SLOW
def test_a_chroot_is_not_sent_after_what_the_kernel_has(tmp_path: Path) -> None:
    report = doctor([*in_namespaces(f"mount --rbind / {tmp_path}"), "chroot", str(tmp_path)])
    assert not report.there["user namespace"]
    for ability in ("user namespace", "namespace isolation"):
        assert "CONFIG_USER_NS" not in report.remedies[ability]
        assert "The kernel never allows it in a chroot" in report.remedies[ability]
    for ability in ("users and groups", "idmapped mounts"):
        assert report.remedies[ability] == "as for the user namespace"


@SLOW
def test_without_bash() -> None:
    hidden = " && ".join(
        f"mount --bind /dev/null {place}" for place in ("/bin/bash", "/usr/bin/bash") if os.path.exists(place)
    )
    report = doctor(in_namespaces(hidden))
    assert not report.there["bash"]
    assert "apt-get install -y bash" in report.remedies["bash"]
    assert report.there["portable isolation"]


@SLOW
@pytest.mark.usefixtures("namespace_emulator")
def test_user_namespaces_without_mounts() -> None:
    report = doctor(refusing("EACCES", "mount"))
    assert report.there["user namespace"]
    assert "Permission denied" in report.words["mounts inside it"]
    assert "Permission denied" in report.words["namespace isolation"]
    assert "--security-opt seccomp=unconfined" in report.remedies["namespace isolation"]
    assert report.chosen in ("preload", "portable")


@SLOW
def test_a_proc_that_is_masked_as_docker_does_it() -> None:
    report = doctor(in_namespaces("mount --bind /dev/null /proc/keys"))
    assert report.there["mounts inside it"]
    assert report.there["PID namespace"]
    assert "Operation not permitted" in report.words["fresh /proc"]
    assert "--security-opt systempaths=unconfined" in report.remedies["namespace isolation"]
    assert report.chosen in ("preload", "portable")


@SLOW
def test_a_kernel_without_landlock() -> None:
    report = doctor(refusing("ENOSYS", "landlock_create_ruleset"))
    assert report.words["Landlock"] == "landlock_create_ruleset: Function not implemented (ENOSYS)"
    assert "Linux 5.13" in report.remedies["Landlock"]


@pytest.mark.skipif(disposable(), reason="this is a container or CI: nobody minds")
def test_without_landlock_and_namespaces_nothing_is_taken_unasked() -> None:
    report = doctor(refusing("EPERM", "landlock_create_ruleset", "unshare"))
    assert report.there["portable isolation"]
    assert "auto leaves it out: this kernel has no Landlock" in report.words["portable isolation"]
    assert report.chosen in (
        "nothing unasked; say --isolation preload",
        "nothing unasked; say --isolation portable",
    )


@SLOW
def test_a_kernel_without_seccomp_filters() -> None:
    report = doctor(refusing("EINVAL", "seccomp"))
    assert report.words["root emulation"] == "seccomp: Invalid argument (EINVAL)"
    assert "CONFIG_SECCOMP_FILTER" in report.remedies["root emulation"]
    assert report.there["portable isolation"]


@SLOW
@pytest.mark.skipif(shutil.which("prlimit") is None, reason="prlimit is not installed")
def test_few_open_files() -> None:
    report = doctor(["prlimit", "--nofile=256:256"])
    assert not report.there["open files"]
    assert "--ulimit nofile=" in report.remedies["open files"]


@SLOW
def test_a_temp_directory_that_nothing_can_be_run_from(tmp_path: Path) -> None:
    report = doctor(in_namespaces(f"mount -t tmpfs -o noexec none {tmp_path}"), TMPDIR=str(tmp_path))
    assert report.words["temp directory"] == f"{tmp_path} is mounted noexec"
    assert "TMPDIR=" in report.remedies["temp directory"]


@SLOW
def test_a_python_that_is_none_ends_it_with_1() -> None:
    done = subprocess.run([*DOCTOR, "--python", "/bin/true"], capture_output=True, text=True)
    assert done.returncode == 1
    assert "does not run as a Python interpreter" in done.stdout


@pytest.mark.parametrize(
    ("around", "how"),
    [
        (
            Surroundings({"kernel.apparmor_restrict_unprivileged_userns": "1"}),
            "sysctl -w kernel.apparmor_restrict_unprivileged_userns=0 (Ubuntu 24.04's AppArmor forbids it)",
        ),
        (
            Surroundings({"kernel.unprivileged_userns_clone": "0"}),
            "sysctl -w kernel.unprivileged_userns_clone=1",
        ),
        (
            Surroundings(filtered=True, profile="docker-default"),
            "in Docker: --security-opt seccomp=unconfined --security-opt apparmor=unconfined "
            "--security-opt systempaths=unconfined",
        ),
        (
            Surroundings(namespaces=True),
            "the kernel supports it, but something unknown forbids it. The kernel never allows it in a chroot: if this "
            "is one, start the emulator outside, or use bwrap or systemd-nspawn instead of chroot",
        ),
        (Surroundings(), "a kernel built with user namespaces (CONFIG_USER_NS)"),
    ],
)
def test_the_remedy_names_what_forbids_it(around: Surroundings, how: str) -> None:
    answers = dict.fromkeys(
        (
            probe.USER_NAMESPACE,
            probe.MOUNTS,
            probe.PID_NAMESPACE,
            probe.FRESH_PROC,
            probe.NETWORK_NAMESPACE,
            probe.OVERLAY,
        ),
        "Operation not permitted (EPERM)",
    )
    assert remedy(probe.USER_NAMESPACE, answers, around) == how
    assert remedy(probe.MOUNTS, answers, around) == "as for the user namespace"
