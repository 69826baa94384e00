"""States: what they take, what they refuse, and that nothing in them changes."""

from __future__ import annotations

import copy
import json
import pickle
import typing
from collections.abc import Callable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from datetime import datetime
from enum import Enum
from typing import Annotated, Any, ClassVar, Generic, Protocol, TypeVar, runtime_checkable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import Field

from honeyhive import MISSING, Missing, State
from honeyhive.exceptions import FrozenStateError, HoneyHiveError, StateError
from honeyhive.utils import FrozenDict

Element = TypeVar("Element")


class Configuration(State):
    database_url: str
    feature_flags: Mapping[str, bool]
    allowed_hosts: Sequence[str]


class User(State):
    id: str
    name: str
    email: str | None = None


class Box(State, Generic[Element]):
    items: Sequence[Element]
    notes: Mapping[str, Any] = {}


class Shelf(State):
    boxes: Sequence[Box[int]]
    best: Box[int] | None = None


class Colour(Enum):
    RED = "red"


class Connection:
    """A class that knows nothing of states."""


@runtime_checkable
class Fetching(Protocol):
    async def __call__(self, identity: str) -> User: ...


class Unchecked(Protocol):
    async def __call__(self) -> None: ...


@pytest.fixture
def user() -> User:
    return User(id="1", name="Ada")


class TestValidation:
    @pytest.mark.acceptance("H13")
    def test_a_configuration_holds_mappings_and_sequences(self) -> None:
        configuration = Configuration(
            database_url="postgresql://localhost/db",
            feature_flags={"new": True, "old": False},
            allowed_hosts=["localhost", "127.0.0.1"],
        )

        assert configuration.feature_flags["new"] is True
        assert ("localhost", "127.0.0.1") == configuration.allowed_hosts

    @pytest.mark.acceptance("H1")
    @pytest.mark.acceptance("H10")
    def test_a_wrong_value_is_refused_with_class_and_field(self) -> None:
        with pytest.raises(StateError) as caught:
            User(id=1, name="Ada")  # type: ignore[arg-type]

        assert "User.id should be a valid string, got int" == str(caught.value)
        assert ("id",) == caught.value.fields

    @pytest.mark.parametrize("family", [HoneyHiveError, TypeError, ValueError])
    def test_the_error_belongs_to_the_families_people_catch(self, family: type[Exception]) -> None:
        with pytest.raises(family):
            User(id="1")  # type: ignore[call-arg]

    def test_every_field_at_fault_is_named_at_once(self) -> None:
        with pytest.raises(StateError) as caught:
            User(id=1, nam="Ada")  # type: ignore[call-arg, arg-type]

        assert ("id", "name", "nam") == caught.value.fields
        assert "User.name is missing" in str(caught.value)
        assert "User.nam is no field of this class" in str(caught.value)

    def test_an_error_points_into_collections_and_nested_states(self) -> None:
        with pytest.raises(StateError, match=r"^Configuration\.allowed_hosts\[1\] should be a valid string, got int$"):
            Configuration(database_url="", feature_flags={}, allowed_hosts=["a", 2])  # type: ignore[list-item]

    def test_an_error_quotes_no_value(self) -> None:
        with pytest.raises(StateError) as caught:
            Configuration(database_url=b"s3cret", feature_flags={"s3cret": "s3cret"}, allowed_hosts="s3cret")

        messages = [str(caught.value), str(caught.value.__cause__)]
        assert not any("s3cret" in message.replace("feature_flags.s3cret", "") for message in messages)

    def test_fields_are_given_by_name(self) -> None:
        with pytest.raises(StateError, match=r"by name: User\(id=\.\.\., name=\.\.\., email=\.\.\.\)"):
            User("1", "Ada")  # type: ignore[misc]

    @pytest.mark.parametrize(
        "annotation, value",
        [
            (int, "1"),
            (int, 1.0),
            (int, True),
            (bool, 1),
            (bool, "yes"),
            (str, b"bytes"),
            (datetime, "2026-01-01"),
            (Colour, "red"),
            (Sequence[str], "text"),
            (Sequence[str], {"a"}),
            (Sequence[int], iter([1])),
            (Mapping[str, int], [("a", 1)]),
            (AbstractSet[int], [1]),
            (type[User], User(id="1", name="Ada")),
        ],
    )
    def test_nothing_is_converted_silently(self, annotation: Any, value: object) -> None:
        class Holder(State):
            value: annotation

        with pytest.raises(StateError, match=r"^Holder\.value"):
            Holder(value=value)

    def test_a_whole_number_will_do_for_a_float(self) -> None:
        class Holder(State):
            value: float

        assert 2.0 == Holder(value=2).value

    def test_limits_of_pydantic_hold(self) -> None:
        class Pool(State):
            size: Annotated[int, Field(ge=1)] = 10

        with pytest.raises(StateError, match=r"Pool\.size should be greater than or equal to 1"):
            Pool(size=0)

    def test_objects_of_any_class_are_checked_and_kept(self) -> None:
        class Pool(State):
            connections: list[Connection]

        connection = Connection()
        pool = Pool(connections=[connection])

        assert pool.connections[0] is connection
        with pytest.raises(StateError, match=r"Pool\.connections\[0\] should be an instance of Connection, got str"):
            Pool(connections=["mine"])  # type: ignore[list-item]

    @pytest.mark.acceptance("H23")
    def test_a_protocol_takes_any_function_and_refuses_what_cannot_be_called(self) -> None:
        class Users(State):
            fetching: Fetching

        async def fetch(identity: str) -> User:
            return User(id=identity, name="Ada")

        assert Users(fetching=fetch).fetching is fetch
        with pytest.raises(StateError, match=r"Users\.fetching should be an instance of Fetching, got str"):
            Users(fetching="fetch")  # type: ignore[arg-type]

    def test_a_protocol_that_cannot_be_checked_is_refused_with_the_fix(self) -> None:
        with pytest.raises(TypeError, match="Unchecked cannot be checked at run time: decorate it with @runtime_check"):

            class Service(State):
                call: Unchecked

    def test_a_field_may_refer_to_a_class_that_comes_later(self) -> None:
        class Tree(State):
            children: Sequence[Tree] = ()

        tree = Tree(children=[Tree(), Tree(children=[Tree()])])

        assert ((), (Tree(),)) == tuple(child.children for child in tree.children)

    def test_a_class_variable_is_no_field(self) -> None:
        class Limits(State):
            highest: ClassVar[list[int]] = [1]
            low: int = 0

        assert ["low"] == list(Limits.model_fields)
        assert [1] == Limits.highest


