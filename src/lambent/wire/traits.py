"""Traits that AWS's Smithy models have and botocore's conversion of them drops.

The one table in this room that is keyed by a service's id, because the data files that we read
lack the facts: S3's errors are not wrapped and its XML roots have names of their own (SDKs other
than boto3 check them); SQS still speaks the query protocol with the entry names and error codes
that its model carried before it became a JSON service.
Source: https://github.com/aws/api-models-aws (restXml noErrorWrapping, xmlName, awsQueryError)
"""

from collections.abc import Mapping

from msgspec import Struct, field


class DroppedTraits(Struct, frozen=True):
    """What to put back on a loaded model.

    `entry_names`: list or map shape -> (element, key, value) names; all are flattened.
    `member_names`: member name -> its name in query requests and XML answers.
    `error_codes`: error shape -> (code, status) of the query protocol.
    `xml_roots`: output shape -> name of the XML root. `unwrapped`: output shapes whose single
    member is the root's text. `media_types`: output shape -> content type of its blob payload.
    `bare_errors`: `<Error>` is the root, request ids are S3's.
    """

    bare_errors: bool = False
    xml_namespace: str = ""
    xml_roots: Mapping[str, str] = field(default_factory=dict)
    unwrapped: frozenset[str] = frozenset()
    entry_names: Mapping[str, tuple[str, str, str]] = field(default_factory=dict)
    member_names: Mapping[str, str] = field(default_factory=dict)
    error_codes: Mapping[str, tuple[str, int]] = field(default_factory=dict)
    media_types: Mapping[str, str] = field(default_factory=dict)


_S3_ROOTS = {
    "CompleteMultipartUploadOutput": "CompleteMultipartUploadResult",
    "CreateMultipartUploadOutput": "InitiateMultipartUploadResult",
    "CreateSessionOutput": "CreateSessionResult",
    "DeleteObjectsOutput": "DeleteResult",
    "GetBucketAccelerateConfigurationOutput": "AccelerateConfiguration",
    "GetBucketAclOutput": "AccessControlPolicy",
    "GetBucketCorsOutput": "CORSConfiguration",
    "GetBucketLifecycleConfigurationOutput": "LifecycleConfiguration",
    "GetBucketLifecycleOutput": "LifecycleConfiguration",
    "GetBucketLocationOutput": "LocationConstraint",
    "GetBucketLoggingOutput": "BucketLoggingStatus",
    "GetBucketRequestPaymentOutput": "RequestPaymentConfiguration",
    "GetBucketTaggingOutput": "Tagging",
    "GetBucketVersioningOutput": "VersioningConfiguration",
    "GetBucketWebsiteOutput": "WebsiteConfiguration",
    "GetObjectAclOutput": "AccessControlPolicy",
    "GetObjectAttributesOutput": "GetObjectAttributesResponse",
    "GetObjectTaggingOutput": "Tagging",
    "ListBucketAnalyticsConfigurationsOutput": "ListBucketAnalyticsConfigurationResult",
    "ListBucketInventoryConfigurationsOutput": "ListInventoryConfigurationsResult",
    "ListBucketMetricsConfigurationsOutput": "ListMetricsConfigurationsResult",
    "ListBucketsOutput": "ListAllMyBucketsResult",
    "ListDirectoryBucketsOutput": "ListAllMyDirectoryBucketsResult",
    "ListMultipartUploadsOutput": "ListMultipartUploadsResult",
    "ListObjectVersionsOutput": "ListVersionsResult",
    "ListObjectsOutput": "ListBucketResult",
    "ListObjectsV2Output": "ListBucketResult",
    "ListPartsOutput": "ListPartsResult",
}

