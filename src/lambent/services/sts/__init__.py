"""AWS Security Token Service: who asks, and temporary credentials.

Credentials are issued durably through the platform's directory and expire on the platform's clock.

Who may assume a role: with `--auth off` anyone, as nothing is evaluated. Under `--auth enforce`
only principals of the role's own account, until trust policies are evaluated: within an account
nothing is evaluated yet either, so this gives no right that the caller does not have already, and
another account is never entered. A session policy would take rights away from a session and is not
evaluated yet, so it is refused under `--auth enforce`; session tags and the source identity are
kept with the session for the policy engine.

Model: botocore `sts` 2011-06-15. Guide: https://docs.aws.amazon.com/STS/latest/APIReference/
Deviations: MFA devices, provided contexts and minimum token sizes are refused; web identity, SAML,
federation and DecodeAuthorizationMessage are not served.
"""

from lambent.kernel import Service
from lambent.services.sts import identity, roles, sessions

SERVICE = Service(
    name="sts",
    api_version="2011-06-15",
    validation_code="ValidationError",
    parts=(identity.VERBS, roles.VERBS, sessions.VERBS),
    timers={sessions.FORGET: sessions.forget},
)
