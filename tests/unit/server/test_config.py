"""What a backend is told, and what of it is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from honeyhive.exceptions import ConfigurationError
from honeyhive.server.config import read_local_config


def test_every_option_has_a_variable() -> None:
    config = read_local_config(
        {
            "HH_SERVER_HOST": "::1",
            "HH_SERVER_PORT": "0",
            "HH_SERVER_DATA": "/data",
            "HH_SERVER_HOSTS": "one.example, two.example",
            "HH_SERVER_ANONYMOUS_INGEST": "true",
            "HH_SERVER_KEEP_DAYS": "1.5",
            "HH_SERVER_KEEP_GB": "2",
            "HH_SERVER_URL": "https://elsewhere.example",
        }
    )

    assert (config.host, config.port, config.data) == ("::1", 0, Path("/data"))
    assert config.hosts == ("one.example", "two.example")
    assert config.anonymous_ingest
    assert (config.keep_s, config.keep_bytes) == (129_600, 2_000_000_000)


@pytest.mark.parametrize("value", ["", " ", ",", " , "])
def test_no_name_is_no_host(value: str) -> None:
    """An empty one would let in who names none."""
    assert read_local_config({"HH_SERVER_HOSTS": value}).hosts == ()


@pytest.mark.parametrize(
    "name, value, words",
    [
        ("HH_SERVER_KEEP_DAY", "3", "Did you mean HH_SERVER_KEEP_DAYS?"),
        ("HH_SERVER_NOTHING_LIKE_IT", "3", "There are HH_SERVER_ANONYMOUS_INGEST, HH_SERVER_DATA"),
        ("HH_SERVER_DATABASE_URL", "postgresql://db/x", "honeyhive run honeyhive.server.cluster:backend"),
        ("HH_SERVER_KEEP_DAYS", "0", "HH_SERVER_KEEP_DAYS: Input should be greater than 0"),
        ("HH_SERVER_KEEP_GB", "0.001", "HH_SERVER_KEEP_GB"),
        ("HH_SERVER_PORT", "70000", "HH_SERVER_PORT"),
    ],
)
def test_what_cannot_be_meant_is_refused_with_its_name(name: str, value: str, words: str) -> None:
    with pytest.raises(ConfigurationError) as refused:
        read_local_config({name: value})

    assert words in str(refused.value)
