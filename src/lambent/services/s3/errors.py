"""S3's errors as S3 words them, with the further elements that it puts into `<Error>`.

The model names a handful of S3's errors; the texts and elements here are from recordings of AWS.
Source: https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html
"""

from lambent.base.errors import AwsError

UNSERVED = "A header you provided implies functionality that is not implemented"
PRECONDITION = "At least one of the pre-conditions you specified did not hold"
NOT_FOUND_PART = (
    "One or more of the specified parts could not be found.  The part may not have been uploaded, "
    "or the specified entity tag may not match the part's entity tag."
)


def no_such_bucket(bucket: str) -> AwsError:
    """There is no bucket of that name in any account."""
    text = "The specified bucket does not exist"
    return AwsError("NoSuchBucket", text, status=404, fields={"BucketName": bucket})


def no_such_key(key: str) -> AwsError:
    """There is no object under that key."""
    text = "The specified key does not exist."
    return AwsError("NoSuchKey", text, status=404, fields={"Key": key})


def no_such_upload(upload_id: str) -> AwsError:
    """There is no multipart upload of that id for that key."""
    text = (
        "The specified upload does not exist. The upload ID may be invalid, "
        "or the upload may have been aborted or completed."
    )
    return AwsError("NoSuchUpload", text, status=404, fields={"UploadId": upload_id})


def access_denied() -> AwsError:
    """The bucket is another account's."""
    return AwsError("AccessDenied", "Access Denied", status=403)


def not_implemented(header: str, more: str = "") -> AwsError:
    """A header whose meaning is not honoured: refused, as S3 itself does, by its name."""
    fields = {"Header": header}
    if more:
        fields["additionalMessage"] = more
    return AwsError("NotImplemented", UNSERVED, status=501, fields=fields)


def precondition_failed(condition: str) -> AwsError:
    """A conditional request whose condition does not hold."""
    return AwsError("PreconditionFailed", PRECONDITION, status=412, fields={"Condition": condition})


def conflict(condition: str, key: str) -> AwsError:
    """A conditional write that met another write of the same object."""
    text = (
        "The conditional request cannot succeed due to a conflicting operation "
        "against this resource."
    )
    fields = {"Condition": condition, "Key": key}
    return AwsError("ConditionalRequestConflict", text, status=409, fields=fields)


def operation_aborted() -> AwsError:
    """Another operation is changing the same bucket right now."""
    text = (
        "A conflicting conditional operation is currently in progress against this resource. "
        "Please try again."
    )
    return AwsError("OperationAborted", text, status=409)


def invalid_request(text: str) -> AwsError:
    """A request that contradicts itself or its target."""
    return AwsError("InvalidRequest", text, status=400)


def invalid_argument(text: str | None, name: str, value: object = None) -> AwsError:
    """One argument that S3 does not take."""
    fields = {"ArgumentName": name, "ArgumentValue": value}
    return AwsError("InvalidArgument", text, status=400, fields=fields)


def malformed_xml() -> AwsError:
    """A body that is not the document that the operation takes."""
    text = (
        "The XML you provided was not well-formed or did not validate against our published schema"
    )
    return AwsError("MalformedXML", text, status=400)


def bad_digest(text: str) -> AwsError:
    """The content is not what its checksum says."""
    return AwsError("BadDigest", text, status=400)


def invalid_part(upload_id: str, number: int, etag: str) -> AwsError:
    """A part named by CompleteMultipartUpload that was not uploaded so."""
    fields = {"ETag": etag, "PartNumber": number, "UploadId": upload_id}
    return AwsError("InvalidPart", NOT_FOUND_PART, status=400, fields=fields)
