"""Three minutes under fire: faults from three seeds, one minute each. `make soak` goes on for an hour."""
import pytest

from lab.soak import Soak


@pytest.mark.alone
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_soak(lab, seed):
    Soak(lab, seed).run(60)
