import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from fer_edge.errors import ContractError, ModelError
from fer_edge.network.classifier import Classifier
from fer_edge.network.contract import Contract, SecondLook, parse_contract


def test_a_contract_survives_a_json_round_trip(contract: Contract) -> None:
    rich = replace(contract, framing=1.25, temperature=1.7, accuracy={"split": "test", "images": 9, "accuracy": 0.5})
    assert parse_contract(rich.to_json(), "m.onnx") == rich


def test_equal_contracts_give_equal_text(contract: Contract) -> None:
    assert contract.to_json() == parse_contract(contract.to_json(), "m.onnx").to_json()


def test_unknown_fields_of_the_same_schema_are_ignored(contract: Contract) -> None:
    values = json.loads(contract.to_json()) | {"later": 1}
    assert parse_contract(json.dumps(values), "m.onnx") == contract


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("schema", 2),
        ("schema", None),
        ("kind", "generator"),
        ("colour", "yuv"),
        ("output", "boxes"),  # of a classifier
        ("labels", "happy"),
        ("labels", []),
        ("labels", ["happy", "happy"]),
        ("labels", ["happy", 3]),
        ("labels", None),
        ("input_size", [48]),
        ("input_size", [0, 48]),
        ("input_size", ["48", "48"]),
        ("framing", 0),
        ("framing", "1.0"),
        ("framing", float("nan")),
        ("temperature", -1),
    ],
)
def test_an_invalid_contract_is_refused_with_its_file_and_advice(contract: Contract, field: str, value: Any) -> None:
    values = json.loads(contract.to_json()) | {field: value}
    with pytest.raises(ContractError, match=r"m\.onnx: .*export") as caught:
        parse_contract(json.dumps(values), "m.onnx")
    assert "\n" not in str(caught.value)


def test_a_detectors_contract_survives_a_json_round_trip(detector_contract: Contract) -> None:
    assert parse_contract(detector_contract.to_json(), "d.onnx") == detector_contract


def test_the_second_look_is_optional(detector_contract: Contract) -> None:
    terms = detector_contract.detector
    assert terms is not None
    for look in (None, SecondLook(96, 40, 0.4, 0.85)):
        other = replace(detector_contract, detector=replace(terms, second_look=look))
        assert parse_contract(other.to_json(), "d.onnx") == other
    older = json.loads(detector_contract.to_json())
    del older["detector"]["second_look"]
    assert parse_contract(json.dumps(older), "d.onnx").detector == replace(terms, second_look=None)


def test_a_classifiers_contract_has_no_detector_key(contract: Contract) -> None:
    assert "detector" not in json.loads(contract.to_json())


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("strides", []),
        ("strides", [8, "16"]),
        ("strides", 8),
        ("side_in_strides", 0),
        ("score_threshold", 1.0),
        ("score_threshold", "0.5"),
        ("smallest_face_px", 0),
        ("framing", {"of_width": 1}),
        ("framing", {"of_width": 0, "of_height": 0, "right": 0, "down": 0}),
        ("framing", {"of_width": 1, "of_height": 0, "right": "x", "down": 0}),
        ("side_in_strides", 10**400),
        ("framing", {"of_width": 10**400, "of_height": 0, "right": 0, "down": 0}),
        ("second_look", {"window_px": 96, "face_px": 40, "least": 0.4}),
        ("second_look", {"window_px": 96, "face_px": 40, "least": 0.9, "most": 0.85}),
        ("second_look", {"window_px": 96, "face_px": 96, "least": 0.4, "most": 0.85}),
        ("second_look", {"window_px": 96, "face_px": 0, "least": 0.4, "most": 0.85}),
        ("second_look", {"window_px": 96, "face_px": 40.0, "least": 0.4, "most": 0.85}),
        ("second_look", {"window_px": 96, "face_px": 40, "least": 0.4, "most": "0.85"}),
        ("second_look", 96),
        (None, None),
    ],
)
def test_an_invalid_detector_part_is_refused(detector_contract: Contract, field: str | None, value: Any) -> None:
    values = json.loads(detector_contract.to_json())
    if field is None:
        del values["detector"]
    else:
        values["detector"][field] = value
    with pytest.raises(ContractError, match=r"d\.onnx: .*export"):
        parse_contract(json.dumps(values), "d.onnx")


@pytest.mark.parametrize("text", ["", "{", "[]", "7"])
def test_a_contract_that_is_not_a_json_object_is_refused(text: str) -> None:
    with pytest.raises(ContractError, match="JSON"):
        parse_contract(text, "m.onnx")


def test_a_missing_field_is_named(contract: Contract) -> None:
    values = json.loads(contract.to_json())
    del values["input_size"]
    with pytest.raises(ContractError, match="input_size"):
        parse_contract(json.dumps(values), "m.onnx")


def test_a_model_without_a_contract_is_refused(tmp_path: Path, build_onnx: Callable[..., Path]) -> None:
    with pytest.raises(ContractError, match=r"fer\.contract.*fer-export"):
        Classifier(build_onnx(tmp_path / "bare.onnx", None))


def test_a_detector_is_refused_as_a_classifier(
    tmp_path: Path, build_onnx: Callable[..., Path], detector_contract: Contract
) -> None:
    path = build_onnx(tmp_path / "d.onnx", detector_contract)
    with pytest.raises(ContractError, match="is a detector"):
        Classifier(path)


def test_a_contract_that_does_not_fit_its_graph_is_refused(
    tmp_path: Path, build_onnx: Callable[..., Path], contract: Contract
) -> None:
    for wrong in (
        replace(contract, input_size=(64, 64)),
        replace(contract, color="rgb"),
        replace(contract, labels=("yes", "no")),
    ):
        with pytest.raises(ContractError, match="its contract"):
            Classifier(build_onnx(tmp_path / "m.onnx", wrong))


def test_a_graph_that_takes_one_face_only_is_refused(
    tmp_path: Path, build_onnx: Callable[..., Path], contract: Contract
) -> None:
    with pytest.raises(ModelError, match="batch of faces"):
        Classifier(build_onnx(tmp_path / "one.onnx", contract, batch=1))


def test_files_that_are_not_onnx_are_refused(tmp_path: Path, model: Path) -> None:
    truncated, text = tmp_path / "truncated.onnx", tmp_path / "text.onnx"
    truncated.write_bytes(model.read_bytes()[:200])
    text.write_text("hello")
    for path in (truncated, text, tmp_path, tmp_path / "missing.onnx"):
        with pytest.raises(ModelError) as caught:
            Classifier(path)
        assert str(path) in str(caught.value)
        assert "\n" not in str(caught.value)


def test_a_threshold_of_confidence_is_stored_only_if_there_is_one() -> None:
    contract = Contract(kind="classifier", labels=("a", "b"), input_size=(48, 48), color="grey")
    assert "min_confidence" not in contract.to_json()
    sure = replace(contract, min_confidence=0.5)
    assert parse_contract(sure.to_json(), "x.onnx") == sure
    assert parse_contract(contract.to_json(), "x.onnx").min_confidence == 0.0


@pytest.mark.parametrize("value", [-0.1, 1.0, 2, "0.5", None, True, float("nan")])
def test_a_threshold_of_confidence_out_of_range_is_refused(value: object) -> None:
    contract = Contract(kind="classifier", labels=("a", "b"), input_size=(48, 48), color="grey")
    text = json.dumps(json.loads(contract.to_json()) | {"min_confidence": value})
    with pytest.raises(ContractError, match="min_confidence"):
        parse_contract(text, "x.onnx")
