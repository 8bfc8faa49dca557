"""Export: turn a checkpoint of fer-train into ONNX files for fer-edge, fp32 and int8. Needs the extra `[export]`.

| module, folder | what it does |
|---|---|
| `cli`, `option_types` | the command `fer-export` |
| `classifier`, `detector` | the two kinds of export: what each traces, calibrates on and measures |
| `job`, `outputs`, `report` | what both share: the order of steps, the files, `export.json` and its table |
| `adopt`, `adoption/` | turn a third-party network into a file that fer-edge runs |
| `compare`, `inspection` | the commands `compare` and `inspect` |
| `release` | copy an export into the package `fer_models` |
| `int8/` | quantize an ONNX graph |
| `checks/` | measure an exported graph, and hold it to bounds |
| `graph/` | build and edit ONNX graphs |

Nothing here runs on the device, and nothing here trains. A folder imports only folders below it in this table.
"""

import fer_edge  # noqa: F401 - first: it turns off the telemetry of onnxruntime, which packages used here import
