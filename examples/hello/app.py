"""The smallest useful function: it greets, logs one line, and tells where it runs."""

import os
import platform


def handler(event, context):
    name = event.get("name") or "world"
    print(f"greeting {name}")
    return {
        "greeting": f"Hello, {name}!",
        "function": context.function_name,
        "memory_mib": int(context.memory_limit_in_mb),
        "region": os.environ["AWS_REGION"],
        "python": platform.python_version(),
        "remaining_ms": context.get_remaining_time_in_millis(),
    }
