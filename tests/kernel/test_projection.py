"""Nothing gets out that the shape does not name, at any depth; all that it names does."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from lambent.kernel import Ctx, Verbs, Wire
from lambent.kernel.projection import project
from lambent.wire import ServiceModel
from tests.kernel.fakes import MODEL, fake_service, running

SECRET = "secret"
THING = ServiceModel.from_dict(MODEL).shape("Thing")

_inner: Any = st.deferred(
    lambda: st.fixed_dictionaries({}, optional={"Shown": st.text(max_size=3), "Deeper": _inner})
)
_thing = st.fixed_dictionaries(
    {"Name": st.text(max_size=3)},
    optional={
        "Inner": _inner,
        "Inners": st.lists(_inner, max_size=3),
        "ByName": st.dictionaries(st.text(max_size=3), _inner, max_size=3),
    },
)


def _salted(value: Any, *, is_map: bool = False) -> Any:
    """`value` with a secret in every structure."""
    if isinstance(value, list):
        return [_salted(item) for item in value]
    if isinstance(value, dict):
        salted = {name: _salted(item, is_map=name == "ByName") for name, item in value.items()}
        return salted if is_map else salted | {SECRET: {"a": [SECRET]}}
    return value


@given(_thing)
def test_secrets_go_and_the_rest_stays(thing: Wire) -> None:
    assert project(_salted(thing), THING) == thing


@given(_thing)
def test_what_is_stored_is_not_changed(thing: Wire) -> None:
    salted = _salted(thing)
    before = repr(salted)
    project(salted, THING)
    assert repr(salted) == before


def test_no_shape_no_answer() -> None:
    assert project({"a": 1}, None) == {}


def test_a_document_is_passed_whole() -> None:
    model = {**MODEL, "shapes": {"Free": {"type": "structure", "document": True, "members": {}}}}
    shape = ServiceModel.from_dict(model | {"operations": {}}).shape("Free")
    assert project({"a": {"b": [1]}}, shape) == {"a": {"b": [1]}}


async def test_a_call_in_process_is_validated_and_projected() -> None:
    verbs = Verbs()

    @verbs.operation("GetThing")
    async def get_thing(ctx: Ctx, request: Wire) -> Wire:
        return {"Name": request["Name"], "Inner": {"Shown": "x", SECRET: 1}, SECRET: 2}

    async with running(fake_service(parts=(verbs,))) as platform:
        ctx = platform.context("other", "123456789012", "eu-west-1")
        answer = await ctx.call("fake", "GetThing", {"Name": "a"})
    assert answer == {"Name": "a", "Inner": {"Shown": "x"}}
