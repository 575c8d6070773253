"""The gateway: one handler for everything that arrives on the port."""

from functools import lru_cache

from lambent.base.errors import AwsError
from lambent.gateway.control import Control
from lambent.gateway.routing import FORM, names_bucket, route
from lambent.kernel import Platform
from lambent.kernel.pipeline import Pipeline
from lambent.net.message import Request, Response
from lambent.wire import Codec, ServiceModel, sigv4

CONTROL = ("/_lambent", "/_localstack")


class Gateway:
    """Routes requests to control addresses and services."""

    def __init__(self, platform: Platform, isolation: str) -> None:
        self._platform = platform
        self._pipeline = Pipeline(platform)
        self.control = Control(platform, isolation)

    async def handle(self, request: Request) -> Response:
        """The answer to any request."""
        if request.path.startswith(CONTROL) and not names_bucket(request):
            return await self.control.serve(request)
        if not self.control.ready:
            return Response(503, [("Retry-After", "1")])
        try:
            found = await route(self._platform.registry, request)
        except AwsError as error:
            return self._unrouted(error, request)
        return await self._pipeline.serve(found.service, found.request, found.credential, request)

    def _unrouted(self, error: AwsError, request: Request) -> Response:
        """An error in the protocol of a service that is not served, as far as botocore knows it."""
        try:
            credential = sigv4.parse_credential(request)
            codec = _codec(credential.service if credential else _speaker(request))
        except (AwsError, LookupError):
            codec = _codec(_speaker(request))
        return codec.serialize_error(error, None, request, self._platform.ids.uuid())


def _speaker(request: Request) -> str:
    """A model that speaks the protocol which the request seems to speak."""
    headers = request.headers
    if "smithy-protocol" in headers:
        return "cloudwatch"
    if "x-amz-target" in headers:
        return "dynamodb"
    return "sts" if headers.get("content-type", "").startswith(FORM) else "lambda"


@lru_cache(maxsize=8)
def _codec(service: str) -> Codec:
    """How a service that is not served would answer."""
    return Codec(ServiceModel.load(service))
