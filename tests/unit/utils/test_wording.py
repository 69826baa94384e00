"""Figures are said as people say them."""

from __future__ import annotations

import pytest

from honeyhive.utils import wording


@pytest.mark.parametrize("number, words", [(0, "0 spans"), (1, "1 span"), (2, "2 spans"), (12_345, "12,345 spans")])
def test_one_is_no_plural(number: int, words: str) -> None:
    assert wording.counted(number, "span") == words


@pytest.mark.parametrize(
    "tokens_in, tokens_out, words",
    [(None, None, ""), (120, 33, "120 → 33"), (1_200, None, "1,200 → ?"), (None, 5, "? → 5")],
)
def test_a_side_that_nobody_told_is_a_question_mark(tokens_in: int | None, tokens_out: int | None, words: str) -> None:
    assert wording.tokens(tokens_in, tokens_out) == words
