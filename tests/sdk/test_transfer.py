import array
import io
import os
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest

from podflare import Client, Sandbox

from ..matrix import SLOW

_NAMES = [
    "a b.txt",
    'it\'s "quoted".txt',
    "two\nlines",
    "été 📁",
    "$HOME;`id`",
    "-rf",
    "back\\slash",
    "{x}%s",
]
_BIG = bytes(range(256)) * 20_000  # 5 MB: more than one request


@pytest.mark.parametrize("name", _NAMES)
def test_any_file_name_works(sandbox: Sandbox, name: str) -> None:
    sandbox.upload(b"content", name)
    assert sandbox.download(name) == b"content"
    assert sandbox.run_code("import os; print(os.listdir())").stdout == repr([name])


def test_a_name_that_is_no_utf8_works(sandbox: Sandbox) -> None:
    sandbox.upload(b"content", os.fsdecode(b"\xff"))
    assert sandbox.run_code("import os; print(os.listdir(b'.'))").stdout == repr([b"\xff"])
    assert sandbox.download(os.fsdecode(b"\xff")) == b"content"


@pytest.mark.parametrize(
    "content", [b"", b"\x00\xff\r\n", bytes(range(256)), _BIG], ids=["empty", "crlf", "all", "big"]
)
def test_bytes_come_back_as_they_were(sandbox: Sandbox, content: bytes) -> None:
    sandbox.upload(content, "file")
    assert sandbox.download("file") == content


@pytest.mark.parametrize(
    "data",
    [
        bytearray(b"\1\0\2\0"),
        memoryview(b"\1\0\2\0"),
        memoryview(array.array("H", [1, 2])),
        memoryview(b"\1.\0.\2.\0")[::2],
    ],
    ids=["bytearray", "bytes", "shorts", "strided"],
)
def test_any_bytes_like_data_is_taken(sandbox: Sandbox, data: bytearray | memoryview) -> None:
    sandbox.upload(data, "file")
    assert sandbox.download("file") == b"\1\0\2\0"


@pytest.mark.parametrize("kind", [str, Path])
def test_a_local_file_is_read(sandbox: Sandbox, tmp_path: Path, kind: Callable[[Path], str | Path]) -> None:
    local = tmp_path / "local.bin"
    local.write_bytes(b"\x00local")
    sandbox.upload(kind(local), "file")
    assert sandbox.download("file") == b"\x00local"


@pytest.mark.parametrize("text", ["some text", "x" * 100_000, "nul\0"])
def test_text_is_refused_with_advice(sandbox: Sandbox, text: str) -> None:
    with pytest.raises(OSError, match="encode it first"):
        sandbox.upload(text, "file")


@pytest.mark.parametrize("data", [5, ["a"], io.BytesIO(b"x")])
def test_what_is_no_content_is_refused_with_advice(sandbox: Sandbox, data: Any) -> None:
    with pytest.raises(ValueError, match=r"upload takes bytes.*file\.read\(\)"):
        sandbox.upload(data, "file")


def test_parent_directories_are_made(sandbox: Sandbox) -> None:
    sandbox.upload(b"deep", "a/b/c/file")
    assert sandbox.download("a/b/c/file") == b"deep"


@SLOW
@pytest.mark.parametrize("content", [b"small", _BIG], ids=["small", "big"])
def test_overwriting_keeps_the_mode_and_follows_links(sandbox: Sandbox, content: bytes) -> None:
    sandbox.run_code("open('target', 'w').write('x' * 9); import os; os.chmod('target', 0o751)")
    sandbox.run_code("os.symlink('target', 'link')")
    sandbox.upload(content, "link")
    assert sandbox.run_code("print(oct(os.stat('target').st_mode), os.path.islink('link'))").stdout == (
        "0o100751 True"
    )
    assert sandbox.download("target") == content


@SLOW
def test_nothing_else_is_left_in_the_sandbox(sandbox: Sandbox) -> None:
    before = sandbox.run_code("print(sorted(globals()))").stdout
    sandbox.upload(_BIG, "big")
    sandbox.upload(b"small", "small")
    sandbox.download("big")
    sandbox.diff(sandbox, paths=["."])
    assert sandbox.run_code("print(sorted(globals()))").stdout == before
    assert sandbox.run_code("ls -A", language="bash").stdout == "big\nsmall"


