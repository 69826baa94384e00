from __future__ import annotations

import pytest

from honeyhive.config import Backend, BackendKind, choose_backend, resolve
from honeyhive.models.wire import LOCAL, destination_id
from honeyhive.tracer.export.destination import Destination

URL = "https://collector.example/v1/traces"


def test_no_secret_shows_in_the_representation():
    destination = Destination.remote(URL, key="hh_secret", headers={"x-api-key": "other_secret"})

    assert "secret" not in repr(destination)


def test_a_destination_is_named_after_address_and_key():
    assert Destination.remote(URL, key="k").id == destination_id(URL, "k")
    assert Destination.remote(URL, key="k").id != Destination.remote(URL, key="l").id
    assert Destination.unusable(URL, key="k").id == Destination.remote(URL, key="k").id


def test_headers_tell_users_apart_where_there_is_no_key():
    one, two = (Destination.remote(URL, headers={"x-api-key": key}) for key in "ab")

    assert one.id != two.id


def test_the_key_is_sent_unless_the_headers_bring_their_own():
    assert Destination.remote(URL, key="k").headers == {"authorization": "Bearer k"}
    assert Destination.remote(URL, key="k", headers={"Authorization": "Basic x"}).headers == {
        "authorization": "Basic x"
    }


@pytest.mark.parametrize(
    "backend, destination",
    [
        (Backend(BackendKind.LOCAL), Destination.local()),
        (Backend(BackendKind.NONE, "https://broken", key="k"), Destination.unusable("https://broken", key="k")),
        (
            Backend(BackendKind.HONEYHIVE, "https://api.example", URL, key="k"),
            Destination.remote(URL, key="k", rest_url="https://api.example"),
        ),
        (Backend(BackendKind.OTLP, "", URL, headers={"a": "b"}), Destination.remote(URL, headers={"a": "b"})),
    ],
)
def test_every_backend_that_settings_can_choose_is_a_destination(backend, destination):
    assert Destination.of(backend) == destination


def test_the_local_backend_has_a_name_that_it_knows_itself():
    assert Destination.local().id == LOCAL


def test_headers_of_another_backend_are_not_sent_as_a_bearer_token():
    settings = resolve(
        {"otlp_endpoint": "https://c.example/v1/traces", "otlp_headers": {"x-api-key": "k"}}, {}
    ).settings

    destination = Destination.of(choose_backend(settings, {}))

    assert dict(destination.headers) == {"x-api-key": "k"}
