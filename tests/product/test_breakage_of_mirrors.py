"""Never a broken pip: what mirrors and stale pages need, broken function by function."""

from __future__ import annotations

from tests.product.test_breakage import WITH_MIRRORS, functions_of, raising
from tests.support.breakage import HALF, IMPATIENT, KINDS, NTH, SIZE, Breakage, each_pip, get
from tests.support.forked import Forked
from tests.support.lab.faults import Busy, Cut
from tests.support.lab.packages import Package
from tests.support.lab.server import Lab


@each_pip
def test_any_module_or_function_that_mirrors_need_may_be_broken(pip: str, broken: Breakage) -> None:
    """Who needs no mirror is spared; who needs one gets the right file, or an error."""
    environment, number = broken.environment, 0
    dying = Package("demo", SIZE, [Cut(HALF)], forever=Busy(503))
    with Lab([Package("demo", SIZE)]) as mirror:
        env = {**IMPATIENT, "PIP_RETRY_PATCH_MIRRORS": mirror.index_url}
        with Forked(environment, {**env, "PIP_RETRY_PATCH_STALE": "on"}) as forked:
            for name in WITH_MIRRORS:
                path = broken.package / name
                source = path.read_text()
                for kind in KINDS:
                    with broken.changed({path: kind}):
                        broken.assert_clean_download(forked)
                for where, function in functions_of(source).items():
                    number += 1
                    if number % 3 != NTH[pip]:
                        continue
                    with broken.changed({path: raising(source, function)}):
                        broken.assert_clean_download(forked)
                        broken.assert_cut_ends_no_worse(forked)
                        with Lab([dying]) as lab:
                            got = get(forked, environment, lab)
                        assert got.right or got.run.returncode, f"{name}: {where}"
    assert number > 15