_SQS_ENTRIES = {
    "AWSAccountIdList": ("AWSAccountId", "", ""),
    "ActionNameList": ("ActionName", "", ""),
    "AttributeNameList": ("AttributeName", "", ""),
    "BatchResultErrorEntryList": ("BatchResultErrorEntry", "", ""),
    "BinaryList": ("BinaryListValue", "", ""),
    "ChangeMessageVisibilityBatchRequestEntryList": (
        "ChangeMessageVisibilityBatchRequestEntry",
        "",
        "",
    ),
    "ChangeMessageVisibilityBatchResultEntryList": (
        "ChangeMessageVisibilityBatchResultEntry",
        "",
        "",
    ),
    "DeleteMessageBatchRequestEntryList": ("DeleteMessageBatchRequestEntry", "", ""),
    "DeleteMessageBatchResultEntryList": ("DeleteMessageBatchResultEntry", "", ""),
    "ListMessageMoveTasksResultEntryList": ("ListMessageMoveTasksResultEntry", "", ""),
    "MessageAttributeNameList": ("MessageAttributeName", "", ""),
    "MessageBodyAttributeMap": ("", "Name", "Value"),
    "MessageBodySystemAttributeMap": ("", "Name", "Value"),
    "MessageList": ("Message", "", ""),
    "MessageSystemAttributeList": ("AttributeName", "", ""),
    "MessageSystemAttributeMap": ("", "Name", "Value"),
    "QueueAttributeMap": ("", "Name", "Value"),
    "QueueUrlList": ("QueueUrl", "", ""),
    "SendMessageBatchRequestEntryList": ("SendMessageBatchRequestEntry", "", ""),
    "SendMessageBatchResultEntryList": ("SendMessageBatchResultEntry", "", ""),
    "StringList": ("StringListValue", "", ""),
    "TagKeyList": ("TagKey", "", ""),
    "TagMap": ("", "Key", "Value"),
}

_SQS_PREFIX = "AWS.SimpleQueueService."

_SQS_ERRORS = {
    "BatchEntryIdsNotDistinct": (_SQS_PREFIX + "BatchEntryIdsNotDistinct", 400),
    "BatchRequestTooLong": (_SQS_PREFIX + "BatchRequestTooLong", 400),
    "EmptyBatchRequest": (_SQS_PREFIX + "EmptyBatchRequest", 400),
    "InvalidAddress": ("InvalidAddress", 404),
    "InvalidBatchEntryId": (_SQS_PREFIX + "InvalidBatchEntryId", 400),
    "InvalidSecurity": ("InvalidSecurity", 403),
    "KmsAccessDenied": ("KMS.AccessDeniedException", 400),
    "KmsDisabled": ("KMS.DisabledException", 400),
    "KmsInvalidKeyUsage": ("KMS.InvalidKeyUsageException", 400),
    "KmsInvalidState": ("KMS.InvalidStateException", 400),
    "KmsNotFound": ("KMS.NotFoundException", 400),
    "KmsOptInRequired": ("KMS.OptInRequired", 403),
    "KmsThrottled": ("KMS.ThrottlingException", 400),
    "MessageNotInflight": (_SQS_PREFIX + "MessageNotInflight", 400),
    "OverLimit": ("OverLimit", 403),
    "PurgeQueueInProgress": (_SQS_PREFIX + "PurgeQueueInProgress", 403),
    "QueueDeletedRecently": (_SQS_PREFIX + "QueueDeletedRecently", 400),
    "QueueDoesNotExist": (_SQS_PREFIX + "NonExistentQueue", 400),
    "QueueNameExists": ("QueueAlreadyExists", 400),
    "ReceiptHandleIsInvalid": ("ReceiptHandleIsInvalid", 404),
    "RequestThrottled": ("RequestThrottled", 403),
    "ResourceNotFoundException": ("ResourceNotFoundException", 404),
    "TooManyEntriesInBatchRequest": (_SQS_PREFIX + "TooManyEntriesInBatchRequest", 400),
    "UnsupportedOperation": (_SQS_PREFIX + "UnsupportedOperation", 400),
}

DROPPED_TRAITS: Mapping[str, DroppedTraits] = {
    "Lambda": DroppedTraits(media_types={"InvocationResponse": "application/json"}),
    "S3": DroppedTraits(
        bare_errors=True,
        xml_namespace="http://s3.amazonaws.com/doc/2006-03-01/",
        xml_roots=_S3_ROOTS,
        unwrapped=frozenset({"GetBucketLocationOutput"}),
    ),
    "SQS": DroppedTraits(
        xml_namespace="http://queue.amazonaws.com/doc/2012-11-05/",
        entry_names=_SQS_ENTRIES,
        member_names={
            "Attributes": "Attribute",
            "MessageAttributes": "MessageAttribute",
            "MessageSystemAttributes": "MessageSystemAttribute",
            "Tags": "Tag",
            "tags": "Tag",
        },
        error_codes=_SQS_ERRORS,
    ),
}
