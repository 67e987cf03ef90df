"""`Sandbox.upload` and `download`."""

from pathlib import Path

import pytest

from podflare import Sandbox

from .printed import printed


def test_what_is_uploaded_is_downloaded(sandbox: Sandbox) -> None:
    sandbox.upload(b"hello", "/root/hello.txt")
    assert sandbox.download("/root/hello.txt") == b"hello"


@pytest.mark.parametrize(
    "content",
    [b"", b"\n", b"\0", bytes(range(256)), b"\r\n\r\n", "🐍\u2028".encode(), b"x" * 5_000_000],
    ids=["empty", "newline", "nul", "every-byte", "crlf", "unicode", "5MB"],
)
def test_every_byte_comes_through(sandbox: Sandbox, content: bytes) -> None:
    sandbox.upload(content, "/tmp/file")
    assert sandbox.download("/tmp/file") == content


@pytest.mark.parametrize(
    "name",
    [
        "with space",
        "quote'",
        'double"',
        "line\nbreak",
        "carriage\rreturn",
        "ünïcode 🐍",
        "back\\slash",
        "$HOME",
        "`id`",
        "-rf",
        "{x}%s",
        "\u2028",
        "not-utf-8-\udcff",
        "n" * 255,
    ],
)
def test_any_file_name_works(sandbox: Sandbox, name: str) -> None:
    sandbox.upload(b"content", f"/root/{name}")
    assert sandbox.download(f"/root/{name}") == b"content"
    assert printed(sandbox, f"import os; print(os.listdir('/root') == [{name!a}])") == "True"


def test_directories_are_made(sandbox: Sandbox) -> None:
    sandbox.upload(b"deep", "/workspace/a/b/c/file")
    assert printed(sandbox, "cat /workspace/a/b/c/file", "bash") == "deep"


def test_an_upload_replaces_and_keeps_the_mode(sandbox: Sandbox) -> None:
    printed(sandbox, "echo 'a longer text' > /root/file; chmod 741 /root/file", "bash")
    sandbox.upload(b"short", "/root/file")
    assert printed(sandbox, "cat /root/file; stat -c %a /root/file", "bash") == "short741"


def test_a_relative_path_starts_from_the_working_directory(sandbox: Sandbox) -> None:
    printed(sandbox, "import os; os.mkdir('/root/d'); os.chdir('/root/d')")
    sandbox.upload(b"content", "file")
    assert sandbox.download("/root/d/file") == sandbox.download("file") == b"content"


@pytest.mark.parametrize("kind", [bytearray, memoryview])
def test_bytes_like_data_is_uploaded(sandbox: Sandbox, kind: type) -> None:
    sandbox.upload(kind(b"content"), "/root/file")
    assert sandbox.download("/root/file") == b"content"


@pytest.mark.parametrize("kind", [str, Path])
def test_a_local_path_is_uploaded(sandbox: Sandbox, tmp_path: Path, kind: type) -> None:
    (tmp_path / "local").write_bytes(b"content")
    sandbox.upload(kind(tmp_path / "local"), "/root/file")
    assert sandbox.download("/root/file") == b"content"


def test_text_that_names_no_local_file_is_refused_with_advice(sandbox: Sandbox) -> None:
    with pytest.raises(OSError, match="encode"):
        sandbox.upload("some text", "/root/file")


def test_a_download_of_what_is_missing_names_the_path(sandbox: Sandbox) -> None:
    with pytest.raises(FileNotFoundError, match="/root/missing"):
        sandbox.download("/root/missing")


def test_a_download_of_a_directory_names_the_path(sandbox: Sandbox) -> None:
    with pytest.raises(IsADirectoryError, match="/root"):
        sandbox.download("/root")


def test_an_upload_onto_a_directory_names_the_path(sandbox: Sandbox) -> None:
    with pytest.raises(IsADirectoryError, match="/tmp"):
        sandbox.upload(b"content", "/tmp")


def test_an_upload_below_a_file_names_the_path(sandbox: Sandbox) -> None:
    printed(sandbox, "touch /root/file", "bash")
    with pytest.raises(IOError, match="/root/file/below"):
        sandbox.upload(b"content", "/root/file/below")


def test_no_name_and_no_file_is_left_behind(sandbox: Sandbox) -> None:
    count = "import os; print(sorted(globals()), os.listdir('/tmp'))"
    before = printed(sandbox, count)
    sandbox.upload(b"x" * 3_000_000, "/root/file")
    sandbox.download("/root/file")
    assert printed(sandbox, count) == before


def test_names_that_the_user_has_rebound_do_no_harm(sandbox: Sandbox) -> None:
    printed(sandbox, "open = print = exec = len = None; os = json = base64 = sys = 1")
    sandbox.upload(b"content", "/root/file")
    assert sandbox.download("/root/file") == b"content"
