"""Which operation a rest request means: by method, path and, where those are shared, the query.

The operations of a service become a tree of path segments, once. Where several share method and
path (S3 has up to thirty on one), the one wins whose constant query parameters (`?uploads`) and
required query and header members (`x-amz-copy-source`) are all there, the most of them first; a
deprecated operation never wins over its successor.
Source: https://smithy.io/2.0/spec/http-bindings.html#http-trait
"""

from collections.abc import Mapping

from msgspec import Struct, field

from lambent.wire.model import Operation, ServiceModel
from lambent.wire.query import query_values, unquote


class Candidate(Struct, frozen=True):
    """One operation at a leaf of the tree."""

    operation: str
    labels: tuple[str, ...]
    constants: tuple[tuple[str, str], ...]
    required_query: tuple[str, ...]
    required_headers: tuple[str, ...]
    deprecated: bool

    @property
    def rank(self) -> tuple[bool, int, int]:
        """Sorts the most specific candidate first."""
        required = len(self.required_query) + len(self.required_headers)
        return self.deprecated, -len(self.constants), -required

    def constant_in(self, query: Mapping[str, list[str]]) -> bool:
        """Whether the constant parameters are there, with their values."""
        return all(
            key in query and (not value or value in query[key]) for key, value in self.constants
        )

    def required_in(self, query: Mapping[str, list[str]], headers: Mapping[str, str]) -> bool:
        """Whether the required query and header members are there."""
        for key in self.required_query:
            if key not in query:
                return False
        for name in self.required_headers:  # noqa: SIM110 - a generator costs more than the loop
            if name not in headers:
                return False
        return True


class _Node(Struct):
    fixed: dict[str, "_Node"] = field(default_factory=dict)
    label: "_Node | None" = None
    greedy: "list[tuple[tuple[str, ...], _Node]]" = field(default_factory=list)
    leaves: list[Candidate] = field(default_factory=list)
    plain: list[Candidate] = field(default_factory=list)
    """The leaves that a request without a query may mean."""
    telling: frozenset[str] = frozenset()
    """The query parameters by which the leaves differ."""


class Routes:
    """The rest operations of one service."""

    def __init__(self, model: ServiceModel) -> None:
        self._roots: dict[str, _Node] = {}
        for name in model.operation_names:
            self._add(model.operation(name))
        for root in self._roots.values():
            _sort(root)

    def _add(self, operation: Operation) -> None:
        http = operation.raw.http
        path, _, query = http.request_uri.partition("?")
        node = self._roots.setdefault(http.method, _Node())
        segments = _segments(path)
        labels = []
        for position, segment in enumerate(segments):
            if segment.endswith("+}"):
                labels.append(segment[1:-2])
                suffix = tuple(segments[position + 1 :])
                node = _greedy_child(node, suffix)
                break
            if segment.startswith("{"):
                labels.append(segment[1:-1])
                node.label = node.label or _Node()
                node = node.label
            else:
                node = node.fixed.setdefault(segment, _Node())
        node.leaves.append(_candidate(operation, tuple(labels), query))

    def match(
        self, method: str, path: str, query: str, headers: Mapping[str, str]
    ) -> tuple[str, dict[str, str]] | None:
        """The operation and its decoded labels, or None.

        `path` is still percent-encoded: labels are split before they are decoded, so that an
        encoded slash belongs to its label.
        """
        root = self._roots.get(method)
        if root is None:
            return None
        found = self._walk(root, path, query, headers)
        if found is None and path.endswith("/") and path != "/":
            found = self._walk(root, path.rstrip("/") or "/", query, headers)
        return found

    def _walk(
        self, root: _Node, path: str, query: str, headers: Mapping[str, str]
    ) -> tuple[str, dict[str, str]] | None:
        values = query_values(query) if query else _NO_QUERY
        found = _find(root, path[1:].split("/"), 0, (), values, headers)
        if found is None:
            return None
        chosen, texts = found
        if len(texts) == 1:
            return chosen.operation, {chosen.labels[0]: unquote(texts[0])}
        labels = {n: unquote(text) for n, text in zip(chosen.labels, texts, strict=True)}
        return chosen.operation, labels


_NO_QUERY: Mapping[str, list[str]] = {}


def _segments(path: str) -> list[str]:
    trimmed = path[1:]
    return (trimmed.rstrip("/") if trimmed.strip("/") else trimmed).split("/")


def _greedy_child(node: _Node, suffix: tuple[str, ...]) -> _Node:
    for known, child in node.greedy:
        if known == suffix:
            return child
    child = _Node()
    node.greedy.append((suffix, child))
    node.greedy.sort(key=lambda entry: -len(entry[0]))
    return child


def _candidate(operation: Operation, labels: tuple[str, ...], query: str) -> Candidate:
    constants = []
    for part in query.split("&") if query else ():
        key, _, value = part.partition("=")
        constants.append((key, value))
    required_query, required_headers = [], []
    shape = operation.input_shape
    for name in shape.required if shape else ():
        assert shape is not None
        member = shape.members[name]
        if member.location == "querystring":
            required_query.append(member.wire_name)
        elif member.location == "header":
            required_headers.append(member.wire_name.lower())
    return Candidate(
        operation.name,
        labels,
        tuple(constants),
        tuple(required_query),
        tuple(required_headers),
        operation.raw.deprecated,
    )


def _sort(node: _Node) -> None:
    node.leaves.sort(key=lambda leaf: leaf.rank)
    unfixed = [leaf for leaf in node.leaves if not leaf.constants]
    node.plain = [leaf for leaf in unfixed if not leaf.required_query] or unfixed
    node.telling = frozenset(
        key
        for leaf in node.leaves
        for key in ("x-id", *leaf.required_query, *(key for key, _ in leaf.constants))
    )
    for child in (*node.fixed.values(), *(child for _, child in node.greedy)):
        _sort(child)
    if node.label is not None:
        _sort(node.label)


def _find(
    node: _Node,
    segments: list[str],
    position: int,
    texts: tuple[str, ...],
    query: Mapping[str, list[str]],
    headers: Mapping[str, str],
) -> tuple[Candidate, tuple[str, ...]] | None:
    """The first operation the path reaches: fixed segments before labels before greedy ones."""
    if position == len(segments):
        chosen = _choose(node, query, headers)
        return None if chosen is None else (chosen, texts)
    segment = segments[position]
    child = node.fixed.get(segment)
    if child is not None:
        found = _find(child, segments, position + 1, texts, query, headers)
        if found is not None:
            return found
    if node.label is not None and segment:
        inner = (*texts, segment)
        found = _find(node.label, segments, position + 1, inner, query, headers)
        if found is not None:
            return found
    for suffix, greedy in node.greedy:
        end = len(segments) - len(suffix)
        if end > position and tuple(segments[end:]) == suffix:
            text = "/".join(segments[position:end])
            chosen = _choose(greedy, query, headers) if text else None
            if chosen is not None:
                return chosen, (*texts, text)
    return None


def _choose(
    node: _Node, query: Mapping[str, list[str]], headers: Mapping[str, str]
) -> Candidate | None:
    asked = bool(query) and not node.telling.isdisjoint(query)
    leaves = node.leaves if asked else node.plain
    if len(leaves) == 1 and not leaves[0].constants:
        return leaves[0]
    fitting = [leaf for leaf in leaves if leaf.constant_in(query)] if asked else leaves
    named = query.get("x-id")
    if named:
        for leaf in fitting:
            if leaf.operation == named[0]:
                return leaf
    for leaf in fitting:
        if leaf.required_in(query, headers):
            return leaf
    return fitting[-1] if fitting else None
