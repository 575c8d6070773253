"""A function's configuration: AWS's defaults, AWS's rules beyond the model, and what is refused.

Pure. A record holds the members of FunctionConfiguration under their wire names, and private ones
that start with `_`. What Lambent does not act on yet is refused by name, never stored.
Source: https://docs.aws.amazon.com/lambda/latest/api/API_FunctionConfiguration.html
"""

import hashlib
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

import msgspec

from lambent.base.errors import AwsError
from lambent.kernel import Ctx, Wire
from lambent.services.lambda_ import limits
from lambent.services.lambda_.names import LATEST, function_arn

SETTABLE = (
    "Role", "Handler", "Runtime", "Description", "Timeout", "MemorySize", "Environment",
    "EphemeralStorage", "LoggingConfig", "TracingConfig", "SnapStart", "Architectures",
)  # fmt: skip
"""Members that a request may set and that are acted on."""

NEUTRAL: dict[str, tuple[Any, ...]] = {
    "VpcConfig": ({}, {"SubnetIds": [], "SecurityGroupIds": []}),
    "DeadLetterConfig": ({}, {"TargetArn": ""}),
    "KMSKeyArn": ("",),
    "Layers": ([],),
    "FileSystemConfigs": ([],),
    "ImageConfig": ({},),
    "CodeSigningConfigArn": ("",),
    "TenancyConfig": (),
    "CapacityProviderConfig": (),
    "DurableConfig": (),
    "RuntimeConfig": (),
    "AcceleratorConfig": (),
    "PublishTo": (),
}
"""Members that are not acted on yet, and the values of them that ask for nothing."""

RESERVED = frozenset(
    "_HANDLER _X_AMZN_TRACE_ID AWS_DEFAULT_REGION AWS_REGION AWS_EXECUTION_ENV "
    "AWS_LAMBDA_FUNCTION_NAME AWS_LAMBDA_FUNCTION_MEMORY_SIZE AWS_LAMBDA_FUNCTION_VERSION "
    "AWS_LAMBDA_INITIALIZATION_TYPE AWS_LAMBDA_LOG_GROUP_NAME AWS_LAMBDA_LOG_STREAM_NAME "
    "AWS_ACCESS_KEY AWS_ACCESS_KEY_ID AWS_SECRET_ACCESS_KEY AWS_SESSION_TOKEN "
    "AWS_LAMBDA_RUNTIME_API LAMBDA_TASK_ROOT LAMBDA_RUNTIME_DIR AWS_LAMBDA_MAX_CONCURRENCY "
    "AWS_LAMBDA_METADATA_API AWS_LAMBDA_METADATA_TOKEN".split()
)
"""Source: https://docs.aws.amazon.com/lambda/latest/dg/configuration-envvars.html"""

CURRENT_RUNTIMES = (
    "nodejs20.x", "python3.14", "provided.al2023", "python3.12", "python3.13", "nodejs24.x",
    "nodejs22.x", "java25", "python3.10", "python3.11", "java21", "ruby3.3", "ruby3.4", "ruby3.2",
    "python3.8", "python3.9", "java17", "nodejs16.x", "dotnet10", "dotnet8", "java11", "dotnet6",
    "nodejs18.x", "provided.al2", "java8.al2",
)  # fmt: skip
"""As AWS lists them, in its order, in the error for an unknown one."""

NEWER_RUNTIMES = ("nodejs26.x", "python3.15", "ruby4.0")
"""In the service model, newer than the recorded list."""

RETIRED_RUNTIMES = frozenset(
    "nodejs nodejs4.3 nodejs4.3-edge nodejs6.10 nodejs8.10 nodejs10.x nodejs12.x nodejs14.x java8 "
    "python2.7 python3.6 python3.7 dotnetcore1.0 dotnetcore2.0 dotnetcore2.1 dotnetcore3.1 go1.x "
    "ruby2.5 ruby2.7 provided".split()
)

ARCHITECTURES = ("x86_64", "arm64")

LANGUAGES = ("python", "nodejs", "provided.al2")
"""Prefixes of the runtimes that Lambent can run."""


def invalid(message: str) -> AwsError:
    """InvalidParameterValueException with `message`."""
    return AwsError("InvalidParameterValueException", message)


def refuse_unserved(request: Wire) -> None:
    """Refuse what is not acted on yet. Errors: InvalidParameterValueException naming the option."""
    for name, neutral in NEUTRAL.items():
        if name in request and request[name] not in neutral:
            raise invalid(f"Lambent does not support {name} yet.")
    if request.get("PackageType", "Zip") != "Zip":
        raise invalid("Lambent does not support PackageType Image yet.")
    check_architectures(request.get("Architectures", ["x86_64"]))
    if request.get("Architectures", ["x86_64"]) != ["x86_64"]:
        raise invalid("Lambent cannot run Architectures other than x86_64 on this machine.")
    if request.get("SnapStart", {}).get("ApplyOn", "None") != "None":
        raise invalid("Lambent does not support SnapStart PublishedVersions yet.")
    if request.get("TracingConfig", {}).get("Mode", "PassThrough") != "PassThrough":
        raise invalid("Lambent does not support TracingConfig Active yet.")


