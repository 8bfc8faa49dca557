"""The contract parser accepts what to_json writes and refuses everything else in one line (hypothesis)."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fer_edge.errors import ContractError
from fer_edge.guards.text import label_fault, same_label
from fer_edge.network.contract import COLORS, Contract, DetectorContract, SecondLook, parse_contract

names = st.text(min_size=1, max_size=12)
labels = names.filter(lambda name: label_fault(name) is None)
positive, lengths = st.floats(1e-3, 1e3), st.floats(1e-3, 99)
contracts = st.builds(
    Contract,
    kind=st.just("classifier"),
    labels=st.lists(labels, min_size=2, max_size=9, unique_by=same_label).map(tuple),
    input_size=st.tuples(st.integers(1, 512), st.integers(1, 512)),
    color=st.sampled_from(COLORS),
    framing=positive,
    temperature=positive,
    dataset=st.text(max_size=20),
    accuracy=st.none()
    | st.fixed_dictionaries({"split": names, "images": st.integers(0, 2**63), "accuracy": st.floats(0, 1)}),
    checkpoint_sha256=st.text("0123456789abcdef", max_size=64),
    failed_gates=st.lists(names, max_size=3).map(tuple),
)
scores = st.floats(0.01, 0.99)
detectors = st.builds(
    Contract,
    kind=st.just("detector"),
    labels=st.just(()),
    input_size=st.just((32, 32)),
    color=st.just("grey"),
    output=st.just("boxes"),
    detector=st.builds(
        DetectorContract,
        strides=st.lists(st.integers(1, 256), min_size=1, max_size=5).map(tuple),
        side_in_strides=lengths,
        score_threshold=scores,
        smallest_face_px=st.integers(1, 99),
        framing=st.fixed_dictionaries({"of_width": lengths, "of_height": lengths, "right": scores, "down": scores}),
        second_look=st.none() | st.just(SecondLook(96, 40, 0.4, 0.85)),
    ),
)
junk = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


def refused_in_one_line(text: str) -> None:
    """parse_contract either accepts `text` or raises a one-line ContractError; anything else fails the test."""
    try:
        contract = parse_contract(text, "model.onnx")
    except ContractError as error:
        assert str(error).startswith("model.onnx: ")
    else:
        assert len(set(contract.labels)) == len(contract.labels)
        assert contract.framing > 0
        assert contract.temperature > 0
        assert all(side > 0 for side in contract.input_size)


@settings(max_examples=50)
@given(contracts | detectors)
def test_a_written_contract_is_read_back_equal(contract: Contract) -> None:
    text = contract.to_json()
    assert parse_contract(text, "model.onnx") == contract
    assert parse_contract(text, "model.onnx").to_json() == text


@given(contracts, st.sampled_from(["labels", "input_size", "kind", "colour", "framing", "temperature", "failed_gates",
                                   "output", "schema", "dataset", "accuracy"]), junk)  # fmt: skip
@settings(max_examples=150)
def test_a_junk_field_is_refused_or_harmless(contract: Contract, name: str, value: object) -> None:
    refused_in_one_line(json.dumps(json.loads(contract.to_json()) | {name: value}))


@given(contracts, st.sets(st.sampled_from(["schema", "kind", "labels", "input_size", "colour"]), min_size=1))
def test_a_contract_without_a_required_field_is_refused(contract: Contract, missing: set[str]) -> None:
    values = {name: value for name, value in json.loads(contract.to_json()).items() if name not in missing}
    with pytest.raises(ContractError):
        parse_contract(json.dumps(values), "model.onnx")


@given(st.text(max_size=40) | junk.map(json.dumps))
def test_any_text_is_refused_in_one_line(text: str) -> None:
    refused_in_one_line(text)


def test_deeply_nested_text_is_refused_in_one_line() -> None:
    refused_in_one_line("[" * 200_000)


@settings(max_examples=50)
@given(contracts, st.dictionaries(names.filter(lambda name: name not in Contract.__dataclass_fields__), junk))
def test_fields_of_a_later_version_are_ignored(contract: Contract, more: dict[str, object]) -> None:
    more.pop("schema", None)
    assert parse_contract(json.dumps(more | json.loads(contract.to_json())), "model.onnx") == contract


@given(detectors, st.sampled_from(["strides", "side_in_strides", "score_threshold", "smallest_face_px", "framing",
                                   "second_look"]), junk)  # fmt: skip
@settings(max_examples=150)
def test_a_junk_detector_field_is_refused_or_harmless(contract: Contract, name: str, value: object) -> None:
    values = json.loads(contract.to_json())
    values["detector"][name] = value
    refused_in_one_line(json.dumps(values))


@given(st.sampled_from(["window_px", "face_px", "least", "most"]), junk)
@settings(max_examples=100)
def test_a_junk_second_look_is_refused_or_harmless(name: str, value: object) -> None:
    values = {"window_px": 96, "face_px": 40, "least": 0.4, "most": 0.85} | {name: value}
    terms = {
        "strides": [8],
        "side_in_strides": 4.0,
        "score_threshold": 0.5,
        "smallest_face_px": 9,
        "second_look": values,
    }
    terms["framing"] = {"of_width": 1, "of_height": 0, "right": 0, "down": 0}
    contract = Contract("detector", (), (32, 32), "grey", output="boxes")
    refused_in_one_line(json.dumps(json.loads(contract.to_json()) | {"detector": terms}))
