"""One operation in one protocol, compiled: what `codec` looks up for each request.

A `Plan` is two closures. The RPC protocols (json, its CBOR form, rpc-v2-cbor, query, ec2) are
here; the rest protocols take their bindings from `rest` and their body formats from here too.
Source: https://smithy.io/2.0/aws/protocols/index.html
"""

from collections.abc import Callable, Mapping

from msgspec import Struct

from lambent.net import Body, Request, Response
from lambent.wire import cbor, json, query, rest, xml
from lambent.wire.eventstream import CONTENT_TYPE as EVENT_STREAM
from lambent.wire.eventstream import EventWriter, initial_response
from lambent.wire.model import Member, Operation, ServiceModel
from lambent.wire.values import Unparsable, Wire

XML_DECLARATION = '<?xml version="1.0" encoding="UTF-8"?>\n'
Parse = Callable[[Mapping[str, str], Request, "bytes | Body"], dict[str, Wire]]
Serialize = Callable[[Mapping[str, Wire], str], Response]


class Plan(Struct, frozen=True):
    """One operation in one protocol. `parse` raises Unparsable; `serialize` sets no request id
    header, as those are the same for answers and errors.
    """

    parse: Parse
    serialize: Serialize


def compile_plan(model: ServiceModel, operation: Operation, protocol: str) -> Plan:
    """Compile both directions of `operation` in `protocol`."""
    if protocol in ("rest-json", "rest-xml"):
        body_format = JsonFormat(model) if protocol == "rest-json" else XmlFormat(model)
        serialize = rest.compile_output(operation, body_format)
        return Plan(
            rest.compile_input(operation, body_format), lambda result, _id: serialize(result)
        )
    if protocol == "query":
        return Plan(_form_parse(model, operation, ec2=False), _query_serialize(model, operation))
    if protocol == "ec2":
        return Plan(_form_parse(model, operation, ec2=True), _ec2_serialize(model, operation))
    return _tree_plan(model, operation, protocol)


class JsonFormat:
    """JSON bodies for the rest bindings."""

    content_type = "application/json"
    empty_body = True

    def __init__(self, model: ServiceModel) -> None:
        self.media_types = model.dropped.media_types

    def body_reader(self, operation: Operation) -> Callable[[bytes], dict[str, Wire]]:
        """The members that the body carries."""
        assert operation.input_shape is not None
        return json.body_reader(rest.body_members(operation.input_shape.members.values()))

    def payload_reader(self, member: Member) -> Callable[[bytes], Wire]:
        """A body that is one value."""
        return json.value_reader(member)

    def body_writer(self, operation: Operation) -> Callable[[Mapping[str, Wire]], bytes]:
        """The members that the body carries."""
        assert operation.output_shape is not None
        members = rest.answer_members(operation.output_shape.members.values())
        write = json.body_writer(members)
        return lambda result: json.encode(write(result))

    def payload_writer(self, member: Member) -> Callable[[Wire], bytes]:
        """A body that is one value."""
        write = json.value_writer(member)
        return lambda value: json.encode(write(value))


class XmlFormat:
    """XML bodies for the rest bindings."""

    content_type = "application/xml"
    empty_body = False

    def __init__(self, model: ServiceModel) -> None:
        self._model = model
        self.media_types = model.dropped.media_types

    def body_reader(self, operation: Operation) -> Callable[[bytes], dict[str, Wire]]:
        """The members that the body carries; the root's name is not looked at, as AWS does not."""
        assert operation.input_shape is not None
        members = rest.body_members(operation.input_shape.members.values())
        read = xml.structure_reader(members)
        return lambda data: read(xml.parse(data)) if data.strip() else {}

    def payload_reader(self, member: Member) -> Callable[[bytes], Wire]:
        """A body that is one value."""
        read = xml.reader(member, {})
        return lambda data: read([xml.parse(data)]) if data.strip() else None

    def body_writer(self, operation: Operation) -> Callable[[Mapping[str, Wire]], bytes]:
        """The members that the body carries, in a root named as the service names it."""
        output = operation.output
        assert output is not None
        dropped = self._model.dropped
        root = dropped.xml_roots.get(output.shape.name) or output.root_name
        members = rest.answer_members(output.shape.members.values())
        opening = f"<{root}{self._namespace(output)}"
        if output.shape.name in dropped.unwrapped:
            return _unwrapped(members[0].name, f"{XML_DECLARATION}{opening}>", f"</{root}>")
        writers = xml.XmlWriters()
        attributes = [m for m in members if m.ref.xml_attribute]
        write = writers.children(members)

        def body(result: Mapping[str, Wire]) -> bytes:
            out = [XML_DECLARATION, opening]
            for attribute in attributes:
                text = result.get(attribute.name)
                if text is not None:
                    out.append(f' {attribute.wire_name}="{xml.escape(text)}"')
            out.append(">")
            write(out, result)
            out.append(f"</{root}>")
            return "".join(out).encode()

        return body

    def _namespace(self, member: Member) -> str:
        if member.xml_namespace is not None:
            prefix, uri = member.xml_namespace
            return f' xmlns{":" + prefix if prefix else ""}="{xml.escape(uri)}"'
        uri = self._model.xml_namespace
        return f' xmlns="{xml.escape(uri)}"' if uri else ""

    def payload_writer(self, member: Member) -> Callable[[Wire], bytes]:
        """A body that is one value, in a root named after the member or its shape."""
        write = xml.XmlWriters().element(member, member.root_name)

        def body(value: Wire) -> bytes:
            out = [XML_DECLARATION]
            write(out, value)
            return "".join(out).encode()

        return body


