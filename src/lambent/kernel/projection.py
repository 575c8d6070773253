"""Deep projection: only what a shape names gets out, at every depth.

A shallow prune leaks nested secrets; this one cannot leak what the shape does not name.
"""

from typing import Any

from lambent.wire import Shape


def project(value: Any, shape: Shape | None) -> Any:
    """`value` without the members that `shape` does not name; `{}` when there is no shape."""
    if shape is None:
        return {}
    if shape.type == "structure" and isinstance(value, dict):
        if shape.raw.document:
            return value
        members = shape.members
        return {
            name: project(value[name], members[name].shape) for name in value if name in members
        }
    if shape.type == "map" and isinstance(value, dict):
        return {key: project(item, shape.value.shape) for key, item in value.items()}
    if shape.type == "list" and isinstance(value, list):
        return [project(item, shape.member.shape) for item in value]
    return value
