"""`GET /v1/healthz`."""

from .wire import Wire


def test_healthz_answers_ok_as_text(wire: Wire) -> None:
    answer = wire.http.get("/v1/healthz")
    assert (answer.status_code, answer.text) == (200, "ok")
    assert answer.headers["content-type"].startswith("text/plain")
