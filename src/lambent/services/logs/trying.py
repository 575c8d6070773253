"""TestMetricFilter: a pattern tried out on messages.

Source: https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_TestMetricFilter.html
"""

from lambent.kernel import Ctx, Verbs, Wire
from lambent.services.logs.patterns import compile_pattern

VERBS = Verbs()


@VERBS.operation("TestMetricFilter")
async def try_metric_filter(_ctx: Ctx, request: Wire) -> Wire:
    """Which messages match, and what is found in them. Errors: InvalidParameterException."""
    pattern = compile_pattern(request["filterPattern"])
    return {
        "matches": [
            {
                "eventNumber": number,
                "eventMessage": message,
                "extractedValues": pattern.extract(message),
            }
            for number, message in enumerate(request["logEventMessages"], 1)
            if pattern.matches(message)
        ]
    }
