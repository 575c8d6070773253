"""The gateway: one handler for everything that arrives on the port."""

from lambent.base.errors import AwsError
from lambent.gateway.control import Control
from lambent.gateway.routing import route
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
        if request.path.startswith(CONTROL):
            return await self.control.serve(request)
        try:
            found = await route(self._platform.registry, request)
        except AwsError as error:
            return self._unrouted(error, request)
        return await self._pipeline.serve(found.service, found.request, found.credential)

    def _unrouted(self, error: AwsError, request: Request) -> Response:
        """An error in the protocol of a service that is not served, as far as botocore knows it."""
        request_id = self._platform.ids.uuid()
        try:
            credential = sigv4.parse_credential(request)
            model = ServiceModel.load(credential.service if credential else "sts")
        except (AwsError, LookupError):
            model = ServiceModel.load("sts")
        return Codec(model).serialize_error(error, None, request, request_id)
