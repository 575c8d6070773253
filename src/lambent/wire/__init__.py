"""Bytes to modelled values and back, for every AWS protocol; it knows no service.

May import: net, base, and msgspec, cbor2, awscrt. Read first: `codec.py` (the front door), then
`model.py` (botocore's data, not its code: docs/adr/0004), then `protocols.py` and one format.
"""

from lambent.wire.codec import Call, Codec
from lambent.wire.model import Member, Operation, ServiceModel, Shape
from lambent.wire.sigv4 import Credential, Dialect, Signer, parse_credential, verify
from lambent.wire.validate import validation_message
from lambent.wire.values import Stream

__all__ = [
    "Call",
    "Codec",
    "Credential",
    "Dialect",
    "Member",
    "Operation",
    "ServiceModel",
    "Shape",
    "Signer",
    "Stream",
    "parse_credential",
    "validation_message",
    "verify",
]
