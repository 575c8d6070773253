"""Frames against botocore's own decoder; streams as clients of Lambda and Kinesis read them."""

import json
import zlib
from collections.abc import AsyncIterator
from typing import Any

import pytest
from botocore.eventstream import EventStreamBuffer
from hypothesis import given
from hypothesis import strategies as st

from lambent.base.errors import AwsError
from lambent.wire import Call
from lambent.wire.eventstream import encode_frame, frames
from lambent.wire.values import Unparsable
from tests.wire.generate import codec_of, drained

HEADERS = st.dictionaries(
    st.text("abc:-", min_size=1, max_size=8),
    st.one_of(
        st.booleans(), st.integers(-(2**63), 2**63 - 1), st.binary(max_size=9), st.text(max_size=9)
    ),
    max_size=4,
)


@given(HEADERS, st.binary(max_size=50))
def test_frames_round_trip_and_botocore_reads_them(headers: dict[str, Any], data: bytes) -> None:
    frame = encode_frame(headers, data)
    (ours,) = frames(frame)
    assert (ours.headers, ours.payload) == (headers, data)
    buffer = EventStreamBuffer()
    buffer.add_data(frame)
    (theirs,) = buffer
    assert (theirs.headers, theirs.payload) == (headers, data)


@given(st.binary(max_size=60), st.integers(0, 200))
def test_damage_is_noticed(noise: bytes, at: int) -> None:
    frame = bytearray(encode_frame({"a": "b", "n": 5}, b"payload"))
    frame[at % len(frame)] ^= 1 + (noise[0] if noise else 0) % 255
    for data in (bytes(frame), bytes(frame[: at % len(frame)]) or b"x", noise or b"x"):
        with pytest.raises(Unparsable):
            list(frames(data))


def test_a_length_out_of_bounds_is_refused() -> None:
    prelude = b"\x7f\xff\xff\xff\x00\x00\x00\x00"
    data = prelude + zlib.crc32(prelude).to_bytes(4, "big") + bytes(16)
    with pytest.raises(Unparsable, match="length"):
        list(frames(data))


async def _events(*events: Any) -> AsyncIterator[dict[str, Any]]:
    for event in events:
        if isinstance(event, AwsError):
            raise event
        yield event


async def test_lambda_streams_a_response() -> None:
    events = _events({"PayloadChunk": {"Payload": b"ab"}}, {"InvokeComplete": {"LogResult": "x"}})
    answer = codec_of("lambda").serialize(
        Call("InvokeWithResponseStream", "rest-json"),
        {"StatusCode": 200, "EventStream": events},
        "i",
    )
    first, last = frames(await drained(answer))
    assert ("Content-Type", "application/vnd.amazon.eventstream") in answer.headers
    assert first.payload == b"ab"
    assert first.headers == {
        ":message-type": "event",
        ":event-type": "PayloadChunk",
        ":content-type": "application/octet-stream",
    }
    assert json.loads(last.payload) == {"LogResult": "x"}


async def test_rpc_streams_begin_with_the_initial_response_and_may_end_with_an_error() -> None:
    record = {"Data": b"d", "PartitionKey": "p", "SequenceNumber": "1"}
    event = {"Records": [record], "ContinuationSequenceNumber": "1", "MillisBehindLatest": 0}
    events = _events(
        {"SubscribeToShardEvent": event}, AwsError("ResourceNotFoundException", "gone")
    )
    answer = codec_of("kinesis").serialize(
        Call("SubscribeToShard", "json"), {"EventStream": events}, "i"
    )
    initial, shard, error = frames(await drained(answer))
    assert initial.headers[":event-type"] == "initial-response"
    assert json.loads(shard.payload)["Records"][0]["Data"] == "ZA=="
    assert error.headers[":message-type"] == "exception"
    assert error.headers[":exception-type"] == "ResourceNotFoundException"
    assert json.loads(error.payload) == {"message": "gone"}


async def test_an_unmodelled_error_ends_the_stream_too() -> None:
    answer = codec_of("lambda").serialize(
        Call("InvokeWithResponseStream", "rest-json"),
        {"EventStream": _events(AwsError("Nope", "text"))},
        "i",
    )
    (error,) = frames(await drained(answer))
    assert error.headers == {
        ":message-type": "error",
        ":error-code": "Nope",
        ":error-message": "text",
    }
