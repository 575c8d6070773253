"""One folder per AWS service; no service imports another. `SERVICES` is the whole list.

May import: kernel and below; only `lambda_` may touch `sandbox`.
Read first: any small one (`sts`), then `lambda_`, the heart.
"""

from lambent.kernel import Service
from lambent.services import iam, lambda_, logs, s3, sts

SERVICES: tuple[Service, ...] = (
    lambda_.SERVICE,
    iam.SERVICE,
    sts.SERVICE,
    s3.SERVICE,
    logs.SERVICE,
)
