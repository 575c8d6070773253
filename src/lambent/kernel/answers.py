"""JSON answers of control addresses, for the gateway and for services that declare some."""

from typing import Any

import msgspec

from lambent.net.message import Response


def json_response(value: Any, status: int = 200) -> Response:
    """A JSON answer."""
    return Response(status, [("Content-Type", "application/json")], msgspec.json.encode(value))
