"""The table of dropped traits names only what the models have."""

from lambent.wire import ServiceModel
from lambent.wire.traits import DROPPED_TRAITS


def test_every_name_is_a_shape() -> None:
    for service in ("s3", "sqs"):
        model = ServiceModel.load(service)
        dropped = DROPPED_TRAITS[model.service_id]
        named = {*dropped.xml_roots, *dropped.unwrapped, *dropped.entry_names}
        assert all(model.shape(name) for name in named)
        assert dropped.error_codes.keys() - model.error_shapes.keys() <= {
            "ResourceNotFoundException"
        }


def test_services_without_entries_have_the_defaults() -> None:
    assert ServiceModel.load("lambda").dropped.xml_roots == {}
    assert not ServiceModel.load("lambda").dropped.bare_errors
