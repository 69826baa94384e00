"""Each token is counted once, whoever reports it and however often."""

from __future__ import annotations

import json

import pytest

from honeyhive.models.conventions.tokens import count_tokens


def test_two_vocabularies_on_one_span_are_not_added_up() -> None:
    tokens = count_tokens(
        {
            "gen_ai.usage.input_tokens": 10,
            "gen_ai.usage.output_tokens": 5,
            "llm.token_count.prompt": 10,
            "llm.token_count.completion": 5,
            "llm.token_count.completion_details.reasoning": 3,
        }
    )

    assert (10, 5, 15, 3, "gen_ai") == (tokens.input, tokens.output, tokens.total, tokens.reasoning, tokens.source)


@pytest.mark.parametrize(
    "attributes, added",
    [
        ({"llm.token_count.prompt": 100}, False),
        ({"llm.token_count.prompt": 100, "llm.token_count.total": 110}, False),
        ({"llm.token_count.prompt": 40, "llm.token_count.total": 110}, True),
        ({"llm.token_count.prompt": 40, "llm.token_count.total": 50}, True),
        ({"llm.token_count.prompt": 40}, True),
    ],
    ids=["inclusive", "inclusive by total", "exclusive by total", "exclusive by size", "no total"],
)
def test_cached_tokens_are_part_of_the_input_exactly_once(attributes: dict[str, int], added: bool) -> None:
    cache = {"llm.token_count.prompt_details.cache_read": 50, "llm.token_count.prompt_details.cache_write": 10}

    tokens = count_tokens({**attributes, **cache, "llm.token_count.completion": 10})

    assert (100, 110, 40, added) == (tokens.input, tokens.total, tokens.uncached_input, tokens.cache_was_added)


def test_langfuse_usage_leaves_the_cache_out_of_the_input() -> None:
    usage = {"input": 500, "output": 10, "cache_read_input_tokens": 100}

    tokens = count_tokens({"langfuse.observation.usage_details": json.dumps(usage)})

    assert (600, 610, 500) == (tokens.input, tokens.total, tokens.uncached_input)


@pytest.mark.parametrize("value", [-1, True, "many", 1.5, float("nan"), 10**30, None, [3]])
def test_what_is_no_count_is_ignored(value: object) -> None:
    tokens = count_tokens({"gen_ai.usage.input_tokens": value})

    assert tokens.input is None


def test_counts_as_text_and_whole_floats_are_read() -> None:
    tokens = count_tokens({"gen_ai.usage.input_tokens": "7", "gen_ai.usage.output_tokens": 3.0})

    assert (7, 3) == (tokens.input, tokens.output)
