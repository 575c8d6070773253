"""Where everything durable lives: records, logs and blobs behind one protocol.

Knows no AWS. May import: base. Read first: `protocol.py` (what), `sqlite.py` (the front), then
`writer.py` (group commit) and `changes.py`. Why it is so: docs/adr/0005-store.md.
"""

from lambent.store.protocol import Store as Store
from lambent.store.sqlite import open_store as open_store
