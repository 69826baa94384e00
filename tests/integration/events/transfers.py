"""A program that moves money between accounts in sagas, to be killed while it does.

    python transfers.py DATABASE

For each line on its input it forks a worker, which says its process id when it has the store open, takes up what an
earlier one has left, and then begins transfer after transfer until it is killed. Forking spares fifty starts of Python.
"""

from __future__ import annotations

import itertools
import os
import sys
from uuid import NAMESPACE_OID, uuid5

import aiosqlite  # noqa: F401 -- loaded before the forks
import sqlalchemy.dialects.sqlite.aiosqlite  # noqa: F401 -- loaded before the forks

from honeyhive.events import Event, Saga, SagaContext, SagaStep, SQLiteEventStore, decode, encode

ACCOUNTS = ("ada", "eve", "tom", "closed")


class Debited(Event, type="transfer.debited"):
    amount: int


class Credited(Event, type="transfer.credited"):
    amount: int


class Refunded(Event, type="transfer.refunded"):
    amount: int


def transfers(store: SQLiteEventStore) -> Saga:
    """The saga; each action is made to have its effect once by the id of the event it saves."""

    def act(kind: type[Debited | Credited | Refunded], account: str, context: SagaContext) -> None:
        event = kind(id=str(uuid5(NAMESPACE_OID, context.key)), amount=context.data["amount"])
        store.save(f"account:{account}", [event])

    def credit(context: SagaContext) -> None:
        if context.data["to"] == "closed":
            raise ValueError("this account is closed")
        act(Credited, context.data["to"], context)

    return Saga(
        "transfer",
        store,
        [
            SagaStep(
                "debit",
                lambda context: act(Debited, context.data["from"], context),
                undo=lambda context: act(Refunded, context.data["from"], context),
            ),
            SagaStep("credit", credit),
        ],
    )


def work(database: str) -> None:
    """Take up what was left, then move money until killed."""
    store = SQLiteEventStore(database)
    store.head()
    print(os.getpid(), flush=True)
    saga = transfers(store)
    saga.resume()
    begun = len(store.streams("saga:transfer:"))
    for number in itertools.count(begun):
        data = {"from": ACCOUNTS[number % 3], "to": ACCOUNTS[(number + 1) % 4], "amount": 1 + number % 7}
        try:
            saga.execute(f"{number:06d}", data)
        except Exception as error:  # a transfer to a closed account, undone
            if "closed" not in str(error):
                raise


def main() -> None:
    for kind in (Debited, Credited, Refunded):
        decode(encode(kind(amount=1)))  # what is slow at first is done before the forks
    for _ in sys.stdin:
        worker = os.fork()
        if worker == 0:
            try:
                work(sys.argv[1])
            finally:
                os._exit(1)
        os.waitpid(worker, 0)


if __name__ == "__main__":
    main()