class TestDefaults:
    @pytest.mark.acceptance("H21")
    def test_a_field_with_a_default_may_be_left_out(self, user: User) -> None:
        assert user.email is None

    def test_defaults_are_frozen_and_checked_like_any_value(self) -> None:
        class Holder(State):
            flags: Mapping[str, bool] = {"a": True}
            count: int = "many"  # type: ignore[assignment]

        assert type(Holder(count=1).flags) is FrozenDict
        with pytest.raises(StateError, match=r"^Holder\.count should be a valid integer, got str$"):
            Holder()

    @pytest.mark.acceptance("H20")
    def test_missing_is_not_none(self) -> None:
        class Change(State):
            email: str | Missing | None = MISSING

        assert Change().email is MISSING
        assert Change(email=None).email is None


class TestImmutability:
    @pytest.mark.acceptance("H1")
    def test_a_field_cannot_be_set_or_deleted(self, user: User) -> None:
        with pytest.raises(FrozenStateError, match=r"User is frozen; make a copy: updated\(name=\.\.\.\)"):
            user.name = "Eve"  # type: ignore[misc]
        with pytest.raises(AttributeError):
            del user.name

        assert "Ada" == user.name

    @pytest.mark.acceptance("H27")
    def test_sequences_become_tuples(self) -> None:
        assert (1, 2) == Box[int](items=[1, 2]).items

    @pytest.mark.acceptance("H28")
    def test_mappings_refuse_to_change_and_do_not_follow_their_source(self) -> None:
        given = {"a": 1}
        box = Box[int](items=(), notes=given)

        given["a"] = 2

        assert {"a": 1} == box.notes
        with pytest.raises(TypeError, match="frozen"):
            box.notes["a"] = 3  # type: ignore[index]

    @pytest.mark.acceptance("H29")
    @pytest.mark.parametrize("annotation", [AbstractSet[str], AbstractSet, typing.Set[str], typing.Set])  # noqa: UP006 -- old spelling
    def test_sets_become_frozen_sets(self, annotation: Any) -> None:
        class Tagged(State):
            tags: annotation

        assert frozenset({"a"}) == Tagged(tags={"a"}).tags
        assert type(Tagged(tags={"a"}).tags) is frozenset

    @pytest.mark.parametrize("annotation", [Any, object, Sequence[Any], Sequence, tuple[Any, int] | tuple[Any]])
    def test_collections_are_frozen_at_any_depth(self, annotation: Any) -> None:
        class Holder(State):
            value: annotation

        holder = Holder(value=[{"a": [1, {2}]}] if "tuple" not in str(annotation) else ({"a": [1, {2}]},))

        assert ({"a": (1, frozenset({2}))},) == holder.value
        assert isinstance(hash(holder), int)

    def test_annotations_are_read_at_any_depth(self) -> None:
        class Holder(State):
            value: Mapping[str, Sequence[AbstractSet[int]] | None]

        assert {"a": (frozenset({1}),), "b": None} == Holder(value={"a": [{1}], "b": None}).value

    def test_a_mutable_collection_asked_for_by_name_is_a_copy_that_may_change(self) -> None:
        class Bus(State):
            subscribers: dict[str, list[Callable[..., object]]] = {}

        given: dict[str, list[Callable[..., object]]] = {}
        bus, other = Bus(subscribers=given), Bus()

        bus.subscribers["created"] = []
        bus.subscribers["created"].append(print)

        assert {"created": [print]} == bus.subscribers
        assert {} == given == other.subscribers == Bus().subscribers

    @given(
        st.recursive(
            st.none() | st.integers() | st.text(),
            lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner) | st.sets(st.integers()),
        )
    )
    def test_whatever_is_put_in_the_state_can_be_hashed_copied_and_pickled(self, value: object) -> None:
        box = Box(items=[value])

        assert hash(box) == hash(copy.deepcopy(box))
        assert box == pickle.loads(pickle.dumps(box)) == copy.copy(box)


