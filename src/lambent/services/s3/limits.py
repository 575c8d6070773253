"""S3's quotas, each with its unit and source.

Source: https://docs.aws.amazon.com/AmazonS3/latest/userguide/qfacts.html (multipart limits)
"""

KEY_BYTES_MAX = 1024
"""Longest object key, in UTF-8. Source: .../userguide/object-keys.html"""

METADATA_BYTES_MAX = 2048
"""All user metadata of an object, names and values. Source: .../userguide/UsingMetadata.html"""

PUT_BYTES_MAX = 5 * 1024**3
"""Largest body of one PutObject or UploadPart, and largest source of one copy."""

PART_BYTES_MIN = 5 * 1024**2
"""Smallest part of a multipart upload, except the last."""

PARTS_MAX = 10_000
"""Highest part number."""

PAGE_MAX = 1000
"""Most keys, parts or uploads in one page of a listing, and keys in one DeleteObjects."""

BUCKETS_PAGE_MAX = 10_000
"""Most buckets in one page of ListBuckets."""

BUCKETS_MAX = 10_000
"""Buckets of one account (the default quota)."""

SCAN_ROWS = 64
"""Records read at a time by a listing: bounds memory where records of many parts are large."""

DELETE_ROWS = 500
"""Records removed in one commit when uploads are cleared away."""
