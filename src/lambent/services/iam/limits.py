"""IAM's quotas.

Source: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html
"""

LIST_USUAL = 100
"""Items in a page when `MaxItems` is not given."""

ACCESS_KEYS_PER_USER_MAX = 2
VERSIONS_PER_POLICY_MAX = 5
POLICIES_ATTACHED_MAX = 10
"""Managed policies on one role, user or group."""

GROUPS_PER_USER_MAX = 10
INSTANCE_PROFILES_MAX = 1_000
ROLES_MAX = 1_000
USERS_MAX = 5_000
GROUPS_MAX = 300
POLICIES_MAX = 1_500
POLICY_VERSIONS_MAX = 10_000

# Sizes count the characters of documents that are not white space.
MANAGED_POLICY_CHARS_MAX = 6_144
TRUST_POLICY_CHARS_MAX = 2_048
ROLE_INLINE_CHARS_MAX = 10_240
"""All inline policies of one role together."""
USER_INLINE_CHARS_MAX = 2_048
GROUP_INLINE_CHARS_MAX = 5_120
