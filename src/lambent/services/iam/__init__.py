"""AWS Identity and Access Management: roles, users, groups, keys and policies, as records.

Nothing is evaluated here: the policy engine reads these records. What each is stored under is said
where it is declared: `resources`, `inline`, `policies`, `attachments`, `members`.

Model: botocore `iam` 2010-05-08. Guide: https://docs.aws.amazon.com/IAM/latest/UserGuide/
Deviations: names that differ only in case are the same everywhere, inline policies included; when a
key or a role was last used is not tracked; of AWS's own policies only those in `aws_managed.py`
have a document, the others can be attached but not read; SimulatePrincipalPolicy and
SimulateCustomPolicy answer NotImplemented until policies are evaluated; passwords, MFA devices,
certificates, SAML and OIDC providers are not served.
"""

from lambent.kernel import Service
from lambent.services.iam import (
    account,
    attachments,
    inline,
    keys,
    members,
    policies,
    renames,
    resources,
    service_roles,
    versions,
)

SERVICE = Service(
    name="iam",
    api_version="2010-05-08",
    global_region="aws-global",
    validation_code="ValidationError",
    unvalidated=frozenset({"UpdateAccessKey.Status"}),
    parts=(
        resources.ROLE,
        resources.ROLE_TAGS,
        resources.USER,
        resources.USER_TAGS,
        resources.GROUP,
        resources.INSTANCE_PROFILE,
        resources.PROFILE_TAGS,
        inline.ROLE_POLICY,
        inline.USER_POLICY,
        inline.GROUP_POLICY,
        inline.ROLE_BOUNDARY,
        inline.USER_BOUNDARY,
        policies.POLICY,
        policies.TAGS,
        policies.VERBS,
        versions.VERBS,
        attachments.ON_ROLES,
        attachments.ON_USERS,
        attachments.ON_GROUPS,
        attachments.VERBS,
        members.VERBS,
        keys.VERBS,
        renames.VERBS,
        service_roles.VERBS,
        account.VERBS,
    ),
)
