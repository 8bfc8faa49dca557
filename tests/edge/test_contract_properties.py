"""The contract parser takes what to_json wrote, and refuses everything else in one line (hypothesis)."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fer_edge.contract import COLOURS, Contract, parse_contract
from fer_edge.errors import ContractError

names = st.text(min_size=1, max_size=12)
positive = st.floats(1e-3, 1e3)
contracts = st.builds(
    Contract,
    kind=st.just("classifier"),
    labels=st.lists(names, min_size=2, max_size=9, unique=True).map(tuple),
    input_size=st.tuples(st.integers(1, 4096), st.integers(1, 4096)),
    colour=st.sampled_from(COLOURS),
    framing=positive,
    temperature=positive,
    dataset=st.text(max_size=20),
    accuracy=st.none() | st.fixed_dictionaries({"split": names, "images": st.integers(0), "accuracy": st.floats(0, 1)}),
    checkpoint_sha256=st.text("0123456789abcdef", max_size=64),
    failed_gates=st.lists(names, max_size=3).map(tuple),
)
junk = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


def refused_in_one_line(text: str) -> None:
    """parse_contract either takes `text` or says in one line what is wrong; anything else fails the test."""
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
@given(contracts)
def test_what_was_written_is_read_back_the_same(contract: Contract) -> None:
    text = contract.to_json()
    assert parse_contract(text, "model.onnx") == contract
    assert parse_contract(text, "model.onnx").to_json() == text


@given(contracts, st.sampled_from(["labels", "input_size", "kind", "colour", "framing", "temperature", "failed_gates",
                                   "output", "schema", "dataset", "accuracy"]), junk)  # fmt: skip
@settings(max_examples=150)
def test_a_field_of_junk_is_refused_or_harmless(contract: Contract, name: str, value: object) -> None:
    refused_in_one_line(json.dumps(json.loads(contract.to_json()) | {name: value}))


@given(contracts, st.sets(st.sampled_from(["schema", "kind", "labels", "input_size", "colour"]), min_size=1))
def test_a_contract_that_lacks_a_needed_field_is_refused(contract: Contract, missing: set[str]) -> None:
    values = {name: value for name, value in json.loads(contract.to_json()).items() if name not in missing}
    with pytest.raises(ContractError):
        parse_contract(json.dumps(values), "model.onnx")


@given(st.text(max_size=40) | junk.map(json.dumps))
def test_any_text_is_refused_in_one_line(text: str) -> None:
    refused_in_one_line(text)


def test_endlessly_nested_text_is_refused_in_one_line() -> None:
    refused_in_one_line("[" * 200_000)


@settings(max_examples=50)
@given(contracts, st.dictionaries(names.filter(lambda name: name not in Contract.__dataclass_fields__), junk))
def test_fields_of_a_later_version_are_passed_over(contract: Contract, more: dict[str, object]) -> None:
    more.pop("schema", None)
    assert parse_contract(json.dumps(more | json.loads(contract.to_json())), "model.onnx") == contract
