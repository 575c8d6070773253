"""The texts that were recorded from AWS, from the same violations."""

from typing import Any

import pytest

from lambent.wire import validation_message
from tests.wire.generate import codec_of

FAILED = "failed to satisfy constraint: Member must"


@pytest.mark.parametrize(
    ("service", "operation", "params", "text"),
    [
        (
            "stepfunctions", "ListExecutions", {"maxResults": 1001},
            f"Value '1001' at 'maxResults' {FAILED} have value less than or equal to 1000",
        ),
        (
            "lambda", "PutProvisionedConcurrencyConfig",
            {"FunctionName": "f", "Qualifier": "1", "ProvisionedConcurrentExecutions": 0},
            f"Value '0' at 'provisionedConcurrentExecutions' {FAILED} have value greater than or "
            "equal to 1",
        ),
        (
            "lambda", "UpdateFunctionConfiguration",
            {"FunctionName": "f", "SnapStart": {"ApplyOn": "invalidOption"}},
            f"Value 'invalidOption' at 'snapStart.applyOn' {FAILED} satisfy enum value set: "
            "[PublishedVersions, None]",
        ),
        (
            "lambda", "UpdateFunctionCode",
            {"FunctionName": "f", "Architectures": ["x86_64", "arm64"]},
            f"Value '[x86_64, arm64]' at 'architectures' {FAILED} have length less than or equal "
            "to 1",
        ),
        (
            "lambda", "AddPermission",
            {"FunctionName": "f", "StatementId": "example.com", "Action": "lambda:InvokeFunction",
             "Principal": "p"},
            f"Value 'example.com' at 'statementId' {FAILED} satisfy regular expression pattern: "
            "([a-zA-Z0-9-_]+)",
        ),
        (
            "kms", "CreateKey", {"Tags": [{"TagKey": "a" * 129, "TagValue": "v"}]},
            f"Value '{'a' * 129}' at 'tags.1.member.tagKey' {FAILED} have length less than or "
            "equal to 128",
        ),
        (
            "sns", "Publish", {"Message": "m", "MessageAttributes": {"attr1": {}}},
            f"Value null at 'messageAttributes.attr1.member.dataType' {FAILED} not be null",
        ),
        (
            "sns", "PublishBatch",
            {"TopicArn": "t", "PublishBatchRequestEntries": [
                {"Id": "1", "Message": "m", "MessageAttributes": {"attr1": {}}}]},
            "Value null at 'publishBatchRequestEntries.1.member.messageAttributes.attr1.member."
            f"dataType' {FAILED} not be null",
        ),
        (
            "dynamodb", "ExecuteStatement", {"Statement": "s", "Parameters": []},
            f"Value '[]' at 'parameters' {FAILED} have length greater than or equal to 1",
        ),
        (
            "lambda", "CreateFunction",
            {"FunctionName": "f", "Role": "arn:aws:iam::123456789012:role/r", "Code": {},
             "Environment": {"Variables": {"1": "v"}}},
            "Value '{1=v}' at 'environment.variables' failed to satisfy constraint: Map keys must "
            "satisfy constraint: [Member must satisfy regular expression pattern: "
            "[a-zA-Z]([a-zA-Z0-9_])+]",
        ),
    ],
)  # fmt: skip
def test_recorded_texts(service: str, operation: str, params: dict[str, Any], text: str) -> None:
    errors = codec_of(service).validate(operation, params)
    assert validation_message(errors) == f"1 validation error detected: {text}"


def test_several_errors_are_one_message() -> None:
    errors = codec_of("apigateway").validate(
        "CreateRestApi",
        {"name": "n", "endpointConfiguration": {"types": ["wrong"], "ipAddressType": "wrong"}},
        root="createRestApiInput.",
    )
    assert validation_message(errors).startswith(
        "2 validation errors detected: Value '[wrong]' at "
        "'createRestApiInput.endpointConfiguration.types' failed to satisfy constraint: Member "
        "must satisfy constraint: [Member must satisfy enum value set: ["
    )


def test_structures_print_as_java_does() -> None:
    entry = {"metricName": "m", "metricNamespace": "n", "metricValue": "1"}
    (error,) = codec_of("logs").validate(
        "PutMetricFilter",
        {"logGroupName": "g", "filterName": "f", "filterPattern": "",
         "metricTransformations": [entry, entry]},
    )  # fmt: skip
    assert error.startswith(
        "Value '[MetricTransformation(metricName=m, metricNamespace=n, metricValue=1, "
        "defaultValue=null, "
    )


def test_members_may_be_exempt() -> None:
    codec = codec_of("lambda")
    assert len(codec.validate("GetFunction", {"FunctionName": "!" * 300})) == 2
    assert codec.validate("GetFunction", {"FunctionName": "!"}, frozenset({"FunctionName"})) == []
    assert codec.validate("GetFunction", {}) == [
        f"Value null at 'functionName' {FAILED} not be null"
    ]


def test_nulls_in_lists_and_maps_are_named() -> None:
    errors = codec_of("sqs").validate(
        "CreateQueue", {"QueueName": "q", "Attributes": {"DelaySeconds": None}}
    )
    assert errors == [f"Value null at 'attributes.DelaySeconds.member' {FAILED} not be null"]
    errors = codec_of("lambda").validate(
        "UpdateFunctionConfiguration", {"FunctionName": "f", "Layers": [None]}
    )
    assert errors == [f"Value null at 'layers.1.member' {FAILED} not be null"]
