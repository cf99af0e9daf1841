"""What a host that is busy or lost is told as, and how often it is asked: on a virtual clock."""

from __future__ import annotations

from typing import Any

import pytest
import urllib3

from pip_retry_patch.transport.reissue import Request
from tests.unit.transport.test_patience_of_hosts import URL, ToldError, World, refused

FILE = "https://files.example/packages/demo-1.0-py3-none-any.whl"
OWN = 6  # the first request and pip's five retries


class OfFile(World):
    """A world in which a file is asked for, at a host that its URL alone names."""

    def get(self, answered: bool = True, retries: int = 5) -> Any:
        if answered:
            self.sender._hosts.note(self, 200)
        own = urllib3.Retry(retries, status_forcelist=[500, 502, 503], backoff_factor=0.25)
        asked = {"method": "GET", "retries": own}
        request = Request(self, self.send, asked, {}, FILE, of_pip=True, artifact=True)
        return self.sender.send(request, (), {"retries": own}, retries > 0)


@pytest.mark.parametrize("status", [408, 425, 429, 500, 502, 503, 504, *range(520, 531)])
def test_a_page_is_waited_for_at_each_status_that_asks_for_time(status: int) -> None:
    # For these it has retries of pip's own.
    own = OWN if status in (500, 502, 503) else 1
    world = World(lambda n: (status, None) if n <= own + 2 else (200, None))
    assert world.get().status == 200
    assert world.asked == own + 3
    assert [line for line in world.lines if str(status) in line]


@pytest.mark.parametrize("status", [200, 301, 304, 400, 401, 403, 404, 405, 410, 416, 501, 505])
def test_any_other_status_of_a_page_is_pips(status: int) -> None:
    world = World(lambda n: (status, None))
    assert world.get().status == status
    assert world.asked == 1 and not world.lines and not world.slept


def test_a_page_whose_host_stays_broken_is_told_after_the_attempts() -> None:
    world = World(lambda n: (500, None))
    with pytest.raises(ToldError) as end:
        world.get()
    assert world.asked == OWN + 7
    assert end.value.failure.message == "files.example is there, but of no help now."
    assert f"the server answers 500; {OWN + 7} attempts" in end.value.failure.context


def test_a_files_500_is_told_after_pips_own_retries() -> None:
    world = OfFile(lambda n: (500, None))
    with pytest.raises(ToldError, match=f"the server answers 500; {OWN} attempts in"):
        world.get()
    assert world.asked == OWN


@pytest.mark.parametrize("answered", [True, False])
def test_the_host_is_named_though_no_url_of_the_text_has_it(answered: bool) -> None:
    world = OfFile(refused)
    with pytest.raises(ToldError) as end:
        world.get(answered)
    failure = end.value.failure
    more = " any more" if answered else ""
    assert failure.message == f"files.example cannot be reached{more}."
    assert failure.context.startswith("It was asked for demo-1.0-py3-none-any.whl: ")
    assert failure.first_contact is not answered
    assert all("files.example" in line for line in world.lines) and world.lines


def test_a_host_that_stays_busy_is_asked_again_but_waited_for_once() -> None:
    world = World(lambda n: (503, None))
    with pytest.raises(ToldError):
        world.get()
    slept = len(world.slept)
    with pytest.raises(ToldError):
        world.get()
    assert world.asked == 2 * OWN + 7
    # pip's own retries alone wait now: urllib3 does not before the first of them.
    assert len(world.slept) - slept == OWN - 1


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE"])
def test_what_may_not_be_repeated_is_asked_once(method: str) -> None:
    world = World(refused)
    world.sender._hosts.note(world, 200)
    own = urllib3.Retry(0)
    request = Request(world, world.send, {"method": method, "retries": own}, {}, URL, of_pip=True)
    with pytest.raises(ToldError) as end:
        world.sender.send(request, (), {"retries": own}, True)
    assert world.asked == 1 and not world.lines
    assert end.value.failure.setting is None, "no patience is of use"


@pytest.mark.parametrize("answered", [True, False])
def test_a_refused_tunnel_is_told_after_pips_own_retries(answered: bool) -> None:
    said = OSError("Tunnel connection failed: 403 Forbidden")
    world = OfFile(lambda n: urllib3.exceptions.ProxyError("no tunnel", said))
    with pytest.raises(ToldError) as end:
        world.get(answered)
    assert "refuses the connection to files.example" in end.value.failure.message
    assert end.value.failure.first_contact is not answered and world.asked == OWN


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_what_may_be_repeated_is(method: str) -> None:
    """pip asks with HEAD what a file is, before it reads parts of it."""
    world = World(refused)
    world.sender._hosts.note(world, 200)
    own = urllib3.Retry(0)
    request = Request(world, world.send, {"method": method, "retries": own}, {}, URL, of_pip=True)
    with pytest.raises(ToldError):
        world.sender.send(request, (), {"retries": own}, True)
    assert world.asked > 1 and world.lines


def test_the_same_host_fails_for_another_thing_in_that_things_name() -> None:
    world = World(refused)
    with pytest.raises(ToldError, match=r"the page https://files\.example/simple/demo/"):
        world.get(answered=False)
    asked = world.asked
    with pytest.raises(ToldError) as end:
        OfFile.get(world, answered=False)  # type: ignore[arg-type]
    assert world.asked == asked
    assert "demo-1.0-py3-none-any.whl" in str(end.value) and "the page" not in str(end.value)
