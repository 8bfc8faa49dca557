"""The sections about how far to trust the figures: the network, its known errors, settings, limits and law."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from fer_edge.analysis.correction import error_rates
from fer_edge.analysis.findings import Findings
from fer_edge.analysis.report import html
from fer_edge.analysis.report.html import Markup, element
from fer_edge.analysis.words import percent, span

LIMITS = (
    "A network names an expression from one small gray image of a face. It knows neither the situation nor the "
    "person, and people smile without being happy.",
    "Errors differ between groups of people, and with light, distance and the angle of the head.",
    "Faces that the detector missed are not in these figures. Who turns away or wears a mask is missed more often.",
    "Labels are smoothed over time, so very short expressions do not show.",
    "The 95 % intervals say how far chance in this material goes. They do not cover errors of the network.",
)
LAW = (
    "European Union: Art. 5(1)(f) of the AI Act forbids emotion recognition at work and in education, other than for "
    "medical or safety reasons. Since 2 August 2026, Art. 50(3) requires the deployer to inform the people exposed.",
    "Data about faces are personal data (GDPR): keeping this report or the results needs a legal basis and a "
    "date of deletion.",
    "This is information, not legal advice.",
)
SETTINGS = (
    "min_confidence", "min_face_px", "min_score", "detect_size_px", "detect_hz", "follow", "classify_interval_ms",
    "smooth_s", "lossless", "threads",
)  # fmt: skip


def errors_section(found: Findings) -> Markup:
    """The network's known error rates, what they mean here, and corrected shares."""
    title = "How often the network is wrong"
    if found.report is None:
        return html.section(title, element("p", html.with_options(f"Not known here. {found.report_missing}")))
    if found.confusion is None:
        said = "The network's file holds no confusion matrix, so its errors per emotion are not known here."
        return html.section(title, element("p", said + _accuracy(found.report.model)))
    parts = [element("p", _measured(found.report.model)), _confusion_table(found)]
    if found.correction is not None:
        parts += [element("h3", "What this means for these figures"), *_meaning(found)]
    return html.section(title, *parts)


def _accuracy(model: Mapping[str, Any]) -> str:
    accuracy = model.get("accuracy")
    if not isinstance(accuracy, Mapping) or not isinstance(accuracy.get("accuracy"), int | float):
        return ""
    where = f" of {accuracy['images']:,} images" if isinstance(accuracy.get("images"), int) else ""
    return f" It was right on {percent(accuracy['accuracy'])}{where} ({accuracy.get('split', 'test set')})."


def _measured(model: Mapping[str, Any]) -> str:
    accuracy = model.get("accuracy")
    truth = accuracy.get("truth") if isinstance(accuracy, Mapping) else None
    against = f" The truth was: {truth}." if truth else ""
    return (
        f"Measured on faces with a known answer, one image each.{_accuracy(model)}{against} A row says how often faces "
        "that truly show an emotion got each name."
    )


def _confusion_table(found: Findings) -> Markup:
    labels, counts = found.results.labels, np.asarray(found.confusion)
    rates = counts / counts.sum(axis=1, keepdims=True)
    body = []
    for place, label in enumerate(labels):
        cells = [element("span", f"{100 * rate:.0f} %", class_="right" if place == other else None)
                 for other, rate in enumerate(rates[place])]  # fmt: skip
        body.append([label, f"{int(counts[place].sum()):,}", *cells])
    return html.table(["truly", "faces", *(f"called {label}" for label in labels)], body, "Error rates of the network")


def _meaning(found: Findings) -> list[Markup]:
    assert found.correction is not None and found.confusion is not None
    correction, labels, rates = found.correction, found.results.labels, error_rates(found.confusion)
    joint = correction.shares[:, None] * rates  # true emotion, name
    called = joint.sum(axis=0)
    body, words = [], []
    for place in np.argsort([-found.counted[label] for label in labels], kind="stable"):
        label, counted = labels[place], found.counted[labels[place]]
        right = joint[place, place] / called[place] if called[place] else 0.0
        low, high = correction.low[place], correction.high[place]
        body.append(
            [
                label,
                percent(counted),
                percent(correction.shares[place]),
                span(low, high),
                percent(right) if counted else "",
            ]
        )
        if counted >= 0.1 and right < 0.7:
            other = max((n for n in range(len(labels)) if n != place), key=lambda n: joint[n, place])
            words.append(f"Of the faces called {label}, about {percent(right)} are estimated to be {label}; "
                         f"the most frequent other truth is {labels[other]}.")  # fmt: skip
    caption = "Counted shares (by leading label, unsure faces included) and shares corrected for the known errors"
    head = ["emotion", "counted", "corrected", "95 % interval", "of those called so, truly so"]
    trust = correction.warnings or (
        "Nothing in the counts speaks against the correction. It holds if the network errs on these faces as it did on "
        "those it was measured on.",
    )
    heading = "The corrected shares can't be trusted here:" if correction.warnings else "Can the correction be trusted?"
    how = (
        "The corrected shares are those true shares that most likely lead to the counted ones, given the error rates. "
        "They assume the same kind of faces and images as in the measurement, and faces judged one by one."
    )
    return [
        html.table(head, body, caption),
        *(element("p", sentence) for sentence in words),
        element("p", how, class_="small"),
        element("p", element("strong", heading)),
        element("ul", *(element("li", line) for line in trust)),
    ]


def settings_section(found: Findings) -> Markup:
    """The network, the detector and the settings of the run."""
    if found.report is None:
        return html.section(
            "Network and settings", element("p", html.with_options(f"Not known here. {found.report_missing}"))
        )
    values, model = found.report.values, found.report.model
    head = model.get("head")
    rows: list[tuple[str, object]] = [
        ("source", values.get("source", "")),
        ("network", f"{model.get('file')} ({model.get('precision')})"),
        ("head", "the network has a single answer" if head is None else head),
        ("sha256 of the network", model.get("sha256", "")),
        ("detector", values.get("detector") or "none: the source holds cropped faces"),
        ("report of the run", found.report.path),
    ]
    settings = values.get("settings")
    if isinstance(settings, Mapping):
        rows += [(name, _setting(settings[name])) for name in SETTINGS if name in settings]
    frames = values.get("frames")
    if isinstance(frames, Mapping):
        kept = f"{frames.get('processed')} of {frames.get('captured')} captured"
        rows.append(("frames processed", kept))
    return html.section("Network and settings", html.table(["what", "value"], rows, "The run", numbers_from=9))


def _setting(value: object) -> str:
    return (
        {True: "yes", False: "no", None: "not set"}.get(value, str(value))
        if isinstance(value, bool | None)
        else str(value)
    )


def limits_section() -> Markup:
    """What the figures can't say, and the law."""
    return html.section(
        "Limits and law",
        element("ul", *(element("li", line) for line in LIMITS)),
        element("ul", *(element("li", line) for line in LAW)),
    )
