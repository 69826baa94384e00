"""Bodies are inflated no further than allowed."""

from __future__ import annotations

import gzip
from dataclasses import replace

import pytest

from honeyhive.server.admission.body import inflated
from honeyhive.server.admission.limits import MIB, Limits, Refusal


def test_a_body_of_several_members_is_joined(limits: Limits) -> None:
    assert inflated(gzip.compress(b"a") + gzip.compress(b"b"), limits) == b"ab"


@pytest.mark.parametrize(
    "body",
    [b"", b"plain", gzip.compress(b"cut short")[:-9], gzip.compress(b"a") + b"rubbish"],
    ids=["empty", "plain", "cut short", "followed by rubbish"],
)
def test_what_is_no_whole_gzip_is_refused(limits: Limits, body: bytes) -> None:
    with pytest.raises(Refusal) as refused:
        inflated(body, limits)

    assert refused.value.status == 400


def test_a_bomb_is_refused_by_its_ratio(limits: Limits) -> None:
    with pytest.raises(Refusal, match="100 times") as refused:
        inflated(gzip.compress(b"\0" * (8 * MIB)), limits)

    assert refused.value.status == 413


def test_a_body_that_grows_too_long_is_refused(limits: Limits) -> None:
    with pytest.raises(Refusal, match="1000 bytes"):
        inflated(gzip.compress(b"x" * 2_000), replace(limits, inflated_bytes=1_000))


def test_a_short_text_may_compress_as_well_as_it_likes(limits: Limits) -> None:
    assert len(inflated(gzip.compress(b"\0" * MIB), limits)) == MIB
