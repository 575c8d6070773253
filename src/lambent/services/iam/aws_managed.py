"""The managed policies that AWS itself keeps, as far as their documents are known here.

Any `arn:aws:iam::aws:policy/...` can be attached; what it holds is known for these only. A document
is here when it is AWS's word for word; `ReadOnlyAccess`, thousands of actions that change weekly,
is not.
Source: https://docs.aws.amazon.com/aws-managed-policy/latest/reference/policy-list.html
"""

from collections.abc import Iterator
from typing import Any

import msgspec
from msgspec import Struct

PREFIX = "arn:aws:iam::aws:policy/"

_LOGS = ["logs:CreateLogGroup", "logs:CreateLogStream", "logs:PutLogEvents"]
_STREAM_READS = ["dynamodb:DescribeStream", "dynamodb:GetRecords", "dynamodb:GetShardIterator"]


def _allow(*actions: str, resource: Any = "*", sid: str = "") -> dict[str, Any]:
    named = {"Sid": sid} if sid else {}
    one_or_many = actions[0] if len(actions) == 1 else list(actions)
    return named | {"Effect": "Allow", "Action": one_or_many, "Resource": resource}


class AwsManaged(Struct, frozen=True):
    """One policy of AWS's: `path` is below `policy`, `version` the default one's number."""

    path: str
    name: str
    version: int
    statements: tuple[dict[str, Any], ...]
    id: str = ""

    @property
    def arn(self) -> str:
        """Its ARN: the same in every account."""
        return f"{PREFIX}{self.path[1:]}{self.name}"

    @property
    def document(self) -> str:
        """Its document, as JSON."""
        policy = {"Version": "2012-10-17", "Statement": list(self.statements)}
        return msgspec.json.encode(policy).decode()


_SERVICE = "/service-role/"

_ALL = (
    AwsManaged("/", "AdministratorAccess", 1, (_allow("*"),), "ANPAIWMBCKSKIEE64ZLYK"),
    AwsManaged(
        _SERVICE, "AWSLambdaBasicExecutionRole", 1, (_allow(*_LOGS),), "ANPAJNCQGXC42545SKXIK"
    ),
    AwsManaged(
        _SERVICE,
        "AWSLambdaVPCAccessExecutionRole",
        3,
        (
            _allow(
                *_LOGS,
                "ec2:CreateNetworkInterface",
                "ec2:DescribeNetworkInterfaces",
                "ec2:DescribeSubnets",
                "ec2:DeleteNetworkInterface",
                "ec2:AssignPrivateIpAddresses",
                "ec2:UnassignPrivateIpAddresses",
                sid="AWSLambdaVPCAccessExecutionPermissions",
            ),
        ),
    ),
    AwsManaged(
        _SERVICE,
        "AWSLambdaSQSQueueExecutionRole",
        1,
        (_allow("sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:GetQueueAttributes", *_LOGS),),
    ),
    AwsManaged(
        _SERVICE,
        "AWSLambdaDynamoDBExecutionRole",
        1,
        (_allow(*_STREAM_READS, "dynamodb:ListStreams", *_LOGS),),
    ),
    AwsManaged(
        _SERVICE,
        "AWSLambdaKinesisExecutionRole",
        1,
        (
            _allow(
                "kinesis:DescribeStream",
                "kinesis:DescribeStreamSummary",
                "kinesis:GetRecords",
                "kinesis:GetShardIterator",
                "kinesis:ListShards",
                "kinesis:ListStreams",
                "kinesis:SubscribeToShard",
                *_LOGS,
            ),
        ),
    ),
    AwsManaged(
        _SERVICE,
        "AWSLambdaMSKExecutionRole",
        1,
        (
            _allow(
                "kafka:DescribeCluster",
                "kafka:DescribeClusterV2",
                "kafka:GetBootstrapBrokers",
                "ec2:CreateNetworkInterface",
                "ec2:DescribeNetworkInterfaces",
                "ec2:DescribeVpcs",
                "ec2:DeleteNetworkInterface",
                "ec2:DescribeSubnets",
                "ec2:DescribeSecurityGroups",
                *_LOGS,
            ),
        ),
    ),
    AwsManaged(_SERVICE, "AWSLambdaRole", 1, (_allow("lambda:InvokeFunction", resource=["*"]),)),
    AwsManaged(
        "/",
        "AWSLambdaInvocation-DynamoDB",
        1,
        (
            _allow("lambda:InvokeFunction"),
            _allow(*_STREAM_READS, "dynamodb:ListStreams"),
        ),
    ),
    AwsManaged(
        "/",
        "AWSLambdaExecute",
        1,
        (
            _allow("logs:*", resource="arn:aws:logs:*:*:*"),
            _allow("s3:GetObject", "s3:PutObject", resource="arn:aws:s3:::*"),
        ),
    ),
    AwsManaged(
        "/",
        "AWSXRayDaemonWriteAccess",
        2,
        (
            _allow(
                "xray:PutTraceSegments",
                "xray:PutTelemetryRecords",
                "xray:GetSamplingRules",
                "xray:GetSamplingTargets",
                "xray:GetSamplingStatisticSummaries",
                resource=["*"],
            ),
        ),
    ),
    AwsManaged("/", "AmazonS3FullAccess", 2, (_allow("s3:*", "s3-object-lambda:*"),)),
    AwsManaged(
        "/",
        "AmazonS3ReadOnlyAccess",
        3,
        (
            _allow(
                "s3:Get*", "s3:List*", "s3:Describe*", "s3-object-lambda:Get*",
                "s3-object-lambda:List*",
            ),
        ),
    ),
    AwsManaged("/", "AmazonSQSFullAccess", 1, (_allow("sqs:*"),)),
    AwsManaged("/", "AmazonKinesisFullAccess", 1, (_allow("kinesis:*"),)),
    AwsManaged("/", "AWSStepFunctionsFullAccess", 1, (_allow("states:*"),)),
)  # fmt: skip

KNOWN = {policy.arn: policy for policy in _ALL}


def is_aws(arn: str) -> bool:
    """Whether an ARN names a policy of AWS's own."""
    return arn.startswith(PREFIX) and len(arn) > len(PREFIX)


def known(path_prefix: str = "/") -> Iterator[AwsManaged]:
    """Those whose path starts with `path_prefix`, by name."""
    for policy in sorted(_ALL, key=lambda policy: policy.name.lower()):
        if policy.path.startswith(path_prefix):
            yield policy
