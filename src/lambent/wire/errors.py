"""AwsError to bytes, in each protocol's shape.

The model decides: the code and status of the error shape, the casing of its message member
(`message` or `Message`), whether there is a `Type`, which members travel as headers. What the model
does not name falls back to the table of AWS's common errors. Knows no service; S3's bare `<Error>`
comes from `traits`.
Source: https://docs.aws.amazon.com/lambda/latest/api/CommonErrors.html
"""

from collections.abc import Callable, Mapping
from typing import Any

from lambent.base.errors import AwsError
from lambent.net import Response
from lambent.wire import cbor, json, rest, xml
from lambent.wire.model import Member, ServiceModel, Shape
from lambent.wire.protocols import XML_DECLARATION, content_headers
from lambent.wire.values import Wire, format_blob

_STATUS = {
    "ExpiredToken": 403,
    "ExpiredTokenException": 403,
    "InternalError": 500,
    "InternalFailure": 500,
    "InternalServerError": 500,
    "InternalServerException": 500,
    "InternalServiceError": 500,
    "InternalServiceException": 500,
    "InvalidAccessKeyId": 403,
    "InvalidClientTokenId": 403,
    "InvalidSignatureException": 403,
    "InvalidRange": 416,
    "MethodNotAllowed": 405,
    "MissingAuthenticationToken": 403,
    "MissingAuthenticationTokenException": 403,
    "MissingContentLength": 411,
    "NoSuchBucket": 404,
    "NoSuchKey": 404,
    "NotAuthorized": 403,
    "NotModified": 304,
    "OptInRequired": 403,
    "PreconditionFailed": 412,
    "RequestEntityTooLarge": 413,
    "RequestEntityTooLargeException": 413,
    "RequestTimeTooSkewed": 403,
    "ResourceNotFoundException": 404,
    "ServiceException": 500,
    "ServiceFailure": 500,
    "ServiceUnavailable": 503,
    "ServiceUnavailableException": 503,
    "SignatureDoesNotMatch": 403,
    "SlowDown": 503,
    "TooManyRequestsException": 429,
    "UnknownOperationException": 404,
    "UnrecognizedClientException": 403,
}

_SENDER_IN_RPC = frozenset({403, 404})
"""Statuses that the json protocols answer as 400: they know only the caller's and the service's."""


