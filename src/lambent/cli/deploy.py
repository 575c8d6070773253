"""`lambent deploy`: create or update one function from a folder or a file, and wait until it runs.

What was not named by a flag is inferred for a new function and left alone for an existing one,
except its handler and runtime, which follow the code.
"""

import argparse
import base64
import hashlib
import json
from pathlib import Path
from typing import Any
from urllib.parse import quote

from lambent.base.clock import monotonic
from lambent.base.errors import AwsError
from lambent.cli import client
from lambent.cli.client import FUNCTIONS, Client
from lambent.cli.errors import CommandError
from lambent.cli.package import Package, build
from lambent.cli.terminal import note, progress

WAIT_S_MAX = 300.0
"""The limit of boto3's waiter function_active_v2."""
PAUSE_S_MIN, PAUSE_S_MAX = 0.01, 1.0
ROLE = "lambent-deploy"
"""The execution role of functions that were given none."""
TRUST = {
    "Version": "2012-10-17",
    "Statement": [
        {
            "Effect": "Allow",
            "Principal": {"Service": "lambda.amazonaws.com"},
            "Action": "sts:AssumeRole",
        }
    ],
}
IAM_VERSION = "2010-05-08"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """PATH and what cannot always be inferred from it."""
    parser.add_argument("path", metavar="PATH", type=Path, help="folder, .zip, .py, .js or .mjs")
    parser.add_argument("--name", help="the function's name [the folder's or file's]")
    parser.add_argument("--handler", metavar="MODULE.FUNCTION", help="[looked for in the source]")
    parser.add_argument("--runtime", help="[the newest of its language on this machine]")
    parser.add_argument("--memory", type=int, metavar="MIB", help="memory size [128]")
    parser.add_argument("--timeout", type=int, metavar="SECONDS", help="[3]")
    parser.add_argument(
        "--env", action="append", metavar="NAME=VALUE",
        help="an environment variable; all of them are replaced when any is given",
    )  # fmt: skip
    parser.add_argument("--role", metavar="ARN", help=f"execution role [{ROLE}, made when missing]")
    client.add_arguments(parser)


def run(arguments: argparse.Namespace) -> int:
    """Deploy, wait, print the ARN. Returns the exit status."""
    wanted = _configuration(arguments)
    package = build(arguments.path, arguments.handler, arguments.runtime)
    wanted |= {"Handler": package.handler, "Runtime": package.runtime}
    name = arguments.name or package.name
    deployment = Deployment(Client.chosen(arguments), name)
    now = deployment.current()
    if now is None:
        configuration = deployment.create(package, wanted)
        done = "created"
    else:
        changed = deployment.update(now, package, wanted)
        configuration = deployment.settled()
        done = "updated" if changed else "unchanged"
    size = f"{package.files} file{'s' * (package.files != 1)}, {len(package.zipped):,} bytes"
    note(f"{done} {name}: {configuration['Runtime']}, {configuration['Handler']} ({size})")
    print(configuration["FunctionArn"])
    return 0


class Deployment:
    """One function on one server."""

    def __init__(self, server: Client, name: str) -> None:
        self._server = server
        self.name = name
        self._path = f"{FUNCTIONS}/{quote(name, safe='')}"

    def current(self) -> dict[str, Any] | None:
        """Its configuration, None if there is no such function."""
        try:
            return self._server.call("lambda", "GET", f"{self._path}/configuration").json()
        except AwsError as error:
            if error.code == "ResourceNotFoundException":
                return None
            raise

    def create(self, package: Package, wanted: dict[str, Any]) -> dict[str, Any]:
        """Create it and wait until it is active."""
        role = wanted.pop("Role", None) or self._role()
        code = {"ZipFile": base64.b64encode(package.zipped).decode()}
        body = {"FunctionName": self.name, "Role": role, "Code": code} | wanted
        with progress(f"uploading {len(package.zipped):,} bytes"):
            self.send("POST", FUNCTIONS, body)
        return self.settled()

    def update(self, now: dict[str, Any], package: Package, wanted: dict[str, Any]) -> bool:
        """Bring code and configuration up to date; whether anything was different."""
        digest = base64.b64encode(hashlib.sha256(package.zipped).digest()).decode()
        stale = now["CodeSha256"] != digest
        if stale:
            code = {"ZipFile": base64.b64encode(package.zipped).decode()}
            self.settled()
            with progress(f"uploading {len(package.zipped):,} bytes"):
                self.send("PUT", f"{self._path}/code", code)
        different = {key: value for key, value in wanted.items() if now.get(key) != value}
        if different:
            self.settled()
            self.send("PUT", f"{self._path}/configuration", different)
        return stale or bool(different)

    def settled(self) -> dict[str, Any]:
        """Wait until no change is under way. Errors: CommandError with AWS's reason."""
        began_s, pause_s = monotonic(), PAUSE_S_MIN
        with progress(f"waiting for {self.name}"):
            while True:
                now = self.current()
                if now is None:
                    raise CommandError(f"{self.name} was deleted meanwhile")
                if now.get("State") == "Failed" or now.get("LastUpdateStatus") == "Failed":
                    reason = now.get("LastUpdateStatusReason") or now.get("StateReason")
                    raise CommandError(f"{self.name} failed: {reason}")
                busy = now.get("State") == "Pending" or now.get("LastUpdateStatus") == "InProgress"
                if not busy:
                    return now
                if monotonic() - began_s > WAIT_S_MAX:
                    raise CommandError(f"{self.name} is still not ready after {WAIT_S_MAX:.0f} s")
                client.pause(pause_s)
                pause_s = min(2 * pause_s, PAUSE_S_MAX)

    def send(self, method: str, path: str, body: dict[str, Any]) -> None:
        """One request to the Lambda API with a JSON body. Errors: AwsError."""
        headers = {"Content-Type": "application/json"}
        self._server.call("lambda", method, path, headers=headers, body=json.dumps(body).encode())

    def _role(self) -> str:
        """The ARN of the role for functions that were given none; made when it is not there."""
        name = {"RoleName": ROLE}
        try:
            made = name | {"AssumeRolePolicyDocument": json.dumps(TRUST)}
            answer = self._server.query("iam", IAM_VERSION, "CreateRole", made)
            note(f"created the role {ROLE}, which Lambda may assume and which may do nothing yet")
        except AwsError as error:
            if error.code != "EntityAlreadyExists":
                raise
            answer = self._server.query("iam", IAM_VERSION, "GetRole", name)
        return answer.partition("<Arn>")[2].partition("</Arn>")[0]


def _configuration(arguments: argparse.Namespace) -> dict[str, Any]:
    """The members that flags name."""
    wanted: dict[str, Any] = {}
    if arguments.memory is not None:
        wanted["MemorySize"] = arguments.memory
    if arguments.timeout is not None:
        wanted["Timeout"] = arguments.timeout
    if arguments.role is not None:
        wanted["Role"] = arguments.role
    if arguments.env:
        pairs = [pair.partition("=") for pair in arguments.env]
        if bad := [name for name, mark, _ in pairs if not (name and mark)]:
            raise CommandError(f"--env takes NAME=VALUE, not {bad[0]!r}", 2)
        wanted["Environment"] = {"Variables": {name: value for name, _, value in pairs}}
    return wanted