def _unwrapped(name: str, opening: str, closing: str) -> Callable[[Mapping[str, Wire]], bytes]:
    def body(result: Mapping[str, Wire]) -> bytes:
        return f"{opening}{xml.escape(str(result.get(name) or ''))}{closing}".encode()

    return body


# --- forms in, XML out ---------------------------------------------------------------------------


def _form_parse(model: ServiceModel, operation: Operation, *, ec2: bool) -> Parse:
    shape = operation.input_shape
    if shape is None:
        return lambda _form, _request, _body: {}
    readers = query.FormReaders(ec2=ec2, renames=model.dropped.member_names)
    read = readers.structure(shape.members.values())
    return lambda form, _request, _body: read(query.fold(form))


def _query_serialize(model: ServiceModel, operation: Operation) -> Serialize:
    name, output = operation.name, operation.output
    namespace = f' xmlns="{xml.escape(model.xml_namespace)}"' if model.xml_namespace else ""
    wrapper = output.ref.result_wrapper if output else ""
    if output and not wrapper and model.query_compatible:
        wrapper = f"{name}Result"
    renames = model.dropped.member_names
    opening = f"{XML_DECLARATION}<{name}Response{namespace}>" + (f"<{wrapper}>" if wrapper else "")
    closing = (f"</{wrapper}>" if wrapper else "") + "<ResponseMetadata><RequestId>"
    end = f"</RequestId></ResponseMetadata></{name}Response>"

    def element_name(member: Member) -> str:
        # A JSON service that once spoke this protocol names flattened entries by their element.
        if renames and member.flattened:
            if member.shape.type == "list" and member.shape.member.location_name:
                return member.shape.member.location_name
            return renames.get(member.name, member.wire_name)
        return member.wire_name

    write = None
    if output:
        write = xml.XmlWriters(element_name).children(output.shape.members.values())

    def serialize(result: Mapping[str, Wire], request_id: str) -> Response:
        out = [opening]
        if write is not None:
            write(out, result)
        out += (closing, request_id, end)
        return Response(200, [("Content-Type", "text/xml")], "".join(out).encode())

    return serialize


def _ec2_serialize(model: ServiceModel, operation: Operation) -> Serialize:
    name, output = operation.name, operation.output
    version = model.metadata.get("apiVersion", "")
    namespace = model.xml_namespace or f"http://ec2.amazonaws.com/doc/{version}/"
    opening = f'{XML_DECLARATION}<{name}Response xmlns="{xml.escape(namespace)}"><requestId>'
    write = xml.XmlWriters().children(output.shape.members.values()) if output else None

    def serialize(result: Mapping[str, Wire], request_id: str) -> Response:
        out = [opening, request_id, "</requestId>"]
        if write is not None:
            write(out, result)
        out.append(f"</{name}Response>")
        headers = [("Content-Type", "text/xml;charset=UTF-8")]
        return Response(200, headers, "".join(out).encode())

    return serialize


# --- JSON and CBOR -------------------------------------------------------------------------------


def _tree_plan(model: ServiceModel, operation: Operation, protocol: str) -> Plan:
    inputs = operation.input_shape.members.values() if operation.input_shape else []
    members = [m for m in inputs if not m.shape.raw.eventstream]
    ticks_per_s = 1000 if protocol == "json-cbor" else 1
    read = (
        json.body_reader(members) if protocol == "json" else cbor.body_reader(members, ticks_per_s)
    )

    def parse(
        _labels: Mapping[str, str], _request: Request, body: "bytes | Body"
    ) -> dict[str, Wire]:
        found = read(rest.whole(body))
        if found.__class__ is not dict:
            raise Unparsable("Expected structure or null")
        return found

    return Plan(parse, _tree_serialize(model, operation, protocol))


def _tree_encoder(protocol: str, members: list[Member]) -> Callable[[Wire], bytes]:
    if protocol == "json":
        write = json.body_writer(members)
        return lambda value: json.encode(write(value))
    pack = cbor.body_writer(members, 1000 if protocol == "json-cbor" else 1)
    return lambda value: cbor.encode(pack(value))


def content_headers(model: ServiceModel, protocol: str) -> list[tuple[str, str]]:
    """The headers that tell a client which RPC protocol an answer speaks."""
    if protocol == "json":
        return [("Content-Type", f"application/x-amz-json-{model.json_version}")]
    if protocol == "json-cbor":
        return [("Content-Type", f"application/x-amz-cbor-{model.json_version}")]
    return [("Content-Type", "application/cbor"), ("smithy-protocol", "rpc-v2-cbor")]


def _tree_serialize(model: ServiceModel, operation: Operation, protocol: str) -> Serialize:
    headers = content_headers(model, protocol)
    shape = operation.output_shape
    if shape is None:
        return lambda _result, _id: Response(200, list(headers))
    members = [m for m in shape.members.values() if not m.shape.raw.eventstream]
    encode = _tree_encoder(protocol, members)
    if shape.event_stream is None:
        return lambda result, _id: Response(200, list(headers), encode(result))
    content_type, stream = headers[0][1], shape.event_stream
    writer = EventWriter(
        stream.shape,
        content_type,
        lambda member: _tree_encoder(protocol, list(member.shape.members.values())),
    )
    out_headers = [("Content-Type", EVENT_STREAM), *headers[1:]]

    def serialize(result: Mapping[str, Wire], _id: str) -> Response:
        first = initial_response(content_type, encode(result))
        return Response(200, list(out_headers), writer.frames(result[stream.name], first))

    return serialize
