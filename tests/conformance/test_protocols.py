"""botocore's 732 protocol cases read backwards: its requests parse, its answers are written."""

from typing import Any

import pytest

from lambent.base.errors import AwsError
from lambent.net import BytesBody, Request, Response
from lambent.wire import Call, Codec, Shape
from tests.conformance.answers import as_botocore_reads, plain, same_bytes, without_empty
from tests.conformance.cases import FOLDER, TOTAL, Case, load, request_of, same, typed
from tests.conformance.not_applicable import NOT_APPLICABLE

pytestmark = pytest.mark.skipif(
    not FOLDER.is_dir(), reason="botocore's protocol cases are not beside the repository"
)
INPUTS = [case for case in load("input") if case.key not in NOT_APPLICABLE]
OUTPUTS = [case for case in load("output") if case.key not in NOT_APPLICABLE]
REQUEST_ID = "foo-id"


def test_every_case_is_run_or_listed() -> None:
    keys = {case.key for direction in ("input", "output") for case in load(direction)}
    assert keys >= NOT_APPLICABLE.keys()
    assert len(keys) == len(INPUTS) + len(OUTPUTS) + len(NOT_APPLICABLE) == TOTAL


@pytest.mark.parametrize("case", INPUTS, ids=lambda case: case.key)
def test_request_parses(case: Case) -> None:
    codec = case.codec()
    request, body = request_of(case)
    call = codec.match(request, body)
    assert (call.operation, call.protocol) == (case.operation, case.protocol)
    shape = codec.model.operation(case.operation).input_shape
    found = codec.parse(call, request, body)
    wanted = typed(shape, case.case.get("params") or {})
    assert same(_unbound(shape, found), _unbound(shape, wanted)), (found, wanted)


def _unbound(shape: Shape | None, params: dict[str, Any]) -> dict[str, Any]:
    """Without what a map of all query parameters repeats of the members bound to one each.

    Smithy has a server put them into the map; the cases, written for clients, are of two minds.
    """
    if shape is None:
        return params
    query = [m for m in shape.members.values() if m.location == "querystring"]
    bound = {m.wire_name for m in query if m.shape.type != "map"}
    for member in query:
        if member.shape.type == "map" and member.name in params:
            rest = {k: v for k, v in params[member.name].items() if k not in bound}
            params = {k: v for k, v in params.items() if k != member.name}
            params |= {member.name: rest} if rest else {}
    return params


@pytest.mark.parametrize("case", OUTPUTS, ids=lambda case: case.key)
def test_answer_is_written(case: Case) -> None:
    codec = case.codec()
    shape, wanted, response = _answer(case, codec)
    expected = case.case["response"]
    assert response.status == expected["status_code"]
    ours = {name.lower(): value for name, value in response.headers}
    for name, value in expected.get("headers", {}).items():
        if name.lower() not in ("content-length", "x-amzn-requestid"):
            assert ours.get(name.lower()) == value, name
    if same_bytes(case, response):
        return
    read = typed(shape, without_empty(shape, plain(as_botocore_reads(case, response))))
    assert same(read, typed(shape, without_empty(shape, wanted))), (response.body, wanted)


def _answer(case: Case, codec: Codec) -> tuple[Shape | None, Any, Response]:
    call = Call(case.operation, case.protocol)
    if "error" not in case.case:
        shape = codec.model.operation(case.operation).output_shape
        wanted = case.case.get("result") or {}
        return shape, wanted, codec.serialize(call, typed(shape, wanted), REQUEST_ID)
    code, wanted = case.case["errorCode"], case.case["error"]
    shape = codec.model.error_shapes.get(code)
    fields = {k: v for k, v in typed(shape, wanted).items() if k.lower() != "message"}
    error = AwsError(code, case.case.get("errorMessage"), fields=fields)
    request = Request("POST", "/", "", {}, BytesBody())
    return shape, wanted, codec.serialize_error(error, call, request, REQUEST_ID)
