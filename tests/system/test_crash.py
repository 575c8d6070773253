"""kill -9 in the middle of a mixed load: what was acknowledged is there, byte for byte, and nothing
is half done.

Each round: several clients work at once until a random number of requests has been acknowledged;
the server is killed at that instant, with others in flight, and started again on the same folder.
Every item that the round touched must then be as it was last acknowledged, or as the one request in
flight would have made it, whole. The seed is fixed; CRASH_ROUNDS=500 CRASH_SEED=7 in the
environment does more of it.
"""

import base64
import hashlib
import io
import json
import os
import random
import threading
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import pytest
from botocore.exceptions import BotoCoreError, ClientError

from lambent.store import open_store
from tests.loops import run
from tests.servers import LambentProcess

ROUNDS = int(os.environ.get("CRASH_ROUNDS", "50"))
SEED = int(os.environ.get("CRASH_SEED", "2"))
ACKS_MAX = 60
"""At most so many acknowledged requests per round; in the mean half of it."""
PART_BYTES = 5 * 1024 * 1024
TRUST = json.dumps(
    {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Effect": "Allow",
                "Principal": {"Service": "lambda.amazonaws.com"},
                "Action": "sts:AssumeRole",
            }
        ],
    }
)

Step = tuple[str, str, Any, Callable[[], Any]]
"""What is done, to which item, the state that this leads to, and how to do it."""


class Worker:
    """One client with items of its own. `sure`: states acknowledged; `maybe`: what the request in
    flight would make of its item."""

    def __init__(self, name: str, seed: str, clients: Callable[[str], Any]) -> None:
        self.name = name
        self.dice = random.Random(seed)
        self.client = clients
        self.sure: dict[str, Any] = {}
        self.maybe: dict[str, Any] = {}
        self.touched: set[str] = set()
        self.done: Counter[str] = Counter()
        self.refused: list[str] = []

    def step(self) -> Step:
        """The next thing to do."""
        raise NotImplementedError

    def observe(self, item: str) -> Any:
        """The state of an item, as the server tells it."""
        raise NotImplementedError

    def work(self, acknowledged: Callable[[], bool]) -> None:
        """Do steps until told to stop or the server is gone."""
        going = True
        while going:
            what, item, state, act = self.step()
            self.touched.add(item)
            self.maybe[item] = state
            try:
                act()
            except ClientError as error:
                if error.response["ResponseMetadata"]["HTTPStatusCode"] >= 500:
                    raise
                self.refused.append(f"{what}: {error}")
            except (BotoCoreError, ConnectionError, OSError):
                return
            else:
                self.sure[item] = state
                self.done[what] += 1
            del self.maybe[item]
            going = acknowledged()

    def check(self, items: set[str]) -> None:
        """Compare with the server; from now on what is seen is sure."""
        for item in sorted(items):
            seen, sure = self.observe(item), self.sure.get(item)
            allowed = [sure] + ([self.maybe[item]] if item in self.maybe else [])
            assert seen in allowed, f"{self.name} {item}: {seen!r}, not one of {allowed!r}"
            self.sure[item] = seen
        self.maybe.clear()
        self.touched.clear()


class Objects(Worker):
    """S3 objects: small, larger than the database holds, in parts; states are hashes."""

    def step(self) -> Step:
        s3, key = self.client("s3"), f"{self.name}/{self.dice.randrange(30)}"
        named = {"Bucket": "crash", "Key": key}
        kind = self.dice.randrange(12)
        if kind == 0 and self.sure.get(key):
            return "delete", key, None, lambda: s3.delete_object(**named)
        if kind == 1:
            parts = [self.dice.randbytes(PART_BYTES), self.dice.randbytes(1000)]
            return "parts", key, _sha(b"".join(parts)), lambda: self._in_parts(named, parts)
        size = self.dice.choice([0, 10, 1000, 60_000, 70_000, 1_500_000])
        body = self.dice.randbytes(size)
        return "put", key, _sha(body), lambda: s3.put_object(**named, Body=body)

    def _in_parts(self, named: dict[str, str], parts: list[bytes]) -> None:
        s3 = self.client("s3")
        upload = s3.create_multipart_upload(**named)["UploadId"]
        done = []
        for number, part in enumerate(parts, start=1):
            answer = s3.upload_part(**named, UploadId=upload, PartNumber=number, Body=part)
            done.append({"PartNumber": number, "ETag": answer["ETag"]})
        s3.complete_multipart_upload(**named, UploadId=upload, MultipartUpload={"Parts": done})

    def observe(self, item: str) -> Any:
        try:
            answer = self.client("s3").get_object(Bucket="crash", Key=item)
        except ClientError as error:
            return _absent(error, "NoSuchKey")
        return _sha(answer["Body"].read())


