"""Where everything durable lives: records, logs and blobs behind one protocol.

Knows no AWS. May import: base. Read first: `protocol.py`, then `sqlite.py`.
"""
