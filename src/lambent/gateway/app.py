"""The gateway: one handler for everything that arrives on the port."""

from lambent.base.errors import AwsError
from lambent.gateway.control import Control
from lambent.gateway.routing import route
from lambent.kernel import Platform
from lambent.kernel.pipeline import Pipeline
from lambent.net.message import Request, Response
from lambent.wire import unrouted_error

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
            return unrouted_error(error, request, self._platform.ids.uuid())
        return await self._pipeline.serve(found.service, found.request, found.credential)