class ErrorWriter:
    """Writes the errors of one service."""

    def __init__(self, model: ServiceModel) -> None:
        self._model = model
        self._json: dict[str, Callable[[Wire], Wire]] = {}
        self._cbor: dict[str, Callable[[Wire], Wire]] = {}
        self._xml: dict[str, xml.Write] = {}

    def write(self, error: AwsError, protocol: str, method: str, request_id: str) -> Response:
        """The answer that carries `error`; a HEAD request's has no body."""
        shape = self._model.error_shapes.get(error.code)
        status = self._status(error, shape, protocol)
        response = Response(status)
        if protocol in ("rest-xml", "query", "ec2"):
            self._xml_body(error, shape, protocol, response, request_id)
        else:
            self._tree_body(error, shape, protocol, response)
        if shape is not None:
            writers = rest.header_writers(shape.members.values())
            for name, value in error.fields.items():
                if name in writers and value is not None:
                    writers[name](response.headers, value)
        response.headers.extend(error.headers.items())
        if method == "HEAD" or status == 304:
            response.body = b""
        return response

    def _status(self, error: AwsError, shape: Shape | None, protocol: str) -> int:
        if error.status is not None:
            return error.status
        traits = shape.raw.error if shape is not None else None
        rpc = protocol in ("json", "json-cbor", "smithy-rpc-v2-cbor")
        if traits is not None and traits.http_status_code:
            status = traits.http_status_code
            if rpc and self._model.query_compatible:
                status = 400 if status < 500 else 500
            return status
        if shape is not None:
            return 500 if shape.raw.fault else _RENAMED_STATUS.get(error.code, 400)
        status = default_status(error.code)
        modern = rpc and error.code != "UnknownOperationException"
        return 400 if modern and status in _SENDER_IN_RPC else status

    # --- JSON and CBOR ---------------------------------------------------------------------------

    def _tree_body(
        self, error: AwsError, shape: Shape | None, protocol: str, response: Response
    ) -> None:
        name = message_member(error, shape)
        body: dict[str, Any] = {}
        if protocol == "rest-json":
            code = wire_code(error, shape)
            response.headers.append(("Content-Type", "application/json"))
            response.headers.append(("x-amzn-ErrorType", code))
            if shape is not None and "Type" in shape.members:
                body["Type"] = "User" if response.status < 500 else "Service"
            body[name] = error.message
        else:
            body["__type"] = self._type(error, shape)
            if error.message is not None:
                body[name] = error.message
            response.headers.extend(content_headers(self._model, protocol))
            if self._model.query_compatible:
                sender = "Sender" if response.status < 500 else "Receiver"
                code = f"{wire_code(error, shape)};{sender}"
                response.headers.append(("x-amzn-query-error", code))
        in_cbor = protocol in ("json-cbor", "smithy-rpc-v2-cbor")
        if shape is not None and error.fields:
            body |= self._fields_writer(shape, in_cbor)(error.fields)
        response.body = cbor.encode(body) if in_cbor else json.encode(body)

    def _type(self, error: AwsError, shape: Shape | None) -> str:
        name = shape.name if shape is not None else error.code
        if self._model.query_compatible and shape is not None:
            return f"com.amazonaws.{self._model.endpoint_prefix}#{name}"
        return name

    def _fields_writer(self, shape: Shape, in_cbor: bool) -> Callable[[Wire], Wire]:
        known = self._cbor if in_cbor else self._json
        found = known.get(shape.name)
        if found is None:
            members = rest.answer_members(shape.members.values())
            made = cbor.body_writer(members) if in_cbor else json.body_writer(members)
            found = known[shape.name] = made
        return found

    # --- XML -------------------------------------------------------------------------------------

    def _xml_body(
        self,
        error: AwsError,
        shape: Shape | None,
        protocol: str,
        response: Response,
        request_id: str,
    ) -> None:
        code = xml.escape(wire_code(error, shape))
        out = [f"<Code>{code}</Code>"]
        if error.message is not None:
            out.append(f"<Message>{xml.escape(error.message)}</Message>")
        self._xml_fields(error, shape, out)
        inner = "".join(out)
        identity = xml.escape(request_id)
        sender = "Sender" if response.status < 500 else "Receiver"
        content_type = "text/xml"
        if protocol == "ec2":
            content_type = "text/xml;charset=UTF-8"
            body = (
                f"<Response><Errors><Error>{inner}</Error></Errors>"
                f"<RequestID>{identity}</RequestID></Response>"
            )
        elif self._model.dropped.bare_errors:
            content_type = "application/xml"
            body = (
                f"<Error>{inner}<RequestId>{identity}</RequestId>"
                f"<HostId>{host_id(request_id)}</HostId></Error>"
            )
        else:
            if protocol == "rest-xml":
                content_type = "application/xml"
            namespace = self._model.xml_namespace
            attribute = f' xmlns="{xml.escape(namespace)}"' if namespace else ""
            body = (
                f"<ErrorResponse{attribute}><Error><Type>{sender}</Type>{inner}</Error>"
                f"<RequestId>{identity}</RequestId></ErrorResponse>"
            )
        response.headers.append(("Content-Type", content_type))
        response.body = (XML_DECLARATION + body).encode()

    def _xml_fields(self, error: AwsError, shape: Shape | None, out: list[str]) -> None:
        modelled: Mapping[str, Member] = shape.members if shape is not None else {}
        if shape is not None and error.fields:
            write = self._xml.get(shape.name)
            if write is None:
                members = rest.answer_members(modelled.values())
                write = self._xml[shape.name] = xml.XmlWriters().children(members)
            write(out, error.fields)
        if self._model.dropped.bare_errors:
            for name, value in error.fields.items():
                if name not in modelled and value is not None:
                    out.append(f"<{name}>{xml.escape(str(value))}</{name}>")


_RENAMED_STATUS = {"TooManyRequestsException": 429}


def default_status(code: str) -> int:
    """The HTTP status of an error that the model does not name."""
    found = _STATUS.get(code)
    if found is not None:
        return found
    if code.startswith(("AccessDenied", "UnauthorizedOperation")):
        return 403
    return 501 if code.startswith("NotImplemented") else 400


def wire_code(error: AwsError, shape: Shape | None) -> str:
    """The code as the older protocols spell it."""
    if shape is None:
        return error.code
    return (shape.raw.error.code if shape.raw.error else "") or shape.name


def message_member(error: AwsError, shape: Shape | None) -> str:
    """`message` or `Message`: as the error shape spells it, else as AWS's front door does."""
    for member in shape.members.values() if shape is not None else ():
        if member.name.lower() == "message":
            return member.wire_name
    return "Message" if error.code.startswith("AccessDenied") else "message"


def host_id(request_id: str) -> str:
    """S3's second request id: opaque, and the same for the same request."""
    return format_blob(request_id.encode() * 2)