class TestGenerics:
    @pytest.mark.acceptance("H11")
    def test_a_type_argument_is_enforced(self) -> None:
        with pytest.raises(StateError, match=r"^Box\[int\]\.items\[0\] should be a valid integer, got str$"):
            Box[int](items=["x"])  # type: ignore[list-item]

    @pytest.mark.acceptance("H11")
    def test_a_type_argument_is_enforced_in_a_nested_state(self) -> None:
        with pytest.raises(StateError, match=r"Shelf\.boxes\[0\]\.items\[0\]"):
            Shelf(boxes=[Box[str](items=["x"])])  # type: ignore[list-item]

    def test_without_type_arguments_anything_goes(self) -> None:
        assert (1, "x") == Box(items=[1, "x"]).items

    def test_collections_given_as_type_arguments_are_frozen(self) -> None:
        assert ((1,), (2, 3)) == Box[Sequence[int]](items=[[1], [2, 3]]).items

    def test_a_generic_state_can_be_extended_and_pickled(self) -> None:
        box = Box[Sequence[int]](items=[[1]])

        assert box == pickle.loads(pickle.dumps(box))
        assert type(box) is type(pickle.loads(pickle.dumps(box)))

    def test_a_subclass_may_fix_the_type_argument(self) -> None:
        class Numbers(Box[int]):
            total: int = 0

        assert 3 == Numbers(items=[1, 2], total=3).total
        with pytest.raises(StateError, match=r"Numbers\.items\[0\]"):
            Numbers(items=["x"])  # type: ignore[list-item]


class TestUpdates:
    @pytest.mark.acceptance("H30")
    def test_an_update_gives_a_changed_copy_and_leaves_the_original(self, user: User) -> None:
        updated = user.updated(name="Ada L.")

        assert "Ada L." == updated.name
        assert "Ada" == user.name
        assert user.id == updated.id

    def test_an_update_is_validated(self, user: User) -> None:
        with pytest.raises(StateError, match=r"^User\.name should be a valid string, got int$"):
            user.updated(name=1)

    def test_an_update_of_an_unknown_field_is_refused(self, user: User) -> None:
        with pytest.raises(StateError, match=r"^User\.nam is no field of this class$"):
            user.updated(nam="Eve")

    def test_an_update_freezes_too(self) -> None:
        assert (3,) == Box[int](items=[1]).updated(items=[3]).items

    def test_an_update_keeps_what_has_changed_inside(self) -> None:
        class Bus(State):
            name: str = "bus"
            subscribers: dict[str, int] = {}

        bus = Bus()
        bus.subscribers["a"] = 1

        assert {"a": 1} == bus.updated(name="other").subscribers


class TestValues:
    def test_equal_fields_of_one_class_make_equal_states(self, user: User) -> None:
        assert user == User(id="1", name="Ada")
        assert hash(user) == hash(User(id="1", name="Ada"))
        assert user != user.updated(name="Eve")

    def test_states_of_other_classes_are_not_equal(self, user: User) -> None:
        class Person(State):
            id: str
            name: str
            email: str | None = None

        assert user != Person(id="1", name="Ada")

    def test_a_state_tells_its_class_and_fields(self, user: User) -> None:
        assert "User(id='1', name='Ada', email=None)" == repr(user) == str(user)

    def test_plain_data_is_read_on_request(self) -> None:
        text = '{"database_url": "x", "feature_flags": {"a": true}, "allowed_hosts": ["h"]}'

        read = Configuration.model_validate_json(text)

        assert read == Configuration(database_url="x", feature_flags={"a": True}, allowed_hosts=["h"])
        assert json.loads(text) == json.loads(read.model_dump_json())
        assert read == Configuration.model_validate(json.loads(text), strict=False)

    def test_a_class_that_is_made_of_plain_data_says_so(self) -> None:
        class Meeting(State, strict=False):
            at: datetime
            guests: Sequence[str]

        meeting = Meeting.model_validate({"at": "2026-01-01T10:00:00", "guests": ["Ada"]})

        assert (datetime(2026, 1, 1, 10), ("Ada",)) == (meeting.at, meeting.guests)  # noqa: DTZ001 -- as it was read

    def test_a_state_describes_itself_as_json_schema(self) -> None:
        schema = Configuration.model_json_schema()["properties"]

        assert {"type": "object", "additionalProperties": {"type": "boolean"}} == {
            key: value for key, value in schema["feature_flags"].items() if key != "title"
        }
        assert "array" == schema["allowed_hosts"]["type"]

    def test_private_attributes_are_the_class_s_own_affair(self) -> None:
        class Counter(State):
            name: str
            _count: int = 0

            def counted(self) -> int:
                self._count += 1
                return self._count

        counter = Counter(name="a")

        assert (1, 2) == (counter.counted(), counter.counted())
