"""The description of the device for Home Assistant: one message, from which it makes all entities.

Keys: https://www.home-assistant.io/integrations/mqtt/#mqtt-discovery (2024.11 and later).
"""

import re
from typing import Any

from fer_edge.serve.changes import UNSURE
from fer_edge.serve.mqtt.topics import Topics
from fer_edge.serve.run_state import RunState
from fer_edge.system import package_version

# The emotion with most rows of an interval; none (unknown) if the interval is withheld.
MAIN_OF_INTERVAL = (
    "{% set ns = namespace(best=none, rows=0) %}"
    "{% for label, count in (value_json.emotions | default({})).items() %}"
    "{% if count.rows > ns.rows %}{% set ns.best = label %}{% set ns.rows = count.rows %}{% endif %}"
    "{% endfor %}{{ ns.best }}"
)


def discovery(state: RunState, topics: Topics, has_temperature: bool) -> dict[str, Any]:
    """The message for `topics.discovery`. With --aggregate, the entities are those of an interval."""
    entities = _of_intervals(state, topics) if state.aggregate else _of_state(state, topics, has_temperature)
    version = package_version()
    model = state.classifier.path.name + (f", {state.classifier.head}" if state.classifier.head else "")
    return {
        "dev": {
            "ids": [f"fer-edge-{topics.id}"],
            "name": f"fer-edge {topics.id}",
            "mf": "fer-edge",
            "mdl": model,
            "sw": version,
        },
        "o": {"name": "fer-edge", "sw": version},
        "avty": [{"t": topics.status}],
        "cmps": {
            key: {"p": "sensor", "uniq_id": f"fer-edge-{topics.id}-{key}", **entity} for key, entity in entities.items()
        },
    }


def _of_state(state: RunState, topics: Topics, has_temperature: bool) -> dict[str, dict[str, Any]]:
    common = {"stat_t": topics.state}
    entities: dict[str, dict[str, Any]] = {
        "faces": common | {"name": "Faces", "val_tpl": "{{ value_json.faces }}", "stat_cla": "measurement"},
        "emotion": common
        | {
            "name": "Main expression",
            "val_tpl": "{{ value_json.emotion }}",
            "dev_cla": "enum",
            "ops": [*state.labels, UNSURE],
        },
        "fps": common
        | {
            "name": "FPS",
            "val_tpl": "{{ value_json.fps }}",
            "stat_cla": "measurement",
            "unit_of_meas": "fps",
            "ent_cat": "diagnostic",
        },
    }
    if has_temperature:
        entities["temperature"] = common | {
            "name": "Temperature",
            "val_tpl": "{{ value_json.temperature_c }}",
            "dev_cla": "temperature",
            "stat_cla": "measurement",
            "unit_of_meas": "°C",
            "ent_cat": "diagnostic",
        }
    for key, label in _share_keys(state).items():
        share = f"value_json.shares[{jinja_text(label)}]"
        entities[key] = common | {
            "name": f"Share {label}",
            "val_tpl": f"{{{{ none if {share} is none else (100 * {share}) | round(1) }}}}",
            "stat_cla": "measurement",
            "unit_of_meas": "%",
            "en": False,
        }
    return entities


def _of_intervals(state: RunState, topics: Topics) -> dict[str, dict[str, Any]]:
    common = {"stat_t": topics.interval}
    entities: dict[str, dict[str, Any]] = {
        "faces": common
        | {"name": "Faces", "val_tpl": "{{ value_json.faces | default(none) }}", "stat_cla": "measurement"},
        "emotion": common
        | {"name": "Main expression", "val_tpl": MAIN_OF_INTERVAL, "dev_cla": "enum", "ops": list(state.labels)},
    }
    for key, label in _share_keys(state).items():
        rows = "value_json.unsure.rows" if label == UNSURE else f"value_json.emotions[{jinja_text(label)}].rows"
        total = "(value_json.emotions.values() | map(attribute='rows') | sum + value_json.unsure.rows)"
        entities[key] = common | {
            "name": f"Share {label}",
            "val_tpl": f"{{{{ none if value_json.withheld or not {total} else (100 * {rows} / {total}) | round(1) }}}}",
            "stat_cla": "measurement",
            "unit_of_meas": "%",
            "en": False,
        }
    return entities


def _share_keys(state: RunState) -> dict[str, str]:
    """A key of an entity for each label: the label itself where it may be one."""
    plain = re.compile(r"[a-z0-9_]{1,32}", re.ASCII)
    return {
        f"share_{label}" if plain.fullmatch(label) else f"share_{number}": label
        for number, label in enumerate((*state.labels, UNSURE))
    }


def jinja_text(text: str) -> str:
    r"""`text` as a string literal of a template; labels come from strangers.

    >>> jinja_text("happy"), jinja_text('"}}')
    ('"happy"', '"\\u0022\\u007d\\u007d"')
    """
    plain = re.compile(r"[A-Za-z0-9 _-]", re.ASCII)
    long = "\\U{:08x}"
    escapes = (
        char if plain.match(char) else ("\\u{:04x}" if ord(char) < 0x10000 else long).format(ord(char)) for char in text
    )
    return f'"{"".join(escapes)}"'
