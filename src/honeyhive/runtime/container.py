"""Constructor injection: what depends on what is checked when a service is built, values are made when it runs."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from dataclasses import dataclass, field
from typing import Any

from honeyhive.exceptions import DeclarationError
from honeyhive.runtime.providers import Key, Lifetime, Need, Provider, name_of, needs_of, opens

__all__ = ["Container", "Recipe", "Recipes", "Values"]


@dataclass(frozen=True, slots=True)
class Recipe:
    """How one value is made.

    Attributes:
        factory: Makes it.
        needs: What the factory is to be given.
        lifetime: How long the value lives.
        opens: Makes a context manager of the value instead, ``None`` if it is made by plain calling.
    """

    factory: Callable[..., Any]
    needs: tuple[Need, ...]
    lifetime: Lifetime = "process"
    opens: Callable[..., Any] | None = None


@dataclass(frozen=True, slots=True)
class Recipes:
    """What a service's providers can make, checked.

    Args:
        providers: In any order; two for one key are refused.
        given: Values that exist already, such as the configuration.
        config: Type of the configuration, for factories that take a bare ``config``.

    Raises:
        DeclarationError: Something asked for is not provided, depends on itself, or lives shorter than what needs it.
    """

    providers: Sequence[Provider]
    given: Mapping[Key, object]
    config: type | None = None
    _made: dict[Key, Recipe] = field(init=False, repr=False, default_factory=dict)

    def __post_init__(self) -> None:
        for provider in self.providers:
            if provider.key in self._made or provider.key in self.given:
                raise DeclarationError(f"{provider.key} is provided twice; give one of them a token")
            self._made[provider.key] = self._recipe(provider.factory, provider.lifetime)
        for key in self._made:
            self._check(key, ())

    def recipe_for(self, factory: Callable[..., Any]) -> Recipe:
        """Return how *factory* is called; it lives as long as the shortest-lived thing it needs.

        Raises:
            DeclarationError: It needs something that is not provided.
        """
        recipe = self._recipe(factory, "process")
        self._check_needs(recipe, ())
        shortest: Lifetime = "execution" if self._needs_execution(recipe) else "process"
        return Recipe(recipe.factory, recipe.needs, shortest, recipe.opens)

    def provided(self, key: Key) -> Recipe | None:
        """Return the recipe of *key*, or ``None`` if it is given or nobody provides it."""
        return self._made.get(key)

    def known(self, key: Key) -> bool:
        """Whether a value for *key* is given or can be made."""
        return key in self._made or key in self.given

    def refuse_narrower(self, key: Key, asking: str, *, only_interfaces: bool = False) -> None:
        """Raise if there is a value that would do for *key*, but is provided as something narrower.

        Args:
            key: Nothing is provided for it.
            asking: Begins the message: who asks for what.
            only_interfaces: Let a value pass whose type can be made itself, since then another one may be meant.

        Raises:
            DeclarationError: There is such a value.
        """
        narrower = next(
            (each for each in self._made if each.token == key.token and _is_below(each.type, key.type)), None
        )
        if narrower is not None and (_is_interface(key.type) or not only_interfaces):
            raise DeclarationError(
                f"{asking}, which is provided as {narrower} only; "
                f"annotate what its provider returns as {key}, or write Provider({key}, ...)"
            )

    def _recipe(self, factory: Callable[..., Any], lifetime: Lifetime) -> Recipe:
        return Recipe(factory, needs_of(factory, config=self.config), lifetime, opens(factory))

    def _check(self, key: Key, path: tuple[Key, ...]) -> None:
        if key in path:
            circle = " -> ".join(str(step) for step in (*path[path.index(key) :], key))
            raise DeclarationError(f"providers need one another in a circle: {circle}")
        recipe = self._made.get(key)
        if recipe is None:
            return
        self._check_needs(recipe, (*path, key))
        if recipe.lifetime == "process" and self._needs_execution(recipe):
            raise DeclarationError(
                f"{key} lives as long as the process, but needs something that lives for one execution; "
                "give its provider lifetime='execution'"
            )

    def _check_needs(self, recipe: Recipe, path: tuple[Key, ...]) -> None:
        for need in recipe.needs:
            asking = f"{name_of(recipe.factory)}: parameter {need.parameter!r} asks for {need.key}"
            if not self.known(need.key):
                self.refuse_narrower(need.key, asking, only_interfaces=need.optional)
                if not need.optional:
                    raise DeclarationError(
                        f"{asking}, which nothing provides; add a provider of {need.key} to the service"
                    )
            self._check(need.key, path)

    def _needs_execution(self, recipe: Recipe) -> bool:
        found = (self._made.get(need.key) for need in recipe.needs)
        return any(each is not None and each.lifetime == "execution" for each in found)


class Values:
    """Values that live equally long, and how they end; falls back to longer-lived ones."""

    def __init__(self, stack: AsyncExitStack, above: Mapping[Key, object]) -> None:
        self.stack = stack
        self.above = above
        self.own: dict[Key, object] = {}


class Container:
    """Makes values by recipe: those of the process once, those of an execution once for each.

    Values end in reverse order of their making, with the stack they were made on.
    """

    def __init__(self, recipes: Recipes, stack: AsyncExitStack) -> None:
        self._recipes = recipes
        self._process = Values(stack, recipes.given)

    async def make(self, recipe: Recipe) -> Any:
        """Make a value of the process by *recipe*."""
        await self.prepare(recipe.needs)
        return await self._make(recipe, self._process)

    async def prepare(self, needs: Iterable[Need]) -> None:
        """Make those values of the process that *needs* will want, however indirectly."""
        for need in needs:
            recipe = self._recipes.provided(need.key)
            if recipe is None or need.key in self._process.own:
                continue
            await self.prepare(recipe.needs)
            if recipe.lifetime == "process":
                self._process.own[need.key] = await self._make(recipe, self._process)

    async def make_here(self, recipe: Recipe, stack: AsyncExitStack) -> Any:
        """Make a value for one execution; it ends with *stack*."""
        return await self._make(recipe, Values(stack, {**self._process.above, **self._process.own}))

    async def get(self, key: Key) -> Any:
        """Return the value of the process for *key*, or ``None`` if nobody provides it."""
        if not self._recipes.known(key):
            self._recipes.refuse_narrower(key, f"the process asks for {key}", only_interfaces=True)
            return None
        await self.prepare([Need("", key)])
        return await self._value(key, self._process)

    def made(self, key: Key) -> Any:
        """Return the value of the process for *key* if it was made by now, else ``None``."""
        return self._process.own.get(key)

    async def _make(self, recipe: Recipe, values: Values) -> Any:
        given = {
            need.parameter: await self._value(need.key, values)
            for need in recipe.needs
            if self._recipes.known(need.key)
        }
        if recipe.opens is not None:
            return await _enter(recipe.opens(**given), values.stack)
        made = recipe.factory(**given)
        return await made if inspect.iscoroutine(made) else made

    async def _value(self, key: Key, values: Values) -> Any:
        if key in values.own:
            return values.own[key]
        if key in values.above:
            return values.above[key]
        recipe = self._recipes.provided(key)
        if recipe is None:
            raise LookupError(f"nothing provides {key}")
        values.own[key] = await self._make(recipe, values)
        return values.own[key]


def _is_below(kind: Any, wanted: Any) -> bool:
    try:
        return isinstance(kind, type) and issubclass(kind, wanted)
    except TypeError:  # what is wanted is no class, or a protocol that cannot be asked
        return False


def _is_interface(kind: Any) -> bool:
    """Whether *kind* says only what others are, so that nobody can mean to make one of it."""
    return inspect.isabstract(kind) or getattr(kind, "_is_protocol", False)


async def _enter(opened: Any, stack: AsyncExitStack) -> Any:
    if isinstance(opened, AbstractAsyncContextManager):
        return await stack.enter_async_context(opened)
    return stack.enter_context(opened)
