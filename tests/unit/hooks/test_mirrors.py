"""Who is asked for a page or a file of the index, and what is said of it."""

from __future__ import annotations

import importlib
import ssl
from types import SimpleNamespace
from typing import Any

import pytest

from pip_retry_patch import failures
from pip_retry_patch.hooks.mirrors import Mirrors
from pip_retry_patch.policy.retry import Clock, Patience

INDEX, ONE, TWO = "https://index.example/s/", "https://one.example/s/", "https://two.example/s/"
PAGE = f"{INDEX}demo/"
FILE = "https://files.example/demo-1.0-py3-none-any.whl"


class FailedError(Exception):
    """Stands for pip's error that is made of a Failure."""

    def __init__(self, why: str = "refused", note: str = "") -> None:
        super().__init__(why)
        self.failure = failures.Failure("gave up", "", note, "", why=why)


class Answer(SimpleNamespace):
    """A response of requests."""

    def __init__(self, status: int = 200) -> None:
        super().__init__(status_code=status, is_redirect=False, closed=False)

    def close(self) -> None:
        self.closed = True

    def iter_content(self, size: int) -> Any:
        return iter([b"page"])


class World:
    """An index with mirrors, a clock that moves by waits alone, and what each source answers."""

    def __init__(
        self,
        *mirrors: str,
        intended: str | None = INDEX,
        patience: Patience | None = None,
        **answers: Any,
    ) -> None:
        self.time = 0.0
        self.lines: list[str] = []
        self.sent: list[tuple[str, dict[str, Any]]] = []
        self.answers = {name: list(found) for name, found in answers.items()}
        clock = Clock(lambda: self.time, self.sleep, lambda low, high: high)
        guard: Any = SimpleNamespace(clock=clock, patience=patience or Patience())
        self.mirrors = Mirrors("pip", mirrors or (ONE, TWO), intended, guard, self.lines.append)
        self.session: Any = SimpleNamespace(cookies={}, is_secure_origin=lambda link: True)

    def sleep(self, seconds: float) -> None:
        self.time += seconds

    def send(self, url: str, options: dict[str, Any], **how: Any) -> Any:
        self.sent.append((url, how))
        name = url.partition("://")[2].partition(".")[0]
        answer = self.answers[name].pop(0) if self.answers.get(name) else FailedError("closed")
        if isinstance(answer, Exception):
            raise answer
        return answer

    def page(self, index: str = INDEX, **how: Any) -> Any:
        with self.mirrors.page(index, f"{index}demo/"):
            return self.mirrors.request(self.send, self.session, f"{index}demo/", {}, None, **how)

    @property
    def asked(self) -> list[str]:
        return [url.partition("://")[2].partition(".")[0] for url, _ in self.sent]

    def parsed(self, *links: str) -> list[Any]:
        """What pip makes of the page that came."""
        parse: Any = self.mirrors.links
        found = [
            SimpleNamespace(url_without_fragment=u, filename=u, scheme=u.partition(":")[0])
            for u in links
        ]
        return [link.filename for link in parse(lambda: found, None, (), {})]


def test_the_indexs_own_page_is_the_first_to_be_asked_for_and_stands() -> None:
    for status in (200, 304, 403, 404):
        world = World(index=[answer := Answer(status)])
        assert world.page() is answer
        assert world.sent == [(PAGE, {"brief": True})] and not world.lines


@pytest.mark.parametrize(
    ("failed", "why"), [(FailedError("refused"), "refused"), (Answer(503), "it answers 503")]
)
def test_the_first_mirror_that_delivers_serves_the_page(failed: Any, why: str) -> None:
    world = World(index=[failed], one=[Answer(404)], two=[answer := Answer()])
    missing = world.answers["one"][0]
    assert world.page() is answer and answer._content == b"page"
    assert world.asked == ["index", "one", "two"] and missing.closed
    assert world.sent[2][0] == f"{TWO}demo/" and world.sent[2][1]["method"] == "GET"
    assert world.lines == [
        f"{INDEX} cannot be read now ({why}). Reading the mirror {TWO} in its place."
    ]
    world.answers["one"], world.answers["two"] = [], [Answer()]
    world.page()
    assert world.asked[3:] == ["one", "two"], "the index rests"
    assert len(world.lines) == 1, "each mirror is named once"


def test_all_are_asked_again_after_a_wait_and_that_is_said_once() -> None:
    world = World(ONE, index=[FailedError(), FailedError(), answer := Answer()])
    assert world.page() is answer
    assert world.asked == ["index", "one"] * 2 + ["index"] and world.time > 0
    (line,) = world.lines
    assert line.startswith("Neither the index nor a mirror delivers ") and "30 s" in line


def test_patience_ends_with_what_the_index_led_to() -> None:
    world = World(ONE, index=[FailedError() for _ in range(99)])
    with pytest.raises(FailedError, match="refused"):
        world.page()
    assert 30 <= world.time <= 40, "no source has answered in this run"
    world = World(ONE, index=[Answer(), *[Answer(503) for _ in range(999)]])
    world.page()
    assert world.page().status_code == 503
    assert 120 <= world.time <= 160