class Functions(Worker):
    """Functions: (hash of $LATEST, hashes of the versions, in order)."""

    def step(self) -> Step:
        lam, name = self.client("lambda"), f"f{self.dice.randrange(8)}"
        state = self.sure.get(name)
        code = _zip(self.dice)
        sha = _sha(code)
        if state is None:
            arguments = {"Runtime": "python3.11", "Handler": "f.handler", "Code": {"ZipFile": code}}
            role = "arn:aws:iam::000000000000:role/crash"
            return (
                "create",
                name,
                (sha, ()),
                lambda: lam.create_function(FunctionName=name, Role=role, **arguments),
            )
        latest, versions = state
        kind = self.dice.randrange(8)
        if kind == 0:
            return "drop", name, None, lambda: lam.delete_function(FunctionName=name)
        if kind < 4:
            published = versions if versions[-1:] == (latest,) else (*versions, latest)
            return (
                "publish",
                name,
                (latest, published),
                lambda: lam.publish_version(FunctionName=name),
            )
        return (
            "update",
            name,
            (sha, versions),
            lambda: lam.update_function_code(FunctionName=name, ZipFile=code),
        )

    def observe(self, item: str) -> Any:
        lam = self.client("lambda")
        try:
            found = lam.list_versions_by_function(FunctionName=item)["Versions"]
        except ClientError as error:
            return _absent(error, "ResourceNotFoundException")
        shas = []
        for version in found:
            got = lam.get_function(FunctionName=item, Qualifier=version["Version"])
            with urlopen(got["Code"]["Location"]) as answer:
                code = answer.read()
            assert got["Configuration"]["CodeSha256"] == version["CodeSha256"]
            digest = hashlib.sha256(code).digest()
            assert base64.b64encode(digest).decode() == version["CodeSha256"]
            shas.append(digest.hex())
        assert found[0]["Version"] == "$LATEST"
        return shas[0], tuple(shas[1:])


class Lines(Worker):
    """Log streams: all their messages, in order."""

    def step(self) -> Step:
        logs, stream = self.client("logs"), f"s{self.dice.randrange(4)}"
        lines: tuple[str, ...] | None = self.sure.get(stream)
        named = {"logGroupName": "/crash", "logStreamName": stream}
        if lines is None:
            return "stream", stream, (), lambda: logs.create_log_stream(**named)
        now_ms = 1_000 * int(self.now_s())
        more = [
            f"{stream} {len(lines) + n} {self.dice.random()}"
            for n in range(self.dice.randint(1, 20))
        ]
        events = [{"timestamp": now_ms, "message": message} for message in more]
        return (
            "lines",
            stream,
            (*lines, *more),
            lambda: logs.put_log_events(**named, logEvents=events),
        )

    def now_s(self) -> float:
        """The server's time would do; the machine's is the same."""
        from lambent.base.clock import RealClock

        return RealClock().now()

    def observe(self, item: str) -> Any:
        named: dict[str, Any] = {"logGroupName": "/crash", "logStreamName": item}
        messages: list[str] = []
        token: dict[str, str] = {}
        while True:
            try:
                page = self.client("logs").get_log_events(**named, startFromHead=True, **token)
            except ClientError as error:
                return _absent(error, "ResourceNotFoundException")
            messages += [event["message"] for event in page["events"]]
            if token == {"nextToken": page["nextForwardToken"]}:
                return tuple(messages)
            token = {"nextToken": page["nextForwardToken"]}