@SLOW
def test_names_that_the_user_redefined_do_not_matter(sandbox: Sandbox) -> None:
    sandbox.run_code("open = os = sys = json = base64 = exec = print = globals = None")
    sandbox.upload(b"content", "file")
    assert sandbox.download("file") == b"content"
    assert sandbox.diff(sandbox, paths=["."]) == {"added": [], "removed": [], "modified": []}


def test_output_of_the_sandboxs_threads_does_not_spoil_a_download(
    sandbox: Sandbox, received: list[dict[str, Any]], instead: dict[str, Any]
) -> None:
    sandbox.upload(b"content", "file")
    sandbox.run_code(
        "import builtins, io\n"
        "def noisy_open(*args, **kwargs):\n"
        "    print('from a thread', end='')\n"
        "    return io.open(*args, **kwargs)\n"
        "builtins.open = noisy_open"
    )
    assert sandbox.download("file") == b"content"


def test_a_missing_file_is_file_not_found(sandbox: Sandbox) -> None:
    with pytest.raises(FileNotFoundError, match="No such file") as caught:
        sandbox.download("not/there")
    assert caught.value.filename == "not/there"


@SLOW
@pytest.mark.parametrize("content", [b"small", _BIG], ids=["small", "big"])
def test_a_directory_cannot_be_written(sandbox: Sandbox, content: bytes) -> None:
    sandbox.run_code("import os; os.mkdir('directory')")
    with pytest.raises(IsADirectoryError, match="'directory'"):
        sandbox.upload(content, "directory")
    with pytest.raises(IsADirectoryError, match="'directory'"):
        sandbox.download("directory")
    assert sandbox.run_code("ls -A", language="bash").stdout == "directory"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_file_without_permission_is_permission_error(sandbox: Sandbox) -> None:
    sandbox.run_code("open('secret', 'w'); import os; os.chmod('secret', 0)")
    with pytest.raises(PermissionError, match="'secret'"):
        sandbox.upload(b"", "secret")
    with pytest.raises(PermissionError, match="'secret'"):
        sandbox.download("secret")


def test_a_path_that_cannot_be_is_an_os_error(sandbox: Sandbox) -> None:
    with pytest.raises(OSError, match="null byte"):
        sandbox.upload(b"", "nul\0")


def test_code_that_ends_early_is_an_os_error(sandbox: Sandbox, events_of_exec: Callable[..., None]) -> None:
    events_of_exec(("stderr", "MemoryError"), ("exit", 137))
    with pytest.raises(OSError, match=r"download of '/f' failed with exit code 137: MemoryError"):
        sandbox.download("/f")
    with pytest.raises(OSError, match="upload to '/f' failed"):
        sandbox.upload(b"", "/f")
    with pytest.raises(OSError, match="diff"):
        sandbox.diff(sandbox)


@SLOW
def test_an_upload_that_breaks_off_leaves_the_file_as_it_was(sandbox: Sandbox) -> None:
    sandbox.upload(b"old", "file")
    sandbox.run_code(
        "import builtins, io\n"
        "def full(path, mode='r', *rest):\n"
        "    if 'a' in mode and __import__('os').path.exists(path):\n"
        "        raise OSError(28, 'No space left on device')\n"
        "    return io.open(path, mode, *rest)\n"
        "builtins.open = full"
    )
    with pytest.raises(OSError, match="No space left") as caught:
        sandbox.upload(_BIG, "file")
    assert caught.value.filename == "file"
    assert sandbox.download("file") == b"old"
    assert sandbox.run_code("ls -A", language="bash").stdout == "file"


@SLOW
def test_a_download_is_one_event(sandbox: Sandbox) -> None:
    """Not one for each line of 76 characters."""
    counted: list[int] = []
    run_code_stream = sandbox.run_code_stream

    def counting(*code: Any, **options: Any) -> Any:
        events = list(run_code_stream(*code, **options))
        counted.append(len(events))
        return nullcontext(events)

    sandbox.upload(_BIG, "file")
    sandbox.run_code_stream = counting  # type: ignore[method-assign]
    sandbox.download("file")
    assert counted == [2]


@pytest.fixture
def pair(host: str) -> Any:
    with Client(host) as client, Sandbox(client=client) as a, Sandbox(client=client) as b:
        yield a, b


