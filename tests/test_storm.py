"""Random signals at random times to all that a session consists of; in the end nothing shows of them."""

import pytest
import storm


@pytest.fixture(scope="module")
def plain():
    found = {}
    for workers in (0, 2):
        one = storm.Storm(-1 - workers, workers)
        found[workers] = one.plain()
        one.remove()
    return found


@pytest.mark.parametrize("seed", range(3))
def test_a_job_comes_through_a_storm_equal_and_leaves_nobody_behind(seed, plain):
    storm.run(seed, 2 * (seed % 2), plain[2 * (seed % 2)])


@pytest.mark.slow
@pytest.mark.timeout(36000)
def test_a_job_comes_through_hundreds_of_storms(plain):
    for seed in range(3, 303):
        storm.run(seed, 2 * (seed % 2), plain[2 * (seed % 2)])
