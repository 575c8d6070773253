"""The `namespace` level: every environment in name spaces, a root and cgroups of its own.

May import: the rest of `sandbox`. Read first: `level.py`, then `../bootstrap/cell.py`, which is
what runs on the other side.
"""

from lambent.sandbox.namespace.level import NamespaceSandbox as NamespaceSandbox
