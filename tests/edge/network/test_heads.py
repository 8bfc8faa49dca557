"""Files with several heads: which one answers, and what is refused."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from fer_edge import EmotionRecognizer
from fer_edge.cli.commands import edge
from fer_edge.errors import ContractError
from fer_edge.framing import Square
from fer_edge.network.classifier import Classifier
from fer_edge.network.contract import Contract, Head, parse_contract

BRIGHT = np.full((1, 1, 48, 48), 255, np.uint8)


def test_the_first_head_answers_by_default(model_with_heads: Path) -> None:
    classifier = Classifier(model_with_heads)
    assert (classifier.head, len(classifier.labels), classifier.min_confidence) == ("people", 7, 0.4)
    assert classifier.predict(BRIGHT).shape == (1, 7)


def test_another_head_answers_when_it_is_named(model_with_heads: Path) -> None:
    classifier = Classifier(model_with_heads, head="votes")
    assert (classifier.head, classifier.labels, classifier.min_confidence) == ("votes", ("sad", "contempt"), 0.0)
    assert classifier.predict(BRIGHT)[0].argmax() == 1


def test_a_file_without_heads_has_none(classifier: Classifier) -> None:
    assert classifier.head is None


@pytest.mark.parametrize(
    ("fixture", "advice"), [("model_with_heads", "choose one of people, votes"), ("model", "it gives a single answer")]
)
def test_a_head_that_is_not_there_is_refused(fixture: str, advice: str, request: pytest.FixtureRequest) -> None:
    path = request.getfixturevalue(fixture)
    with pytest.raises(ContractError, match=f"has no head 'ferplus': {advice}"):
        Classifier(path, head="ferplus")


def test_outputs_that_are_not_those_of_the_heads_are_refused(
    contract: Contract, build_onnx_with_heads: Callable[..., Path], tmp_path: Path
) -> None:
    heads = (Head("people", "people", contract.labels), Head("votes", "votes", ("sad", "contempt")))
    path = build_onnx_with_heads(tmp_path / "m.onnx", contract.with_heads(heads), ("people", "other"))
    with pytest.raises(ContractError, match="its outputs are people, other, but its contract has the heads people, vo"):
        Classifier(path)


def test_a_head_whose_labels_do_not_fit_its_output_is_refused(
    contract: Contract, build_onnx_with_heads: Callable[..., Path], tmp_path: Path
) -> None:
    heads = (Head("people", "people", contract.labels), Head("votes", "votes", ("sad", "contempt", "calm")))
    path = build_onnx_with_heads(tmp_path / "m.onnx", contract.with_heads(heads))
    with pytest.raises(ContractError, match="is not a row of 3 probabilities per face"):
        Classifier(path, head="votes")


def test_heads_survive_the_file(model_with_heads: Path) -> None:
    contract = Classifier(model_with_heads).contract
    assert contract.heads[1] == Head("votes", "votes", ("sad", "contempt"), temperature=2.0)
    assert contract.heads[0].confusion is not None
    assert (contract.labels, contract.min_confidence) == (contract.heads[0].labels, 0.4)


def test_a_contract_without_heads_does_not_mention_them(contract: Contract) -> None:
    assert not {"heads", "framing_down"} & json.loads(contract.to_json()).keys()


def _good(labels: tuple[str, ...]) -> dict[str, Any]:
    return {"name": "people", "output": "people", "labels": list(labels), "temperature": 1.0, "min_confidence": 0.0,
            "dataset": "d", "accuracy": None, "confusion": None}  # fmt: skip


@pytest.mark.parametrize(
    "change",
    [
        {"name": ""}, {"name": "Two words"}, {"name": 3}, {"output": None}, {"labels": ["one"]}, {"labels": ["a", "a"]},
        {"labels": "ab"}, {"labels": None}, {"temperature": 0}, {"temperature": "1"}, {"min_confidence": 1.5},
        {"confusion": [[1]]}, {"confusion": [[-1] * 7] * 7}, {"confusion": [[0.5] * 7] * 7}, {"confusion": 5},
        {"accuracy": "high"}, {"dataset": None}, {"class_mapping": {"a": "b"}},
    ],
)  # fmt: skip
def test_heads_that_make_no_sense_are_refused(contract: Contract, change: dict[str, Any]) -> None:
    values = json.loads(contract.to_json()) | {"heads": [_good(contract.labels) | change]}
    with pytest.raises(ContractError, match="its contract"):
        parse_contract(json.dumps(values), "m.onnx")


@pytest.mark.parametrize("heads", [5, "people", [5], [[]], [], {}, None, {"people": 1}])
def test_something_else_in_place_of_heads_is_refused(contract: Contract, heads: object) -> None:
    values = json.loads(contract.to_json()) | {"heads": heads}
    with pytest.raises(ContractError, match="its contract"):
        parse_contract(json.dumps(values), "m.onnx")


def test_two_heads_of_one_name_are_refused(contract: Contract) -> None:
    heads = [_good(contract.labels), _good(contract.labels)]
    with pytest.raises(ContractError, match="in its contract, two heads have one name"):
        parse_contract(json.dumps(json.loads(contract.to_json()) | {"heads": heads}), "m.onnx")


def test_the_head_and_the_field_at_fault_are_named(contract: Contract) -> None:
    votes = _good(contract.labels) | {"name": "votes", "output": "votes", "labels": ["sad", "calm"]}
    for change, said in (
        ({"confusion": [[1]]}, r"confusion of the head 'votes' can't be \(\(1,\),\) for its 2 labels"),
        ({"temperature": -1}, "temperature of the head 'votes' can't be -1"),
    ):
        values = json.loads(contract.to_json()) | {"heads": [_good(contract.labels), votes | change]}
        with pytest.raises(ContractError, match=f"m.onnx: in its contract, {said}"):
            parse_contract(json.dumps(values), "m.onnx")
    for missing in ("name", "output", "labels"):
        heads = [_good(contract.labels), {key: value for key, value in votes.items() if key != missing}]
        with pytest.raises(ContractError, match=rf"malformed \(a head has no {missing}\)"):
            parse_contract(json.dumps(json.loads(contract.to_json()) | {"heads": heads}), "m.onnx")


def test_a_first_head_with_other_labels_than_the_contract_is_refused(contract: Contract) -> None:
    heads = [_good(("calm", "sad"))]
    with pytest.raises(ContractError, match=r"labels .* is not that of its first head, people"):
        parse_contract(json.dumps(json.loads(contract.to_json()) | {"heads": heads}), "m.onnx")


def test_the_square_moves_and_grows_as_the_contract_says(
    contract: Contract, build_onnx: Callable[..., Path], tmp_path: Path
) -> None:
    image = np.random.default_rng(0).integers(0, 256, (200, 200), dtype=np.uint8)
    plain = Classifier(build_onnx(tmp_path / "a.onnx", contract))
    moved = Classifier(build_onnx(tmp_path / "b.onnx", replace(contract, framing=1.5, framing_down=-0.1)))
    np.testing.assert_array_equal(moved.batch(image, [Square(100, 100, 40)]), plain.batch(image, [Square(100, 96, 60)]))


def test_the_api_takes_a_head(model_with_heads: Path) -> None:
    with EmotionRecognizer(model_with_heads, head="votes") as recognizer:
        assert recognizer.labels == ("sad", "contempt")


@pytest.mark.parametrize(("options", "head"), [([], "people"), (["--head", "votes"], "votes")])
def test_the_report_names_the_head_that_ran(
    model_with_heads: Path, tmp_path: Path, options: list[str], head: str
) -> None:
    report = tmp_path / "report.json"
    arguments = ["demo:", "--headless", "--max-frames", "2", "--model", str(model_with_heads), "--report", str(report)]
    result = CliRunner().invoke(edge, [*arguments, *options])
    assert result.exit_code == 0, result.output
    assert json.loads(report.read_text())["model"]["head"] == head
