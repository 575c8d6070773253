"""Which service a request is for: by target header, credential scope, host, form or path.

Order matters: what names a service beats what hints at one; what is left is S3, whose addresses
can be anything. Source: architecture.md section 5, row 2.
"""

from urllib.parse import parse_qs

from msgspec import Struct
from msgspec.structs import replace

from lambent.base.errors import AwsError
from lambent.kernel.service import Registry, Service, not_implemented
from lambent.net.message import BytesBody, Request
from lambent.wire import Credential, sigv4

FORM = "application/x-www-form-urlencoded"
FORM_BYTES_MAX = 10 * 1024 * 1024


class Route(Struct, frozen=True):
    """Where a request goes, and as whom it came."""

    service: Service
    request: Request
    credential: Credential | None


DATA_PLANES = (".lambda-url.", ".execute-api.", ".elb.", ".cloudfront.")
"""Host forms of data planes that later issues serve."""


async def route(registry: Registry, request: Request) -> Route:
    """Find the service. Errors: AwsError (`NotImplemented` naming what is not served)."""
    host = _host(request)
    credential = sigv4.parse_credential(request)
    if host.endswith(".localhost"):
        for plane in DATA_PLANES:
            if plane in host:
                raise not_implemented(f"the address {host}")
        request = virtual_host(host, request)
    service = _named(registry, request, credential)
    if service is None:
        service, request = await _guessed(registry, request)
    return Route(service, request, credential)


def _named(registry: Registry, request: Request, credential: Credential | None) -> Service | None:
    if target := request.headers.get("x-amz-target"):
        prefix = target.rsplit(".", 1)[0]
        if service := registry.targeted(prefix):
            return service
    if credential is not None:
        name = credential.service
        service = registry.signed_for(name)
        if service is None:
            raise not_implemented(f"the service {name!r}")
        return service
    return None


async def _guessed(registry: Registry, request: Request) -> tuple[Service, Request]:
    path = request.path
    if path.startswith("/service/") and "smithy-protocol" in request.headers:
        name = path.split("/")[2]
        if service := registry.targeted(name):
            return service, request
        raise not_implemented(f"the service {name!r}")
    if request.headers.get("content-type", "").startswith(FORM) and request.method == "POST":
        data = await request.body.read(FORM_BYTES_MAX)
        request = replace(request, body=BytesBody(data))  # a body is read once
        version = parse_qs(data.decode("latin-1")).get("Version", [""])[0]
        if service := registry.versioned(version):
            return service, request
    if target := request.headers.get("x-amz-target"):
        raise not_implemented(f"the target {target!r}")
    found = registry.at_path(path) or registry.signed_for("s3")
    if found is None:
        raise AwsError("UnknownOperationException", None, status=404)
    return found, request


def _host(request: Request) -> str:
    return request.headers.get("host", "").rsplit(":", 1)[0].lower()


def names_bucket(request: Request) -> bool:
    """Whether the host names a bucket, so that every path below it is a key."""
    host = _host(request)
    return host.endswith(".localhost") and virtual_host(host, request) is not request


def virtual_host(host: str, request: Request) -> Request:
    """The path-style form of `{bucket}.s3[.region].localhost/key`; others stay as they are."""
    name = host.removesuffix(".localhost")
    bucket, mark, region = name.rpartition(".s3")
    if not mark or not bucket or (region and not region.startswith((".", "-"))):
        return request
    return replace(request, path=f"/{bucket}{request.path}")