def check_architectures(names: list[str]) -> None:
    """The model's constraints, in words that AWS uses for this list alone (recorded).

    Errors: ValidationException.
    """
    if len(names) > 1:
        broken = "Member must have length less than or equal to 1"
    elif names and names[0] not in ARCHITECTURES:
        broken = (
            "Member must satisfy constraint: [Member must satisfy enum value set: "
            f"[{', '.join(ARCHITECTURES)}], Member must not be null]"
        )
    elif not names:
        broken = "Member must have length greater than or equal to 1"
    else:
        return
    raise violated(f"[{', '.join(names)}]", "architectures", broken)


def violated(value: object, field: str, broken: str) -> AwsError:
    """ValidationException for one constraint that the model does not hold."""
    message = f"Value '{value}' at '{field}' failed to satisfy constraint: {broken}"
    return AwsError("ValidationException", f"1 validation error detected: {message}", status=400)


def check_runtime(runtime: str) -> None:
    """Errors: InvalidParameterValueException for unknown, retired and unserved runtimes."""
    if runtime in RETIRED_RUNTIMES:
        raise invalid(
            f"The runtime parameter of {runtime} is no longer supported for creating or updating "
            "AWS Lambda functions. We recommend you use a supported runtime while creating or "
            "updating functions."
        )
    if runtime not in CURRENT_RUNTIMES and runtime not in NEWER_RUNTIMES:
        raise invalid(
            f"Value {runtime} at 'runtime' failed to satisfy constraint: Member must satisfy enum "
            f"value set: [{', '.join(CURRENT_RUNTIMES)}] or be a valid ARN"
        )
    if not runtime.startswith(LANGUAGES):
        raise invalid(f"Lambent does not run functions with Runtime {runtime} yet.")


def check_environment(variables: Wire) -> None:
    """Errors: InvalidParameterValueException for reserved names and more than 4 KB."""
    reserved = [name for name in variables if name in RESERVED]
    unable = (
        "Lambda was unable to configure your environment variables because the environment "
        "variables you have provided "
    )
    if reserved:
        raise invalid(
            f"{unable}contains reserved keys that are currently not supported for modification. "
            f"Reserved keys used in this request: {', '.join(reserved)}"
        )
    measured = msgspec.json.encode(variables)
    if len(measured) > limits.ENVIRONMENT_BYTES_MAX:
        raise invalid(f"{unable}exceeded the 4KB limit. String measured: {measured.decode()}")


def check(request: Wire) -> None:
    """Everything that can be wrong in the configuration of a create or update request."""
    refuse_unserved(request)
    if "Runtime" in request:
        check_runtime(request["Runtime"])
    if "Environment" in request:
        check_environment(request["Environment"].get("Variables", {}))
    for value, field, most in (
        (request.get("Timeout", 0), "timeout", limits.TIMEOUT_S_MAX),
        (request.get("MemorySize", 0), "memorySize", limits.MEMORY_MIB_MAX),
        (
            request.get("EphemeralStorage", {}).get("Size", 0),
            "ephemeralStorage.size",
            limits.TMP_MIB_MAX,
        ),
    ):
        if value > most:
            broken = f"Member must have value less than or equal to {most}"
            raise violated(value, field, broken)
    _check_logging(request.get("LoggingConfig", {}))


def _check_logging(logging: Wire) -> None:
    levels = "ApplicationLogLevel" in logging or "SystemLogLevel" in logging
    if levels and logging.get("LogFormat") == "Text":
        raise invalid(
            "To specify Application Log Level or System Log Level, you must set your Log Format "
            "to JSON."
        )


def check_revision(record: Wire, request: Wire) -> None:
    """Errors: PreconditionFailedException when the caller saw another revision."""
    if request.get("RevisionId", record["RevisionId"]) != record["RevisionId"]:
        raise AwsError(
            "PreconditionFailedException",
            "The Revision Id provided does not match the latest Revision Id. Call the "
            "GetFunction/GetAlias API to retrieve the latest Revision Id",
        )


def check_idle(record: Wire) -> None:
    """Errors: ResourceConflictException while a function is being created or updated."""
    prefix = "The operation cannot be performed at this time. "
    if record["State"] == "Pending":
        state = f"The function is currently in the following state: {record['State']}"
        raise AwsError("ResourceConflictException", prefix + state)
    if record.get("LastUpdateStatus") == "InProgress":
        arn = record["FunctionArn"]
        message = f"{prefix}An update is in progress for resource: {arn}"
        raise AwsError("ResourceConflictException", message)


