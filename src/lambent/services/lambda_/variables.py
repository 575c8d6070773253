"""The environment variables that a function sees.

Source: https://docs.aws.amazon.com/lambda/latest/dg/configuration-envvars.html
"""

from lambent.kernel.context import Ctx, Wire
from lambent.kernel.identity import Issued

_PATHS = {
    "LANG": "en_US.UTF-8",
    "TZ": ":UTC",
    "PATH": "/var/lang/bin:/usr/local/bin:/usr/bin/:/bin:/opt/bin",
    "LD_LIBRARY_PATH": (
        "/var/lang/lib:/lib64:/usr/lib64:/var/runtime:/var/runtime/lib:/var/task:/var/task/lib:"
        "/opt/lib"
    ),
    "LAMBDA_TASK_ROOT": "/var/task",
    "LAMBDA_RUNTIME_DIR": "/var/runtime",
    "AWS_XRAY_CONTEXT_MISSING": "LOG_ERROR",
    "AWS_XRAY_DAEMON_ADDRESS": "169.254.100.1:2000",
    "_AWS_XRAY_DAEMON_ADDRESS": "169.254.100.1",
    "_AWS_XRAY_DAEMON_PORT": "2000",
}


def variables(ctx: Ctx, record: Wire, credentials: Issued, log_stream: str) -> dict[str, str]:
    """Everything the runtime is started with: ours, then the function's own, then the reserved."""
    runtime: str = record["Runtime"]
    logging = record["LoggingConfig"]
    reserved = {
        "_HANDLER": record["Handler"],
        "AWS_REGION": ctx.region,
        "AWS_DEFAULT_REGION": ctx.region,
        "AWS_LAMBDA_FUNCTION_NAME": record["FunctionName"],
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(record["MemorySize"]),
        "AWS_LAMBDA_FUNCTION_VERSION": record["Version"],
        "AWS_LAMBDA_INITIALIZATION_TYPE": "on-demand",
        "AWS_LAMBDA_LOG_GROUP_NAME": logging["LogGroup"],
        "AWS_LAMBDA_LOG_STREAM_NAME": log_stream,
        "AWS_ACCESS_KEY_ID": credentials.access_key,
        "AWS_SECRET_ACCESS_KEY": credentials.secret,
        "AWS_SESSION_TOKEN": credentials.token,
    }
    if logging["LogFormat"] == "JSON":
        reserved["AWS_LAMBDA_LOG_FORMAT"] = "JSON"
        reserved["AWS_LAMBDA_LOG_LEVEL"] = logging["ApplicationLogLevel"]
    if not runtime.startswith("provided"):
        reserved["AWS_EXECUTION_ENV"] = f"AWS_Lambda_{runtime}"
    endpoint = {"AWS_ENDPOINT_URL": ctx.platform.endpoint}
    chosen: dict[str, str] = record.get("Environment", {}).get("Variables", {})
    return _PATHS | _language(runtime) | endpoint | chosen | reserved


def _language(runtime: str) -> dict[str, str]:
    """What AWS's own runtimes have besides; their shell leaves traces (recorded)."""
    shell = {"PWD": "/var/task", "SHLVL": "0"}
    if runtime.startswith("python"):
        return shell | {"PYTHONPATH": "/var/runtime"}
    if runtime.startswith("nodejs"):
        major = runtime.removeprefix("nodejs").removesuffix(".x")
        modules = f"/opt/nodejs/node{major}/node_modules:/opt/nodejs/node_modules"
        return shell | {"NODE_PATH": f"{modules}:/var/runtime/node_modules:/var/runtime:/var/task"}
    return {}
