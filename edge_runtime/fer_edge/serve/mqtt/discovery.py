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
            key: {"p": "sensor", "unique_id": f"fer-edge-{topics.id}-{key}", **entity}
            for key, entity in entities.items()
        },
    }


def _of_state(state: RunState, topics: Topics, has_temperature: bool) -> dict[str, dict[str, Any]]:
    common = {"state_topic": topics.state}
    entities: dict[str, dict[str, Any]] = {
        "faces": common | {"name": "Faces", "value_template": "{{ value_json.faces }}", "state_class": "measurement"},
        "emotion": common
        | {
            "name": "Main expression",
            "value_template": "{{ value_json.emotion }}",
            "device_class": "enum",
            "options": [*state.labels, UNSURE],
        },
        "fps": common
        | {
            "name": "FPS",
            "value_template": "{{ value_json.fps }}",
            "state_class": "measurement",
            "unit_of_measurement": "fps",
            "entity_category": "diagnostic",
        },
    }
    if has_temperature:
        entities["temperature"] = common | {
            "name": "Temperature",
            "value_template": "{{ value_json.temperature_c }}",
            "device_class": "temperature",
            "state_class": "measurement",
            "unit_of_measurement": "°C",
            "entity_category": "diagnostic",
        }
    for key, label in _share_keys(state).items():
        share = f"value_json.shares[{jinja_text(label)}]"
        entities[key] = common | {
            "name": f"Share {label}",
            "value_template": f"{{{{ none if {share} is none else (100 * {share}) | round(1) }}}}",
            "state_class": "measurement",
            "unit_of_measurement": "%",
            "enabled_by_default": False,
        }
    return entities


def _of_intervals(state: RunState, topics: Topics) -> dict[str, dict[str, Any]]:
    common = {"state_topic": topics.interval}
    entities: dict[str, dict[str, Any]] = {
        "faces": common
        | {"name": "Faces", "value_template": "{{ value_json.faces | default(none) }}", "state_class": "measurement"},
        "emotion": common
        | {
            "name": "Main expression",
            "value_template": MAIN_OF_INTERVAL,
            "device_class": "enum",
            "options": list(state.labels),
        },
    }
    for key, label in _share_keys(state).items():
        rows = "value_json.unsure.rows" if label == UNSURE else f"value_json.emotions[{jinja_text(label)}].rows"
        total = "(value_json.emotions.values() | map(attribute='rows') | sum + value_json.unsure.rows)"
        empty = f"value_json.withheld or not {total}"
        entities[key] = common | {
            "name": f"Share {label}",
            "value_template": f"{{{{ none if {empty} else (100 * {rows} / {total}) | round(1) }}}}",
            "state_class": "measurement",
            "unit_of_measurement": "%",
            "enabled_by_default": False,
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