def created(ctx: Ctx, request: Wire, code: Wire) -> Wire:
    """The record of a new function: AWS's defaults under what the request sets."""
    name = request["FunctionName"]
    record: Wire = {
        "FunctionName": name,
        "FunctionArn": function_arn(ctx, name),
        "Version": LATEST,
        "Description": "",
        "Timeout": 3,
        "MemorySize": 128,
        "PackageType": "Zip",
        "Architectures": ["x86_64"],
        "EphemeralStorage": {"Size": 512},
        "_next_version": 1,
    }
    record |= _set(request)
    record["TracingConfig"] = {"Mode": "PassThrough"}
    record["SnapStart"] = {"ApplyOn": "None", "OptimizationStatus": "Off"}
    record["LoggingConfig"] = logging_config(name, request.get("LoggingConfig", {}))
    record["RuntimeVersionConfig"] = runtime_version(ctx, record["Runtime"])
    return record | code | {"State": "Pending"} | _reason("State") | changed(ctx)


def updated(ctx: Ctx, record: Wire, request: Wire, code: Wire) -> Wire:
    """The record while an update settles; invocations run on `_running` until then."""
    new = record | _set(request) | code
    if "LoggingConfig" in request:
        new["LoggingConfig"] = logging_config(
            record["FunctionName"], record["LoggingConfig"] | request["LoggingConfig"]
        )
    if "Environment" in request and "Variables" not in request["Environment"]:
        new["Environment"] = {"Variables": {}}
    if new["Runtime"] != record["Runtime"]:
        new["RuntimeVersionConfig"] = runtime_version(ctx, new["Runtime"])
    new["TracingConfig"], new["SnapStart"] = record["TracingConfig"], record["SnapStart"]
    new["_running"] = {name: record[name] for name in record if name != "_running"}
    new["LastUpdateStatus"] = "InProgress"
    return new | _reason("LastUpdateStatus") | changed(ctx)


def settled(ctx: Ctx, record: Wire) -> Wire:
    """The record once its code is in place: Active, with a new revision."""
    dropped = ("StateReason", "StateReasonCode", "_running")
    kept = {
        name: value
        for name, value in record.items()
        if name not in dropped and not name.startswith("LastUpdateStatus")
    }
    return kept | {
        "State": "Active",
        "LastUpdateStatus": "Successful",
        "RevisionId": ctx.platform.ids.uuid(),
    }


def failed(ctx: Ctx, record: Wire, reason: str) -> Wire:
    """The record of a function whose code could not be put in place."""
    prefix = "State" if record["State"] == "Pending" else "LastUpdateStatus"
    codes = {prefix: "Failed", f"{prefix}Reason": reason, f"{prefix}ReasonCode": "InternalError"}
    return record | codes | {"RevisionId": ctx.platform.ids.uuid()}


def changed(ctx: Ctx) -> Wire:
    """What every change of code or configuration renews."""
    return {
        "LastModified": timestamp(ctx.now()),
        "RevisionId": ctx.platform.ids.uuid(),
        "_generation": ctx.platform.ids.uuid(),
    }


def listed(record: Wire, qualifier: str | None = None) -> Wire:
    """The record as lists show it: without its states."""
    hidden = ("State", "LastUpdateStatus", "RuntimeVersionConfig")
    shown = {name: value for name, value in record.items() if not name.startswith(hidden)}
    return qualified(shown, qualifier) if qualifier else shown


def qualified(record: Wire, qualifier: str) -> Wire:
    """The record with the qualifier in its ARN."""
    return record | {"FunctionArn": f"{record['FunctionArn']}:{qualifier}"}


def runtime_version(ctx: Ctx, runtime: str) -> Wire:
    """The runtime version's ARN, which names this runtime by a hash."""
    digest = hashlib.sha256(f"lambent:{runtime}".encode()).hexdigest()
    partition = function_arn(ctx, "x").split(":", 2)[1]
    return {"RuntimeVersionArn": f"arn:{partition}:lambda:{ctx.region}::runtime:{digest}"}


def logging_config(name: str, given: Wire) -> Wire:
    """LoggingConfig with its defaults; levels exist for JSON only."""
    config: Wire = {"LogFormat": "Text", "LogGroup": f"/aws/lambda/{name}"} | given
    if config["LogFormat"] == "JSON":
        return {"ApplicationLogLevel": "INFO", "SystemLogLevel": "INFO"} | config
    return {name: config[name] for name in ("LogFormat", "LogGroup")}


def timestamp(when_s: float) -> str:
    """`2026-11-21T03:12:00.000+0000`."""
    text = datetime.fromtimestamp(when_s, UTC).isoformat(timespec="milliseconds")
    return text.replace("+00:00", "+0000")


def _set(request: Wire, names: Iterable[str] = SETTABLE) -> Wire:
    return {name: request[name] for name in names if name in request}


def _reason(prefix: str) -> Wire:
    return {
        f"{prefix}Reason": "The function is being created.",
        f"{prefix}ReasonCode": "Creating",
    }
