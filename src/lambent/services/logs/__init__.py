"""Amazon CloudWatch Logs: groups, streams, their events, searching and retention.

It is also the platform's journal (`kernel/journal.py`), which takes the lines of invocations.
Read first: `batches.py` (what is stored), `streams.py` (writing), `reading.py`, `search.py`.

Model: botocore `logs` 2014-03-28.
Guide: https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/
Deviations: events are readable at once; `storedBytes` of a group is what its events take now, not
compressed; encryption keys, the class DELIVERY, entities and regular expressions in patterns are
refused; a term of a pattern matches inside words; groups of class INFREQUENT_ACCESS can be read
like others. Metric and subscription filters, queries, exports and deliveries are not served.
"""

from lambent.kernel import Engine, Platform, Service
from lambent.kernel.journal import Journal
from lambent.services.logs import describing, events, resources, retention, search, trying
from lambent.services.logs.streams import Streams


async def _start(platform: Platform) -> Engine:
    return Streams(platform)


def _journal(engine: Engine) -> Journal:
    assert isinstance(engine, Streams)
    return engine


SERVICE = Service(
    name="logs",
    target_prefixes=("Logs_20140328",),
    validation_code="InvalidParameterException",
    parts=(
        resources.GROUP,
        resources.STREAM,
        resources.TAGS,
        resources.LEGACY_TAGS,
        describing.VERBS,
        events.VERBS,
        search.VERBS,
        retention.VERBS,
        trying.VERBS,
    ),
    start=_start,
    journal=_journal,
    timers={retention.SWEEP: retention.sweep},
)
