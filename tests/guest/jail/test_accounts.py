"""Whoever started the emulator is root by name, whatever the host calls that user."""

from __future__ import annotations

import pytest

from podflare_emulator.guest.jail import accounts

NOBODY = 65534


@pytest.mark.parametrize(
    ("started_by_nobody", "started_by_root"),
    [(accounts.passwd(NOBODY, NOBODY), accounts.passwd()), (accounts.group(NOBODY), accounts.group())],
    ids=["passwd", "group"],
)
def test_an_account_with_roots_number_keeps_its_name(started_by_nobody: str, started_by_root: str) -> None:
    lines, others = (
        [line.split(":") for line in text.splitlines()] for text in (started_by_nobody, started_by_root)
    )
    assert lines[0][:3] == ["root", "x", str(NOBODY)]
    assert [name for name, *_ in lines] == [name for name, *_ in others]
    assert str(NOBODY) in [number for _, _, number, *_ in lines[1:]]
