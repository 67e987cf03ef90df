"""Clients 0.0.6 to 0.0.15 put the region into each path."""

import pytest

from .wire import Wire, events_of, texts


@pytest.mark.parametrize("region", ["us-west", "us-central", "us-east", "eu", "sg", "us", "europe", "asia"])
def test_every_call_can_name_a_region(wire: Wire, region: str) -> None:
    made = wire.http.post(f"/r/{region}/v1/sandboxes", json={"region": region})
    assert made.status_code == 200
    one = f"/r/{region}/v1/sandboxes/{made.json()['id']}"
    answer = wire.http.post(f"{one}/exec", json={"code": "print(1)"})
    assert texts(events_of(answer.content)) == ["1"]
    assert wire.http.delete(one).status_code == 204


def test_a_region_that_the_service_does_not_have_is_404(wire: Wire) -> None:
    assert wire.http.post("/r/mars/v1/sandboxes", json={}).status_code == 404
