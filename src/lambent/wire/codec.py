"""The front door of the room: one service's operations, between bytes and modelled values.

`match` says which operation a request means and in which protocol; `parse`, `serialize` and
`serialize_error` are closures compiled on first use and kept. Values are what `values` says:
timestamps are numbers of seconds, blobs bytes, an absent member is absent. Nothing that the output
shape does not name gets out.

Invariant: whatever bytes come in, only AwsError comes out of `match` and `parse`.
"""

from collections.abc import Mapping
from typing import Any

from msgspec import Struct, field

from lambent.base.errors import AwsError
from lambent.net import Body, Request, Response
from lambent.wire.errors import ErrorWriter, host_id
from lambent.wire.model import ServiceModel
from lambent.wire.protocols import Plan, compile_plan
from lambent.wire.query import pairs
from lambent.wire.routes import Routes
from lambent.wire.sigv4 import JSON, QUERY, S3, Dialect
from lambent.wire.validate import Validator, compile_validator
from lambent.wire.values import Unparsable
from lambent.wire.xml import MALFORMED

_NO_LABELS: Mapping[str, str] = {}
_CBOR_PATH = "/service/"


class Call(Struct, frozen=True):
    """What a request asks for: the operation, and the protocol to answer in.

    `labels` are the decoded path labels of the rest protocols, or the form of query and ec2.
    """

    operation: str
    protocol: str
    labels: Mapping[str, str] = field(default_factory=dict)


