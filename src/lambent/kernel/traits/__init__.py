"""Declarations that serve whole families of operations: a noun is written once, here is the rest.

May import: the kernel's core. Admission: a trait serves five nouns in three services, and shrinks
the tree on the day it lands. Read first: `resource.py`.
"""

from lambent.kernel.traits.document import Document
from lambent.kernel.traits.listing import Missing, Paging, filtered_page, listed, select
from lambent.kernel.traits.resource import Resource, Verb, held
from lambent.kernel.traits.retry import retried
from lambent.kernel.traits.tagging import Tagging

__all__ = [
    "Document",
    "Missing",
    "Paging",
    "Resource",
    "Tagging",
    "Verb",
    "filtered_page",
    "held",
    "listed",
    "retried",
    "select",
]
