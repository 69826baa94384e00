"""The shop in Django: a decorator opens the scope of an async view."""

from __future__ import annotations

import functools
from collections.abc import Awaitable, Callable

from django.conf import settings
from django.core.asgi import get_asgi_application
from django.http import HttpRequest, JsonResponse
from django.urls import path
from shop import ENDED, OPEN, Request, answer, open_scope

from honeyhive import ctx

View = Callable[..., Awaitable[JsonResponse]]


def in_scope(view: View) -> View:
    """Open a scope around each call of *view*."""

    @functools.wraps(view)
    async def run(request: HttpRequest, **arguments: str) -> JsonResponse:
        async with open_scope(request.headers["user"]):
            return await view(request, **arguments)

    return run


@in_scope
async def price(request: HttpRequest, article: str) -> JsonResponse:
    """Answer asynchronously."""
    return JsonResponse(dict(await answer(article)))


async def left(request: HttpRequest) -> JsonResponse:
    """Tell what is open, and what has ended."""
    return JsonResponse({"open": OPEN, "ended": ENDED, "in_scope": ctx.has_state(Request)})


urlpatterns = [path("price/<article>", price), path("left", left)]
settings.configure(
    ALLOWED_HOSTS=["127.0.0.1"], ROOT_URLCONF=__name__, SECRET_KEY="tests only", LOGGING_CONFIG=None, MIDDLEWARE=[]
)
app = get_asgi_application()