class Users(Worker):
    """IAM users: None, or their inline policies by name."""

    def step(self) -> Step:
        iam, user = self.client("iam"), f"u{self.dice.randrange(6)}"
        policies: dict[str, Any] | None = self.sure.get(user)
        if policies is None:
            return "user", user, {}, lambda: iam.create_user(UserName=user)
        if policies and self.dice.randrange(4) == 0:
            name = self.dice.choice(sorted(policies))
            rest = {key: value for key, value in policies.items() if key != name}
            return (
                "unpolicy",
                user,
                rest,
                lambda: iam.delete_user_policy(UserName=user, PolicyName=name),
            )
        name = f"p{self.dice.randrange(3)}"
        statement = {"Effect": "Allow", "Action": "s3:*", "Resource": f"*{self.dice.random()}"}
        document = {"Version": "2012-10-17", "Statement": [statement]}
        text = json.dumps(document)
        return (
            "policy",
            user,
            policies | {name: document},
            lambda: iam.put_user_policy(UserName=user, PolicyName=name, PolicyDocument=text),
        )

    def observe(self, item: str) -> Any:
        iam = self.client("iam")
        try:
            names = iam.list_user_policies(UserName=item)["PolicyNames"]
        except ClientError as error:
            return _absent(error, "NoSuchEntity")
        return {
            name: iam.get_user_policy(UserName=item, PolicyName=name)["PolicyDocument"]
            for name in names
        }


def _absent(error: ClientError, code: str) -> None:
    """None, if the error says that the item is not there; else the error."""
    if error.response["Error"]["Code"] != code:
        raise error


def _sha(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _zip(dice: random.Random) -> bytes:
    """A package; every third one is larger than the database holds in a row."""
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as archive:
        answer = dice.randrange(10**9)
        archive.writestr("f.py", f"def handler(event, context):\n    return {answer}\n")
        if dice.randrange(3) == 0:
            archive.writestr("data.bin", dice.randbytes(100_000))
    return data.getvalue()


class Load:
    """All workers against one server that dies again and again."""

    def __init__(self, data: Path) -> None:
        self.process = LambentProcess(data)
        self.clients: dict[str, Any] = {}
        makers = (Objects, Objects, Functions, Lines, Users)
        self.workers = [
            make(f"{make.__name__.lower()}{n}", f"{SEED}/{n}", self.clients.__getitem__)
            for n, make in enumerate(makers)
        ]
        self.dice = random.Random(SEED)
        self._lock = threading.Lock()

    def start(self) -> None:
        """Start the server, at the same port as before so that the clients stay valid."""
        self.process.start()
        if not self.clients:
            self.process.arguments = ("--port", self.process.url.rsplit(":", 1)[1])
            for name in ("s3", "lambda", "logs", "iam"):
                self.clients[name] = self.process.client(name)

    def prepare(self) -> None:
        """What all items need."""
        self.clients["s3"].create_bucket(Bucket="crash")
        self.clients["logs"].create_log_group(logGroupName="/crash")
        self.clients["iam"].create_role(RoleName="crash", AssumeRolePolicyDocument=TRUST)

    def crash(self) -> None:
        """One round of work that ends with a kill in the middle of it."""
        left = self.dice.randint(1, ACKS_MAX)
        enough = threading.Event()

        def acknowledged() -> bool:
            nonlocal left
            with self._lock:
                left -= 1
                if left <= 0:
                    enough.set()
            return True  # go on until the server is gone: the kill finds requests in flight

        failures: list[BaseException] = []

        def work(worker: Worker) -> None:
            try:
                worker.work(acknowledged)
            except BaseException as error:
                failures.append(error)
                enough.set()

        threads = [threading.Thread(target=work, args=(worker,)) for worker in self.workers]
        for thread in threads:
            thread.start()
        assert enough.wait(60), "the server does not answer any more"
        self.process.kill()
        for thread in threads:
            thread.join()
        assert not failures, failures

    def check(self, *, everything: bool = False) -> None:
        """Compare what the round touched, or all there is."""
        for worker in self.workers:
            worker.check(set(worker.sure) | worker.touched if everything else worker.touched)


@pytest.fixture
def load(tmp_path: Path) -> Iterator[Load]:
    made = Load(tmp_path / "data")
    yield made
    made.process.close()
    print(made.process.stderr.decode())  # shown when the test fails


@pytest.mark.timeout(60 + 10 * ROUNDS)
def test_what_was_acknowledged_survives_kill_9(load: Load) -> None:
    load.start()
    load.prepare()
    for _ in range(ROUNDS):
        load.crash()
        load.start()
        load.check()
    load.check(everything=True)
    done = sum((worker.done for worker in load.workers), Counter())
    steps = "put parts delete create update publish drop stream lines user policy unpolicy"
    if ROUNDS >= 50:
        assert set(steps.split()) <= done.keys(), f"never acknowledged: {done}"
    assert load.process.stop() == 0, load.process.stderr
    assert run(_damage(load.process.data)) == []


async def _damage(data: Path | str) -> list[str]:
    store = await open_store(Path(data))
    try:
        return await store.verify()
    finally:
        await store.close()
