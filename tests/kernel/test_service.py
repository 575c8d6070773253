"""Declarations: precedence of parts, finding services, refusals, the support table."""

from collections.abc import Iterator
from typing import Any

import pytest

from lambent.base.errors import AwsError
from lambent.kernel import Ctx, Service, Target, Verbs, Wire
from lambent.kernel.service import Operation, Registry, not_implemented
from tests.kernel.fakes import context, fake_service, running


class FakeTrait:
    """Serves what it is told to, and says so."""

    def __init__(self, *names: str) -> None:
        self._names = names

    def serve(self, service: Service) -> Iterator[tuple[str, Operation]]:
        async def answer(ctx: Ctx, request: Wire) -> Wire:
            return {"Text": "trait"}

        for name in self._names:
            yield name, answer


def _verbs(*names: str) -> Verbs:
    verbs = Verbs()

    async def answer(ctx: Ctx, request: Wire) -> Wire:
        return {"Text": "verb"}

    for name in names:
        verbs.operation(name)(answer)
    return verbs


@pytest.mark.parametrize("verbs_first", [True, False])
async def test_a_verb_wins_over_a_trait_in_whatever_order(verbs_first: bool) -> None:
    trait, verbs = FakeTrait("GetThing", "PutThing"), _verbs("GetThing")
    service = fake_service(parts=(verbs, trait) if verbs_first else (trait, verbs))
    async with running(service) as platform:
        ctx = context(platform)
        assert await service.dispatch(ctx, "GetThing", {"Name": "x"}) == {"Text": "verb"}
        assert await service.dispatch(ctx, "PutThing", {"Name": "x"}) == {"Text": "trait"}


def test_a_verb_is_served_once() -> None:
    verbs = _verbs("GetThing")
    with pytest.raises(AssertionError, match="GetThing is served twice"):
        verbs.operation("GetThing")(lambda ctx, request: None)  # type: ignore[arg-type, return-value]


async def test_an_operation_that_is_not_served_says_so() -> None:
    service = fake_service()
    async with running(service) as platform:
        with pytest.raises(AwsError, match="does not serve fake:Unserved yet") as raised:
            await service.dispatch(context(platform), "Unserved", {})
    assert (raised.value.code, raised.value.status) == ("NotImplemented", 501)
    assert not_implemented("x").status == 501


def test_support_names_every_operation_of_the_model() -> None:
    service = fake_service(parts=(_verbs("PutThing"), FakeTrait("GetThing")))
    assert service.support() == {
        "PutThing": "served",
        "GetThing": "served",
        "TakePayload": "not yet",
        "Unserved": "not yet",
    }


def test_one_violation() -> None:
    service = fake_service()
    service.validate("PutThing", {"Name": "abc"})
    with pytest.raises(AwsError) as raised:
        service.validate("PutThing", {})
    error = raised.value
    assert (error.code, error.status) == ("ValidationException", 400)
    assert error.message == (
        "1 validation error detected: Value null at 'name' failed to satisfy constraint: "
        "Member must not be null"
    )


def test_several_violations_and_a_code_of_the_services_own() -> None:
    service = fake_service(validation_code="InvalidParameterValueException")
    with pytest.raises(AwsError) as raised:
        service.validate("PutThing", {"Name": "TOO LONG A NAME"})
    error = raised.value
    assert error.code == "InvalidParameterValueException"
    assert str(error.message).startswith("2 validation errors detected: Value ")
    assert str(error.message).count("failed to satisfy constraint") == 2
    assert "; " in str(error.message)


def test_members_with_rules_of_their_own_are_left_alone() -> None:
    for exempt in ("Name", "PutThing.Name"):
        fake_service(unvalidated=frozenset({exempt})).validate("PutThing", {"Name": "A B"})
    with pytest.raises(AwsError):
        fake_service(unvalidated=frozenset({"GetThing.Name"})).validate("PutThing", {"Name": "A B"})


def _target(operation: str) -> Target:
    return Target(operation, lambda arn, payload, attributes: {})


def test_the_registry_finds_services_by_all_their_names() -> None:
    one = fake_service(
        "one",
        signing_names=("one", "first"),
        target_prefixes=("One_1", "One_2"),
        api_version="2010-01-01",
        path_prefixes=("/2010/one",),
    )
    two = fake_service("two")
    registry = Registry([one, two])
    assert registry.named("two") is two
    assert registry.signed_for("first") is one
    assert registry.signed_for("two") is two
    assert registry.signed_for("three") is None
    assert registry.targeted("One_2") is one
    assert registry.targeted("Two") is None
    assert registry.versioned("2010-01-01") is one
    assert registry.versioned("") is None
    assert registry.at_path("/2010/one/x") is one
    assert registry.at_path("/2010") is None
    with pytest.raises(AwsError, match="does not serve the service 'three' yet"):
        registry.named("three")


@pytest.mark.parametrize(
    ("resource", "operation"),
    [
        ("thing:a:1", "TakeThing"),
        ("thing/a", "TakeThing"),
        ("other:a", "TakeAny"),
        ("name", "TakeAny"),
    ],
)
def test_targets_are_found_by_the_first_word_of_the_resource(resource: str, operation: str) -> None:
    service = fake_service(targets={"thing": _target("TakeThing"), "": _target("TakeAny")})
    found: Any = Registry([service]).target("fake", resource)
    assert (found[0], found[1].operation) == (service, operation)


def test_targets_that_nobody_takes() -> None:
    registry = Registry([fake_service(targets={"thing": _target("TakeThing")})])
    assert registry.target("fake", "other:a") is None
    assert registry.target("nobody", "thing:a") is None
