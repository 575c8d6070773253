"""What may be asked of the Telemetry and Logs APIs, and what is answered when it may not."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lambent.sandbox.extensions.subscriptions import InvalidSubscription, parse

HTTP = {"protocol": "HTTP", "URI": "http://sandbox.localdomain:8080/in"}


def asked(api: str = "telemetry", **fields: Any) -> bytes:
    body = {"types": ["platform"], "destination": HTTP, **fields}
    return json.dumps({k: v for k, v in body.items() if v is not None}).encode()


def test_defaults_and_what_was_given() -> None:
    plain = parse("telemetry", asked())
    assert (plain.items_max, plain.bytes_max, plain.timeout_s) == (10_000, 262_144, 1.0)
    assert (plain.protocol, plain.port, plain.path) == ("HTTP", 8080, "/in")
    given_ = {"maxItems": 1000, "maxBytes": 1_048_576, "timeoutMs": 25}
    other = parse(
        "telemetry",
        asked(
            schemaVersion="2022-12-13",
            types=["function", "extension", "function"],
            buffering=given_,
            destination={"protocol": "TCP", "port": 9999},
        ),
    )
    assert (other.items_max, other.bytes_max, other.timeout_s) == (1000, 1_048_576, 0.025)
    assert (other.types, other.protocol, other.port) == (("function", "extension"), "TCP", 9999)
    assert other.parses
    assert not plain.parses


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"types": []}, "types should not be empty"),
        ({"types": ["all"]}, "types should be of platform, function, extension"),
        ({"destination": None}, "destination is not provided"),
        (
            {"types": [], "destination": HTTP | {"URI": "http://sandbox.localdomain"}},
            "URI port is not provided; types should not be empty",
        ),
        (
            {"destination": HTTP | {"URI": "http://169.254.169.254:80"}},
            "URI should begin with http://sandbox.localdomain:",
        ),
        ({"destination": HTTP | {"URI": "http://sandbox:1/a b"}}, "URI is not valid"),
        ({"destination": HTTP | {"URI": "http://sandbox:x"}}, "URI is not valid"),
        ({"destination": {"protocol": "UDP"}}, "destination protocol should be HTTP or TCP"),
        ({"destination": {"protocol": "TCP", "port": 0}}, "port is not valid"),
        ({"buffering": {"maxItems": 999}}, "maxItems should be between 1000 and 10000"),
        ({"buffering": {"timeoutMs": True}}, "timeoutMs should be between 25 and 30000"),
        ({"buffering": 1}, "buffering should be an object"),
        (
            {"schemaVersion": "2020-08-15"},
            "schemaVersion should be one of 2022-07-01, 2022-12-13, 2025-01-29",
        ),
    ],
)
def test_what_is_wrong_is_said(change: dict[str, Any], text: str) -> None:
    with pytest.raises(InvalidSubscription) as caught:
        parse("telemetry", asked(**change))
    assert str(caught.value) == text


def test_the_logs_api_knows_fewer_events() -> None:
    old = parse("logs", asked(schemaVersion="2020-08-15"))
    newer = parse("logs", asked(schemaVersion="2021-03-18"))
    telemetry = parse("telemetry", asked())
    for kind, wants in (
        ("platform.start", (True, True, True)),
        ("platform.end", (True, True, False)),
        ("platform.runtimeDone", (False, True, True)),
        ("platform.initStart", (False, False, True)),
        ("platform.logsSubscription", (True, True, False)),
        ("function", (False, False, False)),
    ):
        assert (old.wants(kind), newer.wants(kind), telemetry.wants(kind)) == wants


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["types", "destination", "buffering", "protocol", "URI", "port"]), inner
        )
    ),
)


@given(st.sampled_from(["telemetry", "logs"]), JSON.map(json.dumps) | st.text(max_size=20))
def test_anything_else_is_refused_and_never_breaks(api: str, body: str) -> None:
    try:
        found = parse(api, body.encode())
    except InvalidSubscription:
        pass
    else:
        assert found.types
        assert 1 <= found.port <= 65_535
