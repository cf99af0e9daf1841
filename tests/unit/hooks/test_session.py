"""How pip's own request is sent once more, and how long it is tried."""

from __future__ import annotations

import math
from types import SimpleNamespace
from typing import Any

import pytest
import requests
import urllib3
from requests.adapters import HTTPAdapter

from pip_retry_patch.fetch.patience import Patience
from pip_retry_patch.fetch.request import Asking, Outcome
from pip_retry_patch.hooks import session as hooks
from pip_retry_patch.hooks.indexes import IndexHooks, Search
from pip_retry_patch.records import replace
from pip_retry_patch.wrapping import Calls
from tests.support.exchanges import URL, response

MOVED = "https://cdn.example/demo-1.0-py3-none-any.whl?signature=1"


class Auth:
    """As pip's MultiDomainBasicAuth."""

    prompting = True


class PipSession(requests.Session):
    """As pip's: a timeout, an adapter for each scheme, of which one caches, and credentials."""

    timeout = 15
    auth: Any = None

    def __init__(self, retries: int = 5) -> None:
        super().__init__()
        policy = urllib3.Retry(total=retries, status_forcelist=[500, 502, 503], backoff_factor=0.25)
        cached: Any = HTTPAdapter(max_retries=policy)
        cached.cacheable_methods = ("GET",)
        self.mount("https://", cached)
        self.mount("http://", HTTPAdapter(max_retries=policy))
        self.mount("file://", SimpleNamespace())  # type: ignore[arg-type]
        self.auth = Auth()

    def request(self, *args: Any, **given: Any) -> Any:
        # As requests does: the target of a redirect is asked for twice.
        moved: Any = response(b"", status=302, url=URL, location=MOVED)
        moved.from_cache, moved.request = True, SimpleNamespace(headers=given.get("headers") or ())
        for answer in (moved, moved, response(b"x", url=MOVED)):
            self.get_redirect_target(answer)
        return SimpleNamespace(twin=self, args=args, given=given)


def repeat(asking: Asking, **kwargs: Any) -> Any:
    """Send a request of pip's again; return the session that sent it, and what it was given."""
    original, outcome = PipSession(), Outcome(URL)
    calls = Calls(original.request)
    sent = hooks.repeat(calls, original, ("GET", URL), kwargs, asking, outcome)
    sent.original, sent.outcome = original, outcome
    return sent


AGAIN = Asking({"Range": "bytes=100-"}, past_caches=True, fresh=True)


@pytest.mark.parametrize("headers", [None, {"Range": "bytes=0-5"}, {"If-None-Match": '"v0"'}])
def test_a_first_request_is_pips_own_to_the_letter(headers: Any) -> None:
    sent = repeat(Asking({}), headers=headers, stream=True)
    assert sent.given == {"headers": headers, "stream": True} and sent.args == ("GET", URL)
    assert sent.twin.auth is sent.original.auth
    assert sent.twin.get_adapter(url=URL).cacheable_methods == ("GET",)
    # Without a condition pip's cache has answered by itself.
    assert sent.outcome.asked == [URL, MOVED]["If-None-Match" not in (headers or {}) :]


def test_a_twin_has_the_same_pools_and_no_retries_no_cache_and_does_not_prompt() -> None:
    sent = repeat(AGAIN)
    assert type(sent.twin) is PipSession and sent.twin is not sent.original
    for prefix in ("http://", "https://"):
        ours: Any = sent.twin.get_adapter(url=prefix)
        pips: Any = sent.original.get_adapter(prefix)
        assert ours is not pips and ours.poolmanager is pips.poolmanager
        assert ours.max_retries.total == 0 and not ours.max_retries.status_forcelist
        assert pips.max_retries.total == 5 and pips.max_retries.status_forcelist
        assert ours.max_retries.backoff_factor == pips.max_retries.backoff_factor
        assert not getattr(ours, "cacheable_methods", ())
    assert pips.cacheable_methods == ("GET",)
    assert sent.twin.get_adapter(url="file://") is sent.original.get_adapter("file://")
    assert sent.twin.cookies is sent.original.cookies
    assert not sent.twin.auth.prompting and sent.original.auth.prompting
    outcome = sent.outcome
    assert outcome.urls == [URL, MOVED] and outcome.is_answered and outcome.last_url == MOVED


