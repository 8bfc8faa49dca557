"""Copy an export into the package fer_models: its two ONNX files and their manifest.

    python -m fer_export.release runs/shipped/fer2013.export.json
    python -m fer_export.release runs/luma/luma.export.json

Every figure of the manifest comes from the export's report.
"""

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NoReturn

import click

import fer_models
from fer_edge.console import echo_line, run_main
from fer_edge.errors import DataError, GateError
from fer_edge.files import atomic_write, sha256_of, write_json

PACKAGE = Path(fer_models.__file__).parent
CLASSIFIER_RECIPE, DETECTOR_RECIPE = "train/recipes/shipped.sh", "train/recipes/luma.sh"
HINT = "name the export.json that fer-export wrote"


@click.command()
@click.argument("report", type=click.Path(path_type=Path), metavar="EXPORT.json")
def command(report: Path) -> None:
    """Copy the ONNX files that EXPORT.json describes, from its folder, into the package fer_models.

    Writes their manifest, too. Refuses an export whose gates failed, and files that EXPORT.json does not describe.
    """
    for path in release(report, PACKAGE):
        echo_line(f"wrote {path}")


def release(report_file: Path, package: Path) -> list[Path]:
    """Copy the models that `report_file` describes into `package`, and write their manifest; returns the new files.

    Raises DataError if the report or a model can't be read or they don't belong together, GateError if a gate failed;
    then nothing is written.
    """
    report = _read(report_file)
    try:
        failed = [gate["name"] for gate in report["gates"] if not gate["passed"]]
        is_detector = report.get("kind") == "detector"
        content = detector_manifest(report) if is_detector else classifier_manifest(report)
        models = {report_file.parent / entry["file"]: entry["sha256"] for entry in report["files"].values()}
    except (AttributeError, KeyError, TypeError) as error:
        raise DataError(f"{report_file} is incomplete or malformed ({error}): {HINT}") from error
    if failed:
        raise GateError(f"{report_file}: not released, since gates failed: {', '.join(failed)}. Export again")
    for source, sha256 in models.items():
        if not source.is_file() or sha256_of(source) != sha256:
            raise DataError(f"{source} is missing or not the file that {report_file.name} describes: export again")
    written = []
    for source in models:
        with atomic_write(package / source.name) as part:
            shutil.copyfile(source, part)
        written.append(package / source.name)
    manifest = package / ("detector.json" if is_detector else "manifest.json")
    write_json(manifest, content)
    return [*written, manifest]


def _read(report_file: Path) -> dict[str, Any]:
    try:
        report = json.loads(report_file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DataError(f"{report_file} can't be read as JSON ({error}): {HINT}") from error
    if not isinstance(report, dict):
        raise DataError(f"{report_file} is not a JSON object: {HINT}")
    return report


def classifier_manifest(report: Mapping[str, Any]) -> dict[str, Any]:
    """The content of manifest.json, from that of a classifier's export.json."""
    accuracy = report["accuracy"]
    manifest = {
        "default": "int8",
        "models": {
            precision: entry
            | {
                "accuracy": accuracy[precision],
                "accuracy_deduplicated": accuracy[f"{precision}_deduplicated"],
                "macro_f1": accuracy[f"{precision}_macro_f1"],
            }
            for precision, entry in report["files"].items()
        },
        "split": accuracy["split"],
        "images": accuracy["images"],
        "network": report["checkpoint"]["model"],
        "checkpoint_sha256": report["checkpoint"]["sha256"],
        "recipe": CLASSIFIER_RECIPE,
        "versions": report["versions"],
    }
    if "heads" in report:
        for precision, entry in manifest["models"].items():
            entry["heads"] = {head["name"]: _head_entry(head, precision) for head in report["heads"]}
    return manifest


def _head_entry(head: Mapping[str, Any], precision: str) -> dict[str, Any]:
    """What the manifest says of a head: its accuracy and against which truth, or None where it was not measured."""
    accuracy = head["accuracy"]
    return {"truth": head["truth"], "images": accuracy["images"], "accuracy": accuracy[precision]}


def detector_manifest(report: Mapping[str, Any]) -> dict[str, Any]:
    """The content of detector.json, from that of a detector's export.json."""
    return {
        "default": "int8",
        "models": report["files"],
        "parameters": report["parameters"],
        "box_agreement": report["box_agreement"],
        "checkpoint_sha256": report["checkpoint"]["sha256"],
        "training": report["checkpoint"]["training"],
        "recipe": DETECTOR_RECIPE,
        "versions": report["versions"],
    }


def main() -> NoReturn:
    """Run the command."""
    run_main(command, "python -m fer_export.release")


if __name__ == "__main__":
    main()
