"""STS's limits, in seconds.

Source: https://docs.aws.amazon.com/IAM/latest/UserGuide/id_credentials_temp_request.html
"""

ROLE_S_USUAL = 3_600
CHAINED_S_MAX = 3_600
"""A session of a role that a role's session assumes."""

SESSION_S_USUAL = 43_200
ROOT_SESSION_S_MAX = 3_600
"""GetSessionToken by the account itself, which is also its usual time."""

EXPIRED_KEPT_S = 86_400
"""How long expired credentials are told from unknown ones."""
