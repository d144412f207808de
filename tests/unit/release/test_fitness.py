from __future__ import annotations

from datetime import timedelta

import pytest

from otagate.errors import VerificationError
from otagate.model import ChannelName
from otagate.release.fitness import refuse_unfit
from support.releases import CREATED, bare_release, full_release

BETA, NIGHTLY = ChannelName("beta"), ChannelName("nightly")


def test_a_release_goes_where_its_statement_lets_it() -> None:
    refuse_unfit(full_release(), BETA, CREATED)
    refuse_unfit(bare_release(), NIGHTLY, CREATED + timedelta(days=9999))
    with pytest.raises(VerificationError) as caught:
        refuse_unfit(full_release(), NIGHTLY, CREATED)
    assert (caught.value.expected, caught.value.found) == ("one of beta, stable", "nightly")


def test_a_release_whose_time_is_over_goes_nowhere() -> None:
    end = full_release().expires
    assert end is not None
    refuse_unfit(full_release(), BETA, end - timedelta(microseconds=1))
    with pytest.raises(VerificationError):
        refuse_unfit(full_release(), BETA, end)
