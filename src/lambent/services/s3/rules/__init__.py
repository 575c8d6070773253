"""S3's rules, pure: what names, ranges, conditions, checksums and listings mean. No Ctx, no store.

May import: `errors` and `limits` of this service, base. Read first: `listing.py`, the one with an
idea in it; the others are S3's wording of what RFC 9110 and its guide say.
"""
