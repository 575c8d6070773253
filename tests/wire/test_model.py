"""Models as data: what botocore's own loader finds, ours finds, and nothing imports botocore."""

import subprocess
import sys

import pytest

from lambent.wire import ServiceModel
from lambent.wire.model import data_folder
from tests.wire.generate import botocore_model


@pytest.mark.parametrize("service", ["lambda", "s3", "sqs", "cloudwatch", "dynamodb", "ec2"])
def test_the_model_is_botocore_s(service: str) -> None:
    ours, theirs = ServiceModel.load(service), botocore_model(service)
    assert set(ours.operation_names) == set(theirs.operation_names)
    assert ours.signing_name == theirs.signing_name
    for name in ours.operation_names[:20]:
        operation, other = ours.operation(name), theirs.operation_model(name)
        assert operation.raw.http.request_uri == other.http["requestUri"]
        shape = operation.input_shape
        assert (shape is None) == (other.input_shape is None)
        if shape is not None:
            assert list(shape.members) == list(other.input_shape.members)
            assert list(shape.required) == list(other.input_shape.required_members)
        assert {s.name for s in operation.errors} == {s.name for s in other.error_shapes}


def test_the_lookups() -> None:
    model = ServiceModel.load("lambda")
    invoke = model.operation("Invoke")
    assert invoke is model.operation("Invoke")
    assert invoke.input_shape is model.shape("InvocationRequest")
    assert invoke.input_shape.payload is invoke.input_shape.members["Payload"]
    assert model.protocols == ("rest-json",)
    assert model.error_shapes["TooManyRequestsException"].raw.error is not None
    assert model.paginators()["ListFunctions"]["output_token"] == "NextMarker"
    assert "FunctionActiveV2" in model.waiters()
    assert not model.has_operation("Nope")
    for missing in ("nope", "", "../data"):
        with pytest.raises(LookupError):
            ServiceModel.load(missing)


def test_shapes_know_whether_they_nest() -> None:
    model = ServiceModel.load("dynamodb")
    assert model.shape("AttributeValue").recursive
    assert not model.shape("KeySchema").recursive


def test_traits_that_botocore_drops_are_put_back() -> None:
    sqs = ServiceModel.load("sqs")
    assert sqs.protocols == ("json", "query")
    assert sqs.shape("MessageList").member.location_name == "Message"
    assert sqs.error_shapes["AWS.SimpleQueueService.NonExistentQueue"].name == "QueueDoesNotExist"
    s3 = ServiceModel.load("s3")
    assert all(s3.shape(name) for name in s3.dropped.xml_roots)


def test_botocore_is_not_imported() -> None:
    code = (
        "import sys, lambent.wire as w; c = w.Codec(w.ServiceModel.load('lambda'));"
        "assert not {'botocore', 'awscrt', 'boto3'} & set(sys.modules), sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
    assert (data_folder() / "lambda").is_dir()
