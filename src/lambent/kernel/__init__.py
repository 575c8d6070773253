"""What all services share: declarations, the pipeline, delivery, timers, the bus. Names no service.

May import: wire, store (protocol only), net, base.
Read first: `service.py` (how a service is declared), `context.py` (what an operation is given),
`pipeline.py` (how a request becomes an operation), then `traits/`.
"""

from lambent.kernel.context import Ctx, Principal, Wire
from lambent.kernel.platform import Platform
from lambent.kernel.service import Engine, Service, Target, Verbs

__all__ = ["Ctx", "Engine", "Platform", "Principal", "Service", "Target", "Verbs", "Wire"]
