"""Each pip's urllib3 says in its own way that a request did not leave this machine."""

from __future__ import annotations

from tests.support.environments import Environment
from tests.support.matrix import old_middle_new

NO_NAME = "nowhere.invalid"  # it never resolves (RFC 6761)
NO_NETWORK = "255.255.255.255"  # Linux has no route to it for TCP
CODE = """
import sys
from pip._vendor import urllib3
from pip_retry_patch.fetch.errors import is_local
for host in sys.argv[1:]:
    pool = urllib3.HTTPConnectionPool(host, 9)
    for retries in (False, 0):
        try:
            pool.urlopen("GET", "/", retries=retries)
        except urllib3.exceptions.HTTPError as error:
            print(is_local(error))
"""


@old_middle_new
def test_each_pips_urllib3_says_it_in_a_way_that_is_understood(armed: Environment) -> None:
    run = armed.run_python("-c", CODE, NO_NAME, NO_NETWORK, "127.0.0.1")
    assert run.stdout.split() == ["True"] * 4 + ["False"] * 2, run.output
