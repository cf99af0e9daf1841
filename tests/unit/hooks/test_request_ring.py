"""A request of pip's session: what the guard is told of it, and what is asked again."""

from __future__ import annotations

import contextlib
from types import SimpleNamespace
from typing import Any, Iterator

import pytest
import requests

from pip_retry_patch import failures, messages
from pip_retry_patch.hooks.session import SessionHook
from pip_retry_patch.policy.retry import Clock, Patience

URL = "https://index.example/simple/demo/"
PAGE = b'<!DOCTYPE html><html><body><a href="demo-1.0-py3-none-any.whl"></a></body></html>'
EMPTY = b"<!DOCTYPE html><html><body></body></html>"


class ToldError(Exception):
    """Stands for pip's error that is made of a Failure."""

    def __init__(self, failure: failures.Failure, _: Any) -> None:
        super().__init__(str(failure))
        self.failure = failure


def response(status: int = 200, body: bytes = PAGE, **fields: str) -> Any:
    found = requests.Response()
    found.status_code, found._content, found.url = status, body, URL
    found.headers.update({"content-type": "text/html", **fields})
    found.raw = SimpleNamespace(headers=found.headers, close=lambda: None)
    return found


def cut() -> Any:
    return response(body=PAGE[:-9])


class Announcer:
    """Collects lines, and counts how often complaints were due."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.complained = 0

    def __call__(self, line: str) -> None:
        self.lines.append(line)

    def complain(self) -> None:
        self.complained += 1


class Artifact(SimpleNamespace):
    """As much of a LinkedArtifact as a request asks of one."""

    def continuation(self, fresh: bool) -> Any:
        return ("kept", fresh)

    def note(self, response: Any, continuation: Any) -> None:
        self.noted = (response, continuation)


class World:
    """A session whose requests are answered by these, one after the other."""

    def __init__(self, *answers: Any, attempts: int = 8) -> None:
        self.answers = list(answers)
        self.asked: list[tuple[Any, dict[str, Any]]] = []
        self.guarded: list[tuple[Any, ...]] = []
        self.evicted: list[str] = []
        self.announce: Any = Announcer()
        clock = Clock(lambda: 0.0, lambda seconds: None, lambda low, high: high)
        patience = Patience(attempts=attempts)
        guard: Any = SimpleNamespace(sending=self.sending, patience=patience, clock=clock)
        self.hook = SessionHook(guard, self.announce, ToldError, requests.exceptions)  # type: ignore[arg-type]
        cache = SimpleNamespace(delete=self.evicted.append)
        controller = SimpleNamespace(cache_url=lambda url: url)
        adapter = SimpleNamespace(controller=controller, cache=cache)
        self.session = SimpleNamespace(get_adapter=lambda url: adapter)

    @contextlib.contextmanager
    def sending(self, url: str, again: Any, *how: Any) -> Iterator[None]:
        self.guarded.append((url, *how))
        self.again = again
        yield

    def wrapped(self, *args: Any, **kwargs: Any) -> Any:
        self.asked.append((args, kwargs))
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    def ask(self, *args: Any, **kwargs: Any) -> Any:
        given = args or ("GET", URL)
        kwargs.setdefault("headers", {"Accept": "text/html"})  # as pip asks for a page
        request: Any = self.hook.request
        return request(self.wrapped, self.session, given, kwargs)


def test_a_whole_page_is_asked_for_once_and_as_pip_asks() -> None:
    world = World(answer := response())
    assert world.ask(headers={"A": "b"}, timeout=5) is answer
    assert world.asked == [(("GET", URL), {"headers": {"A": "b"}, "timeout": 5})]
    # Neither hashed, nor a file, nor kept; and pip reads it whole.
    assert world.guarded == [(URL, False, False, None, True)]
    assert world.hook.last_status() == 200 and world.announce.complained == 1


# What is of no use, and may be another answer.


def test_a_page_that_names_no_file_is_asked_for_once_more_past_every_cache() -> None:
    world = World(response(body=EMPTY), answer := response())
    assert world.ask(headers={"A": "b"}) is answer
    assert world.asked[1][1]["headers"] == {"A": "b", "Cache-Control": "no-cache"}
    assert world.evicted == [URL] and not world.announce.lines


def test_where_that_is_in_vain_it_is_not_done_for_ever() -> None:
    """An index may have such a page in place of each project that it does not have."""
    world = World(*[response(body=EMPTY) for _ in range(3 * 2 + 4)])
    for _ in range(3 + 4):
        world.ask()
    assert not world.answers


def test_neither_requirements_nor_files_are_asked_for_again() -> None:
    world = World(response(body=b"demo==1.0"), response(body=EMPTY), response(404))
    world.ask(headers=None)
    world.ask(stream=True)
    world.ask(stream=True)
    assert not world.answers


@pytest.mark.parametrize("where", ["itself", "redirect"])
@pytest.mark.parametrize("stream", [True, False])
def test_an_error_by_way_of_pips_cache_is_asked_for_again(stream: bool, where: str) -> None:
    error = response(404)
    redirect = response(301)
    redirect.url = "https://index.example/moved"
    error.history = [redirect]
    (error if where == "itself" else redirect).from_cache = True
    world = World(error, answer := response())
    assert world.ask(stream=stream) is answer
    assert world.evicted == ["https://index.example/moved", URL]


def test_the_url_may_be_named() -> None:
    world = World(response())
    world.ask("GET", **{"url": URL})
    assert world.guarded[0][0] == URL


def test_the_last_status_is_of_a_response_that_came() -> None:
    world = World(response(403), ToldError(failures.index_refused("x", 500, True), None))
    world.ask()
    assert world.hook.last_status() == 403
    with pytest.raises(ToldError):
        world.ask()
    assert world.hook.last_status() == 0


@pytest.mark.parametrize("resumes", [True, False])
def test_pip_resumes_what_it_streams_where_it_can(resumes: bool) -> None:
    world = World(cut(), response())
    world.hook.pip_resumes = resumes
    world.ask(stream=True)
    assert world.guarded[0][-1] is not resumes
    assert len(world.asked) == 1, "what is streamed is not looked at"
    world.ask()
    assert world.guarded[1][-1] is True


def test_a_page_that_was_cut_is_asked_for_again_past_every_cache() -> None:
    world = World(cut(), cut(), answer := response())
    assert world.ask(headers={"A": "b"}) is answer
    fields = {"A": "b", "Cache-Control": "no-cache"}
    assert [kwargs["headers"] for _, kwargs in world.asked] == [{"A": "b"}, fields, fields]
    assert world.evicted == [URL, URL], "pip's cache has the page no longer"
    assert world.announce.lines == [messages.page_again("the page " + URL)] * 2


def test_a_page_that_stays_cut_is_an_error_after_the_attempts() -> None:
    world = World(*[cut() for _ in range(4)], attempts=3)
    with pytest.raises(ToldError, match="the page that came has no end"):
        world.ask()
    assert len(world.asked) == 3


def test_any_other_failure_is_told_at_once() -> None:
    failure = failures.index_refused("x", 500, True)
    world = World(ToldError(failure, None), response())
    with pytest.raises(ToldError):
        world.ask()
    assert len(world.asked) == 1


def test_what_pip_would_show_as_a_traceback_is_told() -> None:
    world = World(requests.exceptions.ChunkedEncodingError("broken"))
    with pytest.raises(ToldError, match=r"Asking index\.example for the page") as end:
        world.ask()
    assert isinstance(end.value.__cause__, requests.exceptions.ChunkedEncodingError)
    with pytest.raises(KeyError):
        World(KeyError("a mistake")).ask()


def test_a_redirect_that_nobody_could_follow_is_told() -> None:
    with pytest.raises(ToldError, match="an address that makes no sense: it names none"):
        World(response(302, EMPTY)).ask()
    with pytest.raises(ToldError, match=r"no sense: http://\["):
        World(response(399, EMPTY, location="http://[")).ask()
    for args, kwargs in ((("HEAD", URL), {}), ((), {"allow_redirects": False})):
        assert World(answer := response(302)).ask(*args, **kwargs) is answer
    assert World(answer := response(400)).ask() is answer


@pytest.mark.parametrize("name", ["demo-1.0-py3-none-any.whl", "demo-1.0.whl.metadata"])
@pytest.mark.parametrize("fresh", [True, False])
def test_what_is_fetched_stands_beside_its_requests(fresh: bool, name: str) -> None:
    world = World(answer := response(), response())
    artifact: Any = Artifact(name=name, hashed=True)
    with world.hook.fetching(artifact, fresh):
        world.ask(headers={"A": "b"}, stream=True)
    is_file = not name.endswith(".metadata")
    assert world.guarded == [(URL, True, is_file, ("kept", fresh), True)]
    assert artifact.noted == (answer, ("kept", fresh))
    more = {"Cache-Control": "no-cache"} if fresh else {}
    assert world.asked[0][1]["headers"] == {"A": "b", **more}
    world.ask()
    assert world.guarded[1][1:4] == (False, False, None), "it is no longer fetched"


def test_the_first_url_is_asked_as_pip_asked_it() -> None:
    world = World(response(), response())
    world.ask("GET", URL, headers={"A": "b"}, timeout=5)
    world.again({"Range": "bytes=5-"})
    fields = {"A": "b", "Cache-Control": "no-cache", "Range": "bytes=5-"}
    assert world.asked[1] == (("GET", URL), {"headers": fields, "timeout": 5, "stream": True})


def test_a_mistake_in_noting_a_response_costs_nothing() -> None:
    artifact: Any = Artifact(name="demo.whl", hashed=False)
    artifact.note = None
    world = World(answer := response())
    with world.hook.fetching(artifact, False):
        assert world.ask(stream=True) is answer


def test_a_mistake_in_looking_at_a_page_leaves_it_to_pip() -> None:
    answer = response()
    answer.raw = None
    assert World(answer).ask() is answer


def test_an_artifact_within_another_ends_with_it() -> None:
    hook = World().hook
    one: Any = Artifact(name="one")
    other: Any = Artifact(name="other")
    with hook.fetching(one, True):
        with pytest.raises(KeyError), hook.fetching(other, False):
            assert (hook._under_way.artifact, hook._under_way.fresh) == (other, False)
            raise KeyError
        assert (hook._under_way.artifact, hook._under_way.fresh) == (one, True)
    assert (hook._under_way.artifact, hook._under_way.fresh) == (None, False)