def test_a_person_without_a_network_is_waited_for() -> None:
    lost = [FailedError(note=failures.NO_NETWORK) for _ in range(999)]
    world = World(ONE, index=lost, patience=Patience(person=True))
    with pytest.raises(FailedError):
        world.page()
    assert 120 <= world.time <= 160


def test_who_asks_briefly_is_told_at_once() -> None:
    world = World(ONE, index=[FailedError()])
    with pytest.raises(FailedError):
        world.page(brief=True)
    assert world.time == 0.0 and not world.lines


def test_a_refused_certificate_is_not_waited_for() -> None:
    error = FailedError()
    error.__cause__ = ssl.SSLCertVerificationError(1, "certificate verify failed")
    world = World(ONE, index=[error])
    with pytest.raises(FailedError):
        world.page()
    assert world.asked == ["index", "one"] and world.time == 0.0


def test_a_mistake_is_no_failure_of_a_network() -> None:
    world = World(index=[KeyError("a mistake")])
    with pytest.raises(KeyError):
        world.page()
    assert world.asked == ["index"]


@pytest.mark.parametrize("intended", ["https://index.example/s", INDEX, None])
def test_mirrors_are_for_the_index_that_they_are_set_for(intended: str | None) -> None:
    world = World(intended=intended, index=[FailedError()], one=[answer := Answer()])
    assert world.page() is answer


def test_for_another_index_they_are_not_used_and_that_is_said_once() -> None:
    world = World(intended="https://me:secret@other.example/", index=[Answer(503), Answer(503)])
    for _ in range(2):
        assert world.page().status_code == 503
    assert world.sent == [(PAGE, {})] * 2
    (line,) = world.lines
    assert "set for the index https://other.example/" in line and f"not used for {INDEX}" in line
    assert world.parsed("https://x.example/a") == ["https://x.example/a"]
    assert world.mirrors.listings.page_of("https://x.example/a") is None


def test_what_a_page_lists_belongs_to_the_index_and_from_a_mirror_only_the_webs() -> None:
    links = FILE, "file:///demo-1.0-py3-none-any.whl"
    world = World(index=[Answer()])
    world.page()
    assert world.parsed(*links) == list(links)
    assert world.mirrors.listings.page_of(FILE) == "demo/"
    world = World(index=[FailedError()], one=[Answer()])
    world.page()
    assert world.parsed(*links) == [FILE]
    assert (ONE, "demo/") in world.mirrors.listings._files
    world = World(index=[Answer()])
    assert world.parsed(FILE) == [FILE] and world.mirrors.listings.page_of(FILE) is None


# Files


def listed(**answers: Any) -> World:
    world = World(index=[Answer()], **answers)
    world.page()
    world.parsed(FILE)
    world.sent.clear()
    return world


def artifact(hashed: bool = True) -> Any:
    return SimpleNamespace(name="demo", hashed=hashed, elsewhere=None, hashes={})


def test_a_file_of_the_index_may_come_from_elsewhere() -> None:
    world, wanted = listed(files=[Answer(), Answer()]), artifact()
    for _ in range(2):
        world.mirrors.request(world.send, world.session, FILE, {}, wanted)
    assert world.sent == [(FILE, {"elsewhere": wanted.elsewhere})] * 2
    assert wanted.elsewhere is not None


def test_what_is_not_of_the_index_or_has_no_hash_may_not() -> None:
    for url, hashed in ((FILE, False), ("https://files.example/other.whl", True)):
        world, wanted = listed(files=[answer := Answer()]), artifact(hashed)
        found = world.mirrors.request(world.send, world.session, url, {}, wanted)
        assert found is answer and world.sent == [(url, {})] and wanted.elsewhere is None


def test_a_wheel_of_which_pip_reads_parts_is_taken_whole_where_its_host_fails() -> None:
    lazy: Any = importlib.import_module("pip._internal.network.lazy_wheel")
    world = listed(files=[answer := Answer(), FailedError("closed"), KeyError("a mistake")])
    ask = world.mirrors.request
    assert ask(world.send, world.session, FILE, {}, None) is answer
    assert world.sent == [(FILE, {"brief": True})]
    with pytest.raises(lazy.HTTPRangeRequestUnsupported) as end:
        ask(world.send, world.session, FILE, {}, None)
    assert end.value.failure.why == "closed"
    with pytest.raises(KeyError):
        ask(world.send, world.session, FILE, {}, None)


def test_who_brought_other_bytes_than_the_hash_is_of_is_asked_no_more() -> None:
    world, wanted = listed(), artifact()
    assert world.mirrors.drop(wanted) is None
    wanted.elsewhere = SimpleNamespace(came=[(0, None)])
    assert world.mirrors.drop(wanted) is None
    wanted.elsewhere.came = [(0, None), (300, ONE), (400, None), (500, TWO), (600, ONE)]
    assert world.mirrors.drop(wanted) == 300
    assert wanted.elsewhere.came == []
    assert world.mirrors._sources.in_order() == [INDEX]
    (line,) = world.lines
    assert line.startswith(f"{ONE} and {TWO} sent other bytes of demo")