@SLOW
def test_diff_tells_added_removed_and_modified(pair: tuple[Sandbox, Sandbox]) -> None:
    a, b = pair
    for name in _NAMES:
        a.upload(b"1", f"work/removed/{name}")
        b.upload(b"2", f"work/added/{name}")
        a.upload(b"1", f"work/modified/{name}")
        b.upload(b"2", f"work/modified/{name}")
        a.upload(b"same", f"work/same/{name}")
        b.upload(b"same", f"work/same/{name}")
    assert a.diff(b, paths=["work"]) == {
        "added": sorted(f"work/added/{name}" for name in _NAMES),
        "removed": sorted(f"work/removed/{name}" for name in _NAMES),
        "modified": sorted(f"work/modified/{name}" for name in _NAMES),
    }


def test_diff_compares_root_and_tmp_by_default(
    pair: tuple[Sandbox, Sandbox], received: list[dict[str, Any]], events_of_exec: Callable[..., None]
) -> None:
    a, b = pair
    events_of_exec(("exit", 1))  # These sandboxes have the machine's own /root and /tmp: not to be read here.
    with pytest.raises(OSError, match="diff of"):
        a.diff(b)
    codes = [request["body"]["code"] for request in received if request["path"].endswith("/exec")]
    assert codes
    assert all("'paths': ['/root', '/tmp']" in code for code in codes)


@pytest.mark.parametrize("name", _NAMES)
def test_paths_of_diff_may_be_anything(pair: tuple[Sandbox, Sandbox], name: str) -> None:
    a, b = pair
    b.upload(b"", f"{name}/file")
    b.upload(b"", "elsewhere/file")
    assert a.diff(b, paths=[f"{name}/"])["added"] == [f"{name}/file"]


def test_a_path_of_diff_may_be_a_file(pair: tuple[Sandbox, Sandbox]) -> None:
    a, b = pair
    a.upload(b"1", "file")
    b.upload(b"2", "file")
    assert a.diff(b, paths=["file", "missing"]) == {"added": [], "removed": [], "modified": ["file"]}


def test_what_cannot_be_compared_is_said_at_once(pair: tuple[Sandbox, Sandbox]) -> None:
    a, b = pair
    diff: Any = a.diff
    for paths in ("/root", b"/root", Path("/root")):
        with pytest.raises(ValueError, match="paths must be a list: write"):
            diff(b, paths)
    for call in (diff, a.merge_into):
        with pytest.raises(ValueError, match=rf"write Sandbox\.connect\('{b.id}'\)"):
            call(b.id)  # type: ignore[arg-type]
        with pytest.raises(ValueError, match="must be of type Sandbox, not None"):
            call(None)  # type: ignore[arg-type]
    b.upload(b"", "work/file")
    assert (
        diff(b, [Path("work")])
        == diff(b, [b"work"])
        == {"added": ["work/file"], "removed": [], "modified": []}
    )


def test_diff_follows_no_symbolic_links(pair: tuple[Sandbox, Sandbox]) -> None:
    a, b = pair
    b.upload(b"", "outside/file")
    b.run_code("import os; os.mkdir('work'); os.symlink('../outside', 'work/directory')")
    b.run_code(
        "os.symlink('../outside/file', 'work/link'); os.symlink('.', 'work/loop'); os.mkfifo('work/fifo')"
    )
    assert a.diff(b, paths=["work"]) == {"added": [], "removed": [], "modified": []}


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_unreadable_files_are_modified_only_if_one_side_can_read_them(pair: tuple[Sandbox, Sandbox]) -> None:
    for sandbox in pair:
        sandbox.upload(sandbox.id.encode(), "work/both")
        sandbox.upload(b"same", "work/one")
        sandbox.run_code("import os; os.chmod('work/both', 0)")
    a, b = pair
    b.run_code("os.chmod('work/one', 0)")
    assert a.diff(b, paths=["work"]) == {"added": [], "removed": [], "modified": ["work/one"]}
    b.run_code("os.chmod('work', 0)")
    assert a.diff(b, paths=["work"])["removed"] == ["work/both", "work/one"]
    b.run_code("os.chmod('work', 0o700)")


@SLOW
def test_diff_of_ten_thousand_files(pair: tuple[Sandbox, Sandbox]) -> None:
    a, b = pair
    a.run_code("import os; os.mkdir('many')\nfor i in range(10_000): open(f'many/{i}', 'w').write(str(i))")
    assert len(a.diff(b, paths=["many"])["removed"]) == 10_000
