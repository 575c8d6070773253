"""How long the wire room takes: `python -m tests.wire.speed`. No assertion: machines differ."""

from collections.abc import Callable
from hashlib import sha256
from time import perf_counter

from lambent.net import BytesBody, Request
from lambent.wire import Call, Codec, ServiceModel, Signer, parse_credential, verify
from lambent.wire.json import encode

ROUNDS = 20_000


def us(work: Callable[[], object]) -> float:
    """Microseconds per call: the best of five."""
    best = 1e9
    for _ in range(5):
        start = perf_counter()
        for _ in range(ROUNDS // 5):
            work()
        best = min(best, (perf_counter() - start) / (ROUNDS // 5))
    return best * 1e6


def row(name: str, codec: Codec, request: Request, body: bytes, result: dict[str, object]) -> None:
    """Print match, parse, validate and serialise of one operation."""
    call = codec.match(request, body)
    params = codec.parse(call, request, body)
    times = (
        us(lambda: codec.match(request, body)),
        us(lambda: codec.parse(call, request, body)),
        us(lambda: codec.validate(call.operation, params)),
        us(lambda: codec.serialize(call, result, "0123")),
    )
    print(f"{name:24}" + "".join(f"{time:9.2f}" for time in times))


def post(path: str = "/", query: str = "", **headers: str) -> Request:
    """A request with the usual headers."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    usual = {"host": "h", "user-agent": "x", "x-amz-date": "d", "authorization": "a"}
    return Request("POST", path, query, usual | named, BytesBody())


def main() -> None:
    """Print the table of measured.md section 5 for this machine."""
    models = {n: ServiceModel.load(n) for n in ("lambda", "dynamodb", "sns", "sqs", "s3")}
    codecs = {name: Codec(model) for name, model in models.items()}
    print(f"{'us':24}" + "".join(f"{n:>9}" for n in ("match", "parse", "validate", "write")))
    path = "/2015-03-31/functions/hello/invocations"
    answer = {"StatusCode": 200, "Payload": b"{}", "ExecutedVersion": "$LATEST"}
    row("Lambda Invoke", codecs["lambda"], post(path), b"{}" * 500, answer)
    inner = {"M": {"a": {"S": "x" * 24}, "b": {"N": "12"}, "c": {"L": [{"S": "y"}, {"N": "1"}]}}}
    item = {f"k{n}": inner for n in range(10)}
    body = encode({"TableName": "t", "Item": item})
    target = post(x_amz_target="DynamoDB_20120810.PutItem")
    row(f"PutItem, {len(body)} B", codecs["dynamodb"], target, body, {})
    target = post(x_amz_target="DynamoDB_20120810.GetItem")
    row("GetItem", codecs["dynamodb"], target, b'{"TableName":"t","Key":{"k":{"S":"a"}}}',
        {"Item": item})  # fmt: skip
    form = b"Action=Publish&Version=1&TopicArn=arn%3Aaws%3Asns%3Aus-east-1%3A1%3At&Message="
    form += b"x+y" * 300 + b"&MessageAttributes.entry.1.Name=a"
    form += b"&MessageAttributes.entry.1.Value.DataType=String"
    row("SNS Publish (query)", codecs["sns"], post(), form, {"MessageId": "1"})
    target = post(x_amz_target="AmazonSQS.SendMessage")
    body = encode({"QueueUrl": "http://h/1/q", "MessageBody": "x" * 900})
    sent = {"MessageId": "1", "MD5OfMessageBody": "2"}
    row("SQS SendMessage json", codecs["sqs"], target, body, sent)
    form = b"Action=SendMessage&QueueUrl=http%3A%2F%2Fh%2F1%2Fq&MessageBody=" + b"x" * 900
    row("SQS SendMessage query", codecs["sqs"], post(), form, sent)
    put = post("/bucket/key", x_amz_meta_a="b", content_type="t", content_md5="m")
    put.method = "PUT"
    row("S3 PutObject", codecs["s3"], put, b"x", {"ETag": '"e"', "ChecksumCRC32": "c"})
    request = post(path)
    Signer("AK", "secret", "us-east-1", "lambda").sign(request, 1e9, sha256(b"").hexdigest())
    credential = parse_credential(request)
    assert credential is not None
    digest = sha256(b"").hexdigest()
    print(f"SigV4 parse   {us(lambda: parse_credential(request)):6.2f}")
    print(f"SigV4 verify  {us(lambda: verify(request, credential, 'secret', 1e9, digest)):6.2f}")
    start = perf_counter()
    codec = Codec(ServiceModel.load("lambda"))
    codec.parse(Call("CreateFunction", "rest-json"), post(), b"{}")
    print(f"load and first request of lambda: {(perf_counter() - start) * 1e3:.1f} ms")


if __name__ == "__main__":
    main()
