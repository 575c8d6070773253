"""Java's patterns in Python: the translations, and that no pattern of our services is skipped."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lambent.wire import ServiceModel
from lambent.wire.model import data_folder
from lambent.wire.patterns import _LINEAR, compile_pattern

SERVICES = """lambda s3 sqs sns dynamodb dynamodbstreams kinesis logs cloudwatch iam sts events
scheduler pipes kms ssm secretsmanager stepfunctions apigateway apigatewayv2 cloudformation ecr
cognito-idp xray""".split()


def test_every_pattern_of_our_services_compiles() -> None:
    skipped = {
        (service, name)
        for service in SERVICES
        for name, raw in ServiceModel.load(service)._raw.shapes.items()
        if raw.pattern and compile_pattern(raw.pattern) is None
    }
    assert skipped == set()
    assert data_folder().is_dir()


@pytest.mark.parametrize(
    ("pattern", "fits", "not_fits"),
    [
        (r"[\p{L}\p{Z}\p{N}_.:/=+\-@]*", "é 1_", "a!"),
        (r"\p{L}+", "éß", "1"),
        (r"[\P{L}]+", "1 -", "a"),
        (r"[\w+=,.@-]+", "a@b", "é"),
        (r"\d{2}", "12", "١٢"),
        (r"[^\d]+", "ab", "a1"),
        (r"[\u0020-\uD7FF\uE000-\uFFFD\uD800\uDC00-\uDBFF\uDFFF\r\n\t]*", "a\U0001f600", "\x00"),
        (r"(?<name>a)b", "ab", "b"),
        (r"(?<=a)b|c", "c", "b"),
        (r"[a[b]+", "a[b", "c"),
        (r"[\w-\/]+", "a-/", " "),
        (r"[&&a]+", "&a", "b"),
        (r"\p{Alnum}+", "aZ9", "-"),
        (r"a\z", "a", "a\n"),
        (r"\x{41}", "A", "B"),
        (r"[]a]", "]", "b"),
    ],
)
def test_translations(pattern: str, fits: str, not_fits: str) -> None:
    compiled = compile_pattern(pattern)
    assert compiled is not None
    assert compiled.fullmatch(fits)
    assert not compiled.fullmatch(not_fits)


@pytest.mark.parametrize("pattern", [r"\p{Nope}", "a(?i)b", "a{2}{3,", "(", "a${1,2}"])
def test_what_python_cannot_say_is_skipped(pattern: str) -> None:
    compiled = compile_pattern(pattern)
    assert compiled is None or compiled.pattern == pattern


@pytest.mark.parametrize("pattern", sorted(_LINEAR))
def test_rewritten_patterns_mean_the_same_and_are_still_in_use(pattern: str) -> None:
    @given(st.text(" \t:ab*.-/$[]1\x7f", max_size=8))
    def check(text: str) -> None:
        ours = compile_pattern(pattern)
        assert ours is not None
        assert bool(ours.fullmatch(text)) == bool(re.fullmatch(pattern, text))

    check()
    used = {
        raw.pattern
        for service in ("events", "pipes", "ecr")
        for raw in ServiceModel.load(service)._raw.shapes.values()
    }
    assert pattern in used


def test_hostile_texts_are_answered() -> None:
    for pattern in _LINEAR:
        compiled = compile_pattern(pattern)
        assert compiled is not None
        for filler in (" ", "a", "a "):
            assert not compiled.fullmatch(filler * 5000 + "\x01")
