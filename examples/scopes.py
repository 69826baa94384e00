"""A tea shop in scopes: services by protocol, a resource, tasks, and one trace of it all.

The program opens one scope and chooses there what stands behind each service. The test at the end opens another one and
chooses something else. Nothing in between knows the difference.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Protocol, runtime_checkable

from honeyhive import HoneyHiveTracer, State, ctx


class Order(State):
    """What somebody wants."""

    article: str
    amount: int = 1


class Shelf(State):
    """What is left, by article; a new shelf takes the place of the old one whenever something is sold."""

    stock: Mapping[str, int]

    @classmethod
    def take(cls, order: Order) -> None:
        shelf = ctx.state(cls)
        left = shelf.stock.get(order.article, 0) - order.amount
        if left < 0:
            raise LookupError(f"not enough {order.article}")
        ctx.update_state(Shelf._.stock[order.article](shelf, updated=left))


@runtime_checkable
class MailSending(Protocol):
    """Sends a mail."""

    async def __call__(self, to: str, text: str) -> None: ...


class Mail(State):
    """The mail service, whatever it stands on."""

    sending: MailSending

    @classmethod
    async def send(cls, to: str, text: str) -> None:
        async with ctx.scope("mail"):
            await ctx.state(cls).sending(to, text)


@asynccontextmanager
async def mail_server() -> AsyncIterator[Mail]:
    """Stand in for a connection to a mail server."""
    outbox: list[str] = []

    async def send(to: str, text: str) -> None:
        await asyncio.sleep(0.01)
        outbox.append(f"{to}: {text}")

    try:
        yield Mail(sending=send)
    finally:
        print(f"{len(outbox)} mails sent, connection closed")


async def sell(order: Order) -> str:
    """Sell or refuse one order."""
    async with ctx.scope("order"):
        ctx.record(order)
        try:
            Shelf.take(order)
        except LookupError as error:
            ctx.log_info("refused: %s", error)
            return "refused"
        return "sold"


async def keep_shop(orders: Sequence[Order]) -> list[str]:
    """Sell what can be sold, then write a mail for each order; the shop closes when they are sent."""
    answers = [await ctx.spawn(sell, order) for order in orders]
    for order, answer in zip(orders, answers, strict=True):
        ctx.spawn(Mail.send, "ada@example.com", f"{order.article}: {answer}")
    return answers


ORDERS = [Order(article="tea", amount=2), Order(article="honey"), Order(article="tea", amount=2)]
STOCK = Shelf(stock={"tea": 3, "honey": 5})


async def main() -> None:
    HoneyHiveTracer.init(project="scopes")

    async with ctx.scope("shop", STOCK, disposables=(mail_server(),)):
        print(*await keep_shop(ORDERS))
        print(dict(ctx.state(Shelf).stock))


async def check_without_mail_server() -> None:
    mails: list[str] = []

    async def remember(to: str, text: str) -> None:
        mails.append(f"{to}: {text}")

    async with ctx.scope("test", STOCK, Mail(sending=remember), trace=False):
        await keep_shop(ORDERS)

    assert len(mails) == 3
    assert mails[2] == "ada@example.com: tea: refused"


if __name__ == "__main__":
    asyncio.run(main())
    asyncio.run(check_without_mail_server())