def test_our_range_replaces_pips_own_in_any_case_and_no_condition_is_left() -> None:
    pips = {
        **{"Accept-Encoding": "identity", "range": "bytes=0-5", "IF-RANGE": '"v0"'},
        **{"If-None-Match": '"v0"', "cache-control": "max-age=0"},
    }
    before = dict(pips)
    kept = {"Accept-Encoding": "identity", "Cache-Control": "no-cache"}
    loose = {"Accept-Encoding": "identity", "cache-control": "max-age=0"}
    fields = {"Range": "bytes=9-", "If-Range": '"v1"'}
    for asking, sent in (
        (AGAIN, {**kept, "Range": "bytes=100-"}),
        (replace(AGAIN, fields=fields), {**kept, **fields}),
        # A question without a range asks for all, whatever pip asked for.
        (replace(AGAIN, fields={}), kept),
        # A cache whose origin is away is asked without a condition of ours.
        (replace(AGAIN, fresh=False), {**loose, **AGAIN.fields}),
        # What is pip's own request, only fresh, has pip's range.
        (Asking({}, fresh=True), {**kept, "range": "bytes=0-5"}),
    ):
        assert repeat(asking, headers=pips).given["headers"] == sent and pips == before


@pytest.mark.parametrize(
    ("slower", "longest", "timeout", "given"),
    [
        *((1.0, math.inf, timeout, timeout) for timeout in (15, (3, 10), None)),
        # Only to read takes longer.
        (4.0, math.inf, 2.5, (2.5, 10.0)),
        (4.0, math.inf, (3, 10), (3, 40)),
        *((4.0, math.inf, timeout, timeout) for timeout in ((3, None), None)),
        # No longer than patience, and no less than pip's own.
        *((4.0, longest, 15, (15, read)) for longest, read in ((90, 60), (20, 20), (4, 15))),
    ],
)
def test_only_a_read_timeout_grows_but_for_a_first_answer(
    slower: float, longest: float, timeout: Any, given: Any
) -> None:
    asking = replace(AGAIN, slower=slower, longest=longest)
    assert repeat(asking, timeout=timeout).given["timeout"] == given
    if given == (3, 40):  # of TLS, or of a proxy
        first = replace(asking, past_caches=False)
        assert repeat(first, timeout=timeout).given["timeout"] == (12, 40)
    # One that pip does not give is its session's.
    assert repeat(replace(AGAIN, slower=2.0)).given["timeout"] == (15, 30)
    assert "timeout" not in repeat(AGAIN).given


def test_a_line_is_told_of_the_project_that_is_not_found_and_of_no_other() -> None:
    pip: Any = SimpleNamespace(settings=SimpleNamespace(indexes="any"))
    hooks = IndexHooks(pip, SimpleNamespace(search=Search()))  # type: ignore[arg-type]
    hooks._search.project = "Demo"
    hooks._note("index", "a line")
    for what, count in ("demo==1.0", 1), ("Demo", 1), ("demo-more", 0), ("more (from demo)", 0):
        error = Exception()
        hooks.tell(Calls(lambda *_: None), error, (f"found for {what}",), {})
        assert str(error).count("line") == count


@pytest.mark.parametrize(
    ("retries", "url", "patience"),
    [
        (0, URL, (0, 0.0)),
        *((retries, URL, (8, 120.0)) for retries in (1, 5, 6)),
        (9, URL, (9, 120.0)),
        # What is no request to the network.
        *((5, url, None) for url in ("file:///demo.whl", "ftp://files.example/d", "http://[::1/")),
    ],
)
def test_retries_of_pips_are_part_of_our_patience(retries: int, url: str, patience: Any) -> None:
    made = object.__new__(hooks.Requests)
    vars(made)["_patience"] = Patience()
    found = made.patience(PipSession(retries), url)
    assert (found and (found.attempts, found.seconds)) == patience