class Codec:
    """One service's operations on the wire, compiled lazily per operation and protocol."""

    def __init__(self, model: ServiceModel) -> None:
        self.model = model
        self._protocols = frozenset(model.protocols)
        self._preferred = model.protocols[0]
        self._plans: dict[tuple[str, str], Plan] = {}
        self._validators: dict[str, Validator] = {}
        self._streams: dict[str, bool] = {}
        self._errors = ErrorWriter(model)
        self._routes: Routes | None = None
        self._bare = model.dropped.bare_errors
        self._rest = next((p for p in model.protocols if p.startswith("rest-")), "")
        self._form = next((p for p in model.protocols if p in ("query", "ec2")), "")

    # --- which operation -------------------------------------------------------------------------

    def reads_form(self, request: Request) -> bool:
        """Whether `match` needs the body, because the operation is named in a posted form."""
        return (
            bool(self._form)
            and self._protocol(request) == self._form
            and (request.method == "POST")
        )

    def match(self, request: Request, form: bytes = b"") -> Call:
        """The operation that `request` means; `form` is the body when `reads_form` says so.

        Errors: UnknownOperationException (json, rest-json, cbor), MethodNotAllowed (S3),
        MissingAction, InvalidAction (query, ec2).
        """
        protocol = self._protocol(request)
        if protocol == self._rest:
            return self._match_rest(request, protocol)
        if protocol == self._form:
            return self._match_form(request, form, protocol)
        if protocol == "smithy-rpc-v2-cbor":
            name = request.path.rpartition("/operation/")[2]
        else:
            name = request.headers.get("x-amz-target", "").rpartition(".")[2]
        if not self.model.has_operation(name):
            raise AwsError("UnknownOperationException", None)
        return Call(name, protocol, _NO_LABELS)

    def _protocol(self, request: Request) -> str:
        """The protocol that a request speaks, or the service's first one when in doubt."""
        headers, protocols = request.headers, self._protocols
        if self._rest:
            return self._rest
        if headers.get("smithy-protocol") == "rpc-v2-cbor" and "smithy-rpc-v2-cbor" in protocols:
            return "smithy-rpc-v2-cbor"
        if "json" in protocols and "x-amz-target" in headers:
            cbor = headers.get("content-type", "").startswith("application/x-amz-cbor")
            return "json-cbor" if cbor else "json"
        if "smithy-rpc-v2-cbor" in protocols and request.path.startswith(_CBOR_PATH):
            return "smithy-rpc-v2-cbor"
        return self._form or self._preferred

    def _match_rest(self, request: Request, protocol: str) -> Call:
        if self._routes is None:
            self._routes = Routes(self.model)
        try:
            found = self._routes.match(request.method, request.path, request.query, request.headers)
        except Unparsable as error:
            raise self._malformed(error, protocol) from error
        if found is None:
            if self.model.dropped.bare_errors:
                text = "The specified method is not allowed against this resource."
                raise AwsError("MethodNotAllowed", text, fields={"Method": request.method})
            raise AwsError("UnknownOperationException", None)
        return Call(found[0], protocol, found[1])

    def _match_form(self, request: Request, form: bytes, protocol: str) -> Call:
        try:
            fields = dict(pairs(request.query)) if request.query else {}
            if form:
                fields |= pairs(form.decode())
        except (Unparsable, UnicodeDecodeError) as error:
            raise self._malformed(Unparsable(str(error)), protocol) from error
        name = fields.pop("Action", "")
        if not name:
            text = "The request must contain the parameter Action."
            raise AwsError("MissingAction", text, status=400)
        if not self.model.has_operation(name):
            version = fields.get("Version")
            text = f"The action {name} is not valid for this web service."
            if version:
                text = f"Could not find operation {name} for version {version}"
            raise AwsError("InvalidAction", text, status=400)
        fields.pop("Version", None)
        return Call(name, protocol, fields)

    def dialect(self, request: Request) -> Dialect:
        """How a refused signature is worded for this request."""
        if self.model.dropped.bare_errors:
            return S3
        return QUERY if self._protocol(request) in ("query", "ec2", "rest-xml") else JSON

    # --- values in -------------------------------------------------------------------------------

    def streams_in(self, operation: str) -> bool:
        """Whether the input has a streaming payload: `parse` then passes a `Body` on."""
        found = self._streams.get(operation)
        if found is None:
            shape = self.model.operation(operation).input_shape
            payload = shape.payload if shape else None
            found = self._streams[operation] = payload is not None and (
                payload.streaming or payload.shape.raw.eventstream
            )
        return found

    def parse(self, call: Call, request: Request, body: bytes | Body) -> dict[str, Any]:
        """The operation's input. Errors: SerializationException, MalformedXML, MalformedInput."""
        try:
            return self._plan(call).parse(call.labels, request, body)
        except Unparsable as error:
            raise self._malformed(error, call.protocol) from error

    def validate(
        self,
        operation: str,
        params: Mapping[str, Any],
        exempt: frozenset[str] = frozenset(),
        root: str = "",
    ) -> list[str]:
        """What `params` violate of the model's constraints; see `validate.compile_validator`."""
        validator = self._validators.get(operation)
        if validator is None:
            shape = self.model.operation(operation).input_shape
            validator = self._validators[operation] = compile_validator(shape)
        return validator(params, exempt, root)

    # --- values out ------------------------------------------------------------------------------

    def serialize(self, call: Call, result: Mapping[str, Any], request_id: str) -> Response:
        """The answer that carries `result`."""
        response = self._plan(call).serialize(result, request_id)
        self._identify(response, request_id)
        return response

    def serialize_error(
        self, error: AwsError, call: Call | None, request: Request, request_id: str
    ) -> Response:
        """The answer that carries `error`, in the call's protocol or the request's likely one."""
        protocol = call.protocol if call is not None else self._protocol(request)
        response = self._errors.write(error, protocol, request.method, request_id)
        self._identify(response, request_id)
        return response

    def _identify(self, response: Response, request_id: str) -> None:
        if self._bare:
            response.headers.append(("x-amz-request-id", request_id))
            response.headers.append(("x-amz-id-2", host_id(request_id)))
        else:
            response.headers.append(("x-amzn-RequestId", request_id))

    # --- inside ----------------------------------------------------------------------------------

    def _plan(self, call: Call) -> Plan:
        key = (call.operation, call.protocol)
        plan = self._plans.get(key)
        if plan is None:
            operation = self.model.operation(call.operation)
            plan = self._plans[key] = compile_plan(self.model, operation, call.protocol)
        return plan

    def _malformed(self, error: Unparsable, protocol: str) -> AwsError:
        if protocol == "rest-xml":
            code = "MalformedXML" if str(error) == MALFORMED else "InvalidArgument"
            return AwsError(code, str(error), status=400)
        if protocol in ("query", "ec2"):
            return AwsError("MalformedInput", str(error), status=400)
        return AwsError("SerializationException", str(error), status=400)
