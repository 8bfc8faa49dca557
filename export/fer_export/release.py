"""Put an export into the package: copy its two ONNX files to fer_models/ and write their manifest.

    python models/release.py runs/shipped/fer2013.export.json
    python models/release.py runs/luma/luma.export.json

Every figure in the manifest is taken from the export's own report.
"""

import json
import shutil
import sys
from pathlib import Path
from typing import Any

import fer_models
from fer_edge.files import sha256_of, write_json

PACKAGE = Path(fer_models.__file__).parent
RECIPE, DETECTOR_RECIPE = "train/recipes/shipped.sh", "train/recipes/luma.sh"


def manifest(report: dict[str, Any]) -> dict[str, Any]:
    """The content of manifest.json from that of an export.json."""
    accuracy = report["accuracy"]
    return {
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
        "recipe": RECIPE,
        "versions": report["versions"],
    }


def detector_manifest(report: dict[str, Any]) -> dict[str, Any]:
    """The content of detector.json from that of a detector's export.json."""
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


def release(report_file: Path) -> None:
    """Copy what `report_file` describes, from its folder; SystemExit if a gate failed or a file is another."""
    report = json.loads(report_file.read_text(encoding="utf-8"))
    if failed := [gate["name"] for gate in report["gates"] if not gate["passed"]]:
        sys.exit(f"{report_file}: not released, gates failed: {', '.join(failed)}")
    for entry in report["files"].values():
        source = report_file.parent / entry["file"]
        if sha256_of(source) != entry["sha256"]:
            sys.exit(f"{source} is not the file that {report_file.name} describes: export again")
        shutil.copyfile(source, PACKAGE / entry["file"])
    if report.get("kind") == "detector":
        write_json(PACKAGE / "detector.json", detector_manifest(report))
    else:
        write_json(PACKAGE / "manifest.json", manifest(report))


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    release(Path(sys.argv[1]))
