"""Protocol cases that no server can pass, by key, each with its reason."""

_COMPRESSED = "the client's compression is tested: the case gives no body"
_FILLED = "the client fills in an idempotency token that the case's params do not have"
_NOT_SENT = "an empty list or map is not on the wire, so no server can tell it from an absent one"
_EMPTY_PAYLOAD = "a client sends {} for an absent payload: the wire carries an empty structure"

_LENIENT = "clients must understand this old spelling of an error's code; no server need write it"
_CHARSET = "the type lacks the charset that every other ec2 case has"
_MEDIA_TYPE = (
    "botocore's jsonvalue trait says that the header holds a JSON document (true); the case was "
    "written for the mediaType trait, under which it is a text ('true')"
)

NOT_APPLICABLE: dict[str, str] = {
    "input/ec2:Ec2EmptyQueryLists": _NOT_SENT,
    "input/ec2:Ec2ProtocolIdempotencyTokenAutoFill": _FILLED,
    "input/ec2:SDKAppendsGzipAndIgnoresHttpProvidedEncoding_ec2Query": _COMPRESSED,
    "input/ec2:SDKAppliedContentEncoding_ec2Query": _COMPRESSED,
    "input/json:SDKAppendsGzipAndIgnoresHttpProvidedEncoding_awsJson1_1": _COMPRESSED,
    "input/json:SDKAppliedContentEncoding_awsJson1_1": _COMPRESSED,
    "input/json_1_0:SDKAppendsGzipAndIgnoresHttpProvidedEncoding_awsJson1_0": _COMPRESSED,
    "input/json_1_0:SDKAppliedContentEncoding_awsJson1_0": _COMPRESSED,
    "input/query:QueryEmptyQueryMaps": _NOT_SENT,
    "input/query:QueryProtocolIdempotencyTokenAutoFill": _FILLED,
    "input/query:SDKAppendsGzipAndIgnoresHttpProvidedEncoding_awsQuery": _COMPRESSED,
    "input/query:SDKAppliedContentEncoding_awsQuery": _COMPRESSED,
    "input/rest-json:MediaTypeHeaderInputBase64": _MEDIA_TYPE,
    "input/rest-json:RestJsonHttpPrefixHeadersAreNotPresent": _NOT_SENT,
    "input/rest-json:RestJsonHttpWithEmptyStructurePayload": _EMPTY_PAYLOAD,
    "input/rest-json:RestJsonHttpWithHeadersButNoPayload": _EMPTY_PAYLOAD,
    "input/rest-json:RestJsonOmitsEmptyListQueryValues": _NOT_SENT,
    "input/rest-json:RestJsonQueryIdempotencyTokenAutoFill": _FILLED,
    "input/rest-json:SDKAppendedGzipAfterProvidedEncoding_restJson1": _COMPRESSED,
    "input/rest-json:SDKAppliedContentEncoding_restJson1": _COMPRESSED,
    "input/rest-xml:HttpPrefixHeadersAreNotPresent": _NOT_SENT,
    "input/rest-xml:QueryIdempotencyTokenAutoFill": _FILLED,
    "input/rest-xml:SDKAppendedGzipAfterProvidedEncoding_restXml": _COMPRESSED,
    "input/rest-xml:SDKAppliedContentEncoding_restXml": _COMPRESSED,
    "output/ec2:Ec2XmlEmptyLists": _CHARSET,
    "output/json:AwsJson11FooErrorUsingXAmznErrorType": _LENIENT,
    "output/json:AwsJson11FooErrorUsingXAmznErrorTypeWithUri": _LENIENT,
    "output/json:AwsJson11FooErrorUsingXAmznErrorTypeWithUriAndNamespace": _LENIENT,
    "output/json:AwsJson11IntEnums": "the case gives a request's header (X-Amz-Target)",
    "output/json_1_0:AwsJson10FooErrorUsingXAmznErrorType": _LENIENT,
    "output/json_1_0:AwsJson10FooErrorUsingXAmznErrorTypeWithUri": _LENIENT,
    "output/json_1_0:AwsJson10FooErrorUsingXAmznErrorTypeWithUriAndNamespace": _LENIENT,
    "output/rest-json:MediaTypeHeaderOutputBase64": _MEDIA_TYPE,
    "output/rest-json:RestJsonFooErrorUsingXAmznErrorTypeWithUri": _LENIENT,
    "output/rest-json:RestJsonFooErrorUsingXAmznErrorTypeWithUriAndNamespace": _LENIENT,
    "output/rest-xml:RestXmlHttpResponseCode": "an empty body needs no type, and S3 gives it none",
}
