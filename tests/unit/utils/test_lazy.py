"""Made on first use, once, and again only if making it failed."""

import threading

import pytest

from honeyhive.utils.lazy import LazyResource


@pytest.mark.acceptance("S24")
def test_nothing_is_made_before_the_first_use():
    made = []
    lazy = LazyResource(lambda: made.append(1) or "thing")

    assert not lazy.is_made
    assert "thing" == lazy.resource == lazy.resource
    assert lazy.is_made
    assert [1] == made


@pytest.mark.acceptance("S24")
def test_many_threads_get_the_one_resource():
    barrier = threading.Barrier(8)
    lazy = LazyResource(object)
    seen = []

    def use() -> None:
        barrier.wait()
        seen.append(lazy.resource)

    threads = [threading.Thread(target=use) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert 1 == len({id(one) for one in seen})


def test_a_factory_that_failed_is_tried_again():
    answers = iter([OSError("not yet"), "thing"])

    def make() -> str:
        answer = next(answers)
        if isinstance(answer, OSError):
            raise answer
        return answer

    lazy = LazyResource(make)

    with pytest.raises(OSError, match="not yet"):
        _ = lazy.resource
    assert "thing" == lazy.resource


def test_nothing_is_a_resource_too():
    made = []
    lazy = LazyResource(lambda: made.append(1))

    assert lazy.resource is lazy.resource is None
    assert [1] == made
