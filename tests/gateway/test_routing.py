"""Which service a request is for, and what is said when it is nobody's."""

from typing import Any

import pytest
from botocore.exceptions import ClientError

from lambent.base.errors import AwsError
from lambent.gateway.routing import route
from lambent.kernel.service import Registry
from lambent.net import BytesBody, Request
from tests.kernel.fakes import fake_service
from tests.loops import run
from tests.servers import ThreadServer

REGISTRY = Registry(
    [
        fake_service("s3"),
        fake_service("one", target_prefixes=("One_1",), path_prefixes=("/2015-03-31/",)),
        fake_service("two", signing_names=("two", "deux"), api_version="2012-11-05"),
    ]
)


def _signed(scope: str) -> dict[str, str]:
    credential = f"AKIA/20260101/eu-west-1/{scope}/aws4_request"
    text = f"AWS4-HMAC-SHA256 Credential={credential}, SignedHeaders=host, Signature={'0' * 64}"
    return {"authorization": text, "x-amz-date": "20260101T000000Z"}


def _request(
    method: str = "GET", path: str = "/", query: str = "", body: bytes = b"", **headers: str
) -> Request:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Request(method, path, query, {"host": "127.0.0.1:1"} | named, BytesBody(body))


def _routed(request: Request) -> tuple[str, str]:
    found = run(route(REGISTRY, request))
    return found.service.name, found.request.path


FORM = "application/x-www-form-urlencoded; charset=utf-8"


@pytest.mark.parametrize(
    ("request_", "service"),
    [
        (_request("POST", x_amz_target="One_1.Do"), "one"),
        (_request("POST", x_amz_target="One_1.Do", **_signed("two")), "one"),
        (_request("POST", x_amz_target="Unknown.Do", **_signed("two")), "two"),
        (_request(**_signed("deux")), "two"),
        (_request(**_signed("s3"), path="/2015-03-31/x"), "s3"),
        (_request(path="/2015-03-31/functions"), "one"),
        (_request("POST", content_type=FORM, body=b"Action=A&Version=2012-11-05"), "two"),
        (_request("POST", content_type=FORM, body=b"Action=A&Version=1999-01-01"), "s3"),
        (_request("POST", "/service/One_1/operation/Do", smithy_protocol="rpc-v2-cbor"), "one"),
        (_request(path="/bucket/key"), "s3"),
        (_request("PUT", "/b/k", content_type=FORM), "s3"),
        (_request(path="/service/x/operation/y"), "s3"),
    ],
)
def test_routes(request_: Request, service: str) -> None:
    assert _routed(request_)[0] == service


def test_the_credential_is_handed_on() -> None:
    found = run(route(REGISTRY, _request(**_signed("two"))))
    assert found.credential is not None
    assert (found.credential.access_key, found.credential.region) == ("AKIA", "eu-west-1")
    assert run(route(REGISTRY, _request())).credential is None


def test_a_form_that_was_read_can_be_read_again() -> None:
    body = b"Action=A&Version=2012-11-05"
    found = run(route(REGISTRY, _request("POST", content_type=FORM, body=body)))
    assert run(found.request.body.read(1000)) == body


@pytest.mark.parametrize(
    ("host", "path"),
    [
        ("bucket.s3.localhost:4566", "/bucket/k"),
        ("bucket.s3.localhost", "/bucket/k"),
        ("my.bucket.s3.localhost:1", "/my.bucket/k"),
        ("bucket.s3.eu-west-1.localhost:1", "/bucket/k"),
        ("bucket.s3-eu-west-1.localhost:1", "/bucket/k"),
        ("BUCKET.S3.LOCALHOST:1", "/bucket/k"),
        ("s3.localhost:1", "/k"),
        ("localhost:1", "/k"),
        ("bucket.localhost:1", "/k"),
        ("bucket.s3x.localhost:1", "/k"),
        ("bucket.s3.example.com", "/k"),
        ("[::1]:1", "/k"),
        ("", "/k"),
    ],
)
def test_bucket_hosts(host: str, path: str) -> None:
    assert _routed(_request(path="/k", host=host)) == ("s3", path)


@pytest.mark.parametrize(
    ("request_", "what"),
    [
        (_request(**_signed("sqs")), "the service 'sqs'"),
        (_request("POST", x_amz_target="Nobody.Do"), "the target 'Nobody.Do'"),
        (_request("POST", "/service/X/operation/Y", smithy_protocol="rpc-v2-cbor"), "service 'X'"),
        (_request(host="abc.lambda-url.us-east-1.localhost:1"), "address abc.lambda-url"),
        (_request(host="abc.execute-api.localhost"), "the address abc.execute-api.localhost"),
    ],
)
def test_what_is_not_served_is_named(request_: Request, what: str) -> None:
    with pytest.raises(AwsError, match=f"Lambent does not serve .*{what}") as raised:
        _routed(request_)
    assert (raised.value.code, raised.value.status) == ("NotImplemented", 501)


def test_without_s3_what_is_left_is_unknown() -> None:
    with pytest.raises(AwsError) as raised:
        run(route(Registry([]), _request(path="/x")))
    assert (raised.value.code, raised.value.status) == ("UnknownOperationException", 404)


@pytest.mark.parametrize(
    ("service", "operation"),
    [
        ("dynamodb", "list_tables"),
        ("sqs", "list_queues"),
        ("sns", "list_topics"),
        ("events", "list_rules"),
        ("stepfunctions", "list_activities"),
        ("cloudwatch", "list_metrics"),
        ("kinesis", "list_streams"),
        ("apigateway", "get_rest_apis"),
        ("ec2", "describe_vpcs"),
        ("ses", "list_identities"),
        ("elbv2", "describe_load_balancers"),
        ("cognito-idp", "list_user_pool_clients"),
        ("cloudfront", "list_distributions"),
        ("scheduler", "list_schedules"),
        ("route53", "list_hosted_zones"),
    ],
)
def test_the_sdk_understands_that_a_service_is_not_served(
    server: ThreadServer, service: str, operation: str
) -> None:
    if service in server.platform.registry.services:
        pytest.skip(f"{service} is served by now")
    client = server.client(service)
    arguments: dict[str, Any] = {}
    if operation == "list_user_pool_clients":
        arguments["UserPoolId"] = "x_y"
    with pytest.raises(ClientError) as raised:
        getattr(client, operation)(**arguments)
    error = raised.value.response
    assert error["Error"]["Code"] == "NotImplemented"
    assert "Lambent does not serve" in error["Error"]["Message"]
    assert error["ResponseMetadata"]["HTTPStatusCode"] == 501


@pytest.mark.parametrize(
    ("service", "operation", "arguments"),
    [
        ("lambda", "list_layers", {}),
        ("s3", "get_bucket_cors", {"Bucket": "bbb"}),
        ("iam", "list_saml_providers", {}),
    ],
)
def test_the_sdk_understands_that_an_operation_is_not_served(
    server: ThreadServer, service: str, operation: str, arguments: dict[str, Any]
) -> None:
    client = server.client(service)
    name = client.meta.method_to_api_mapping[operation]
    if server.platform.registry.services[service].support()[name] == "served":
        pytest.skip(f"{name} is served by now")
    with pytest.raises(ClientError) as raised:
        getattr(client, operation)(**arguments)
    error = raised.value.response
    assert error["Error"]["Code"] == "NotImplemented"
    assert f"{service}:{name}" in error["Error"]["Message"]
    assert error["ResponseMetadata"]["HTTPStatusCode"] == 501
