"""ARNs survive parsing, whatever their resource holds."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lambent.base.arn import Arn, partition_of

_part = st.text(st.characters(exclude_characters=":", exclude_categories=["Cs"]))


@given(_part, _part.filter(bool), _part, _part, st.text(min_size=1))
def test_round_trip(partition: str, service: str, region: str, account: str, resource: str) -> None:
    arn = Arn(partition, service, region, account, resource)
    assert Arn.parse(str(arn)) == arn


def test_the_resource_keeps_its_colons() -> None:
    arn = Arn.parse("arn:aws:lambda:us-east-1:123456789012:function:f:1")
    assert (arn.service, arn.region, arn.account) == ("lambda", "us-east-1", "123456789012")
    assert arn.resource == "function:f:1"


@pytest.mark.parametrize(
    "text",
    ["", "arn", "arn:aws:s3:::", "arn:aws::r:a:x", "urn:aws:s3:::b", "arn:aws:lambda:us-east-1:1"],
)
def test_what_is_not_an_arn_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="not an ARN"):
        Arn.parse(text)


@pytest.mark.parametrize(
    ("region", "partition"),
    [("us-east-1", "aws"), ("cn-north-1", "aws-cn"), ("us-gov-west-1", "aws-us-gov"), ("", "aws")],
)
def test_partitions(region: str, partition: str) -> None:
    assert partition_of(region) == partition
