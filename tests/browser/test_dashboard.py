"""What the dashboard shows in each state of a run, in a real browser."""

import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from fer_edge.opencv import cv2
from tests.browser.conftest import PHONE, Open
from tests.browser.scripted import LABELS, SIZE, ScriptedServer, event, face, interval, run_status

pytestmark = pytest.mark.slow

NOTICE, ROWS = "#notice:not([hidden])", "#people-rows tr"
MARKUP = "<img src=x onerror=alert(1)><script>alert(2)</script>"


def picture(level: int = 128) -> bytes:
    """A gray picture as JPEG."""
    _, encoded = cv2.imencode(".jpg", np.full((SIZE[1], SIZE[0], 3), level, np.uint8))
    return encoded.tobytes()


def texts(page: Any, selector: str) -> list[str]:
    return [text.strip() for text in page.locator(selector).all_inner_texts()]


def wait_until(page: Any, condition: Callable[[], bool], seconds: float = 10) -> None:
    """Wait until a condition holds."""
    for _ in range(round(20 * seconds)):
        if condition():
            return
        page.wait_for_timeout(50)
    pytest.fail("it never came")


def wait(page: Any, condition: str) -> None:
    """Wait until a JavaScript condition holds; playwright's own way needs eval, which the page's policy forbids."""
    wait_until(page, lambda: page.evaluate(condition))


@pytest.fixture
def page(server: ScriptedServer, visit: Open) -> Any:
    """The dashboard of a running source, connected."""
    page = visit(server.url)
    wait_until(page, lambda: len(server.clients) == 1)
    return page


def test_before_the_first_picture_and_face_the_page_says_so(page: Any, server: ScriptedServer) -> None:
    assert page.locator("#picture-note").inner_text() == "Waiting for the first picture …"
    assert page.locator("#people-empty").inner_text() == "No result yet."
    assert page.locator("#snapshot").is_disabled()
    server.show(0, [])
    page.locator("#people-empty", has_text="No face in view.").wait_for()


def test_the_banner_says_that_the_camera_is_on(server: ScriptedServer, visit: Open) -> None:
    server.status = run_status(source="/dev/video0")
    page = visit(server.url)
    page.locator("#camera", has_text="Camera on").wait_for()
    assert "/dev/video0" in page.locator("#camera").inner_text()
    assert page.title() == "Camera on: /dev/video0 – fer-edge"


def test_the_picture_has_the_boxes_of_its_own_frame(page: Any, server: ScriptedServer) -> None:
    # The results of frames 7 and 9 are known, too: neither may be drawn on frame 8.
    server.show(7, [face(1, "happy", box=[40.0, 40.0, 200.0, 200.0])], picture())
    wait(page, "document.getElementById('picture').dataset.frame === '7'")
    server.show(8, [face(1, "sad", box=[340.0, 240.0, 200.0, 200.0])], picture())
    server.show(9, [face(1, "happy", box=[40.0, 40.0, 200.0, 200.0])])
    page.locator(ROWS, has_text="happy").wait_for()
    wait(page, "document.getElementById('picture').dataset.frame === '8'")
    # The left edges of both boxes, at half their height.
    colors = page.evaluate(
        """(edges) => edges.map(([x, y]) => {
            const canvas = document.getElementById("picture");
            const at = (part, side) => Math.round(part * side);
            const ctx = canvas.getContext("2d");
            return [...ctx.getImageData(at(x, canvas.width), at(y, canvas.height), 1, 1).data.slice(0, 3)];
        })""",
        [[40 / 640, 140 / 480], [340 / 640, 340 / 480]],
    )
    assert np.ptp(colors[0]) < 12  # gray: no box of frame 7
    assert np.abs(np.subtract(colors[1], (0x2F, 0x54, 0xE2))).max() < 12


def test_a_damaged_picture_is_left_out(page: Any, server: ScriptedServer) -> None:
    server.show(1, [face(1, "happy")], picture())
    wait(page, "document.getElementById('picture').dataset.frame === '1'")
    server.show(2, [face(1, "sad")], picture()[:300])
    page.locator(ROWS, has_text="sad").wait_for()
    server.show(3, [face(1, "fear")], picture())
    wait(page, "document.getElementById('picture').dataset.frame === '3'")


def test_events_and_pictures_are_put_together_of_any_pieces(page: Any) -> None:
    parts = [event("status", {"word": "grün"}), event("result", {"frame": 1}, b"\n{}\n"), event("result", {"frame": 2})]
    found = page.evaluate(
        """async ([stream, sizes]) => {
            const { LiveParser } = await import("/static/api.js");
            const found = [];
            for (const size of sizes) {
                const events = [];
                const parser = new LiveParser((...event) => events.push(event));
                for (let at = 0; at < stream.length; at += size) {
                    parser.push(new Uint8Array(stream.slice(at, at + size)));
                }
                for (const [kind, data, picture] of events) {
                    const bytes = picture && [...new Uint8Array(await picture.blob.arrayBuffer())];
                    found.push([size, kind, data, bytes]);
                }
            }
            return found;
        }""",
        [list(b"".join(parts)), [1, 7, 1000]],
    )
    assert found == [
        part
        for size in (1, 7, 1000)
        for part in (
            [size, "status", {"word": "grün"}, None],
            [size, "result", {"frame": 1}, list(b"\n{}\n")],
            [size, "result", {"frame": 2}, None],
        )
    ]


def test_while_a_picture_is_decoded_only_the_newest_waits(page: Any) -> None:
    shown = page.evaluate(
        """async (bytes) => {
            const { Picture } = await import("/static/picture.js");
            const { Palette } = await import("/static/palette.js");
            const palette = new Palette({ labels: [], colors: {}, unsure_color: "#646464" });
            const canvas = document.createElement("canvas");
            const shown = [];
            const onShown = () => shown.push(picture.shown.result.frame);
            const picture = new Picture({ paused: false }, canvas, { palette: () => palette, onShown });
            const blob = new Blob([new Uint8Array(bytes)], { type: "image/jpeg" });
            const first = picture.offer({ frame: 0, faces: [] }, { blob, width: 640 });
            for (let frame = 1; frame < 9; frame += 1) picture.offer({ frame, faces: [] }, { blob, width: 640 });
            await first;
            return shown;
        }""",
        list(picture()),
    )
    assert shown == [0, 8]


def test_a_change_of_the_label_is_seen(page: Any, server: ScriptedServer) -> None:
    server.show(1, [face(3, "happy")])
    page.locator(ROWS, has_text="happy").wait_for()
    server.show(2, [face(3, "sad", 0.66)])
    server.send("change", {"change": "changed", "id": 3, "emotion": "sad", "before": "happy", "t": 0.2})
    page.locator(ROWS, has_text="sad").wait_for()
    assert texts(page, "#people-rows th") == ["#3"]
    assert "66 %" in page.locator(ROWS).inner_text()
    page.locator("#change-rows li", has_text="Face 3: happy → sad").wait_for()


def test_an_unsure_face_is_shown_as_unsure(page: Any, server: ScriptedServer) -> None:
    server.show(1, [face(0, "happy", 0.31, unsure=True)], picture())
    page.locator(ROWS, has_text="unsure (happy)").wait_for()
    wait(page, "document.getElementById('picture').getAttribute('aria-label').includes('unsure (happy 31 %)')")


def test_faces_without_a_number_are_listed(page: Any, server: ScriptedServer) -> None:
    server.show(1, [face(None, "happy"), face(None, "sad")])
    wait(page, "document.querySelectorAll('#people-rows tr').length === 2")


def test_markup_in_labels_and_names_stays_text(server: ScriptedServer, visit: Open) -> None:
    server.labels["labels"] = [*LABELS, MARKUP]
    server.status = run_status(source=MARKUP, limits=[MARKUP], exit_reason=MARKUP, state="ended")
    server.report = {
        "summary": {
            "rows": 1,
            "frames": 1,
            "faces": 1,
            "emotions": {MARKUP: {"rows": 1, "share": 1.0, "seconds": 3.0}},
            "unsure": {"rows": 0, "share": 0.0, "seconds": 0.0},
        }
    }
    page = visit(server.url)
    page.locator(NOTICE, has_text=MARKUP).wait_for()
    server.send("status", run_status(source=MARKUP))
    page.locator("#share-rows", has_text=MARKUP).wait_for()
    server.show(1, [face(1, MARKUP)], picture())
    server.send("change", {"change": "changed", "id": 1, "emotion": MARKUP, "before": MARKUP, "t": 0.2})
    page.locator(ROWS, has_text=MARKUP).wait_for()
    page.locator("#change-rows", has_text=MARKUP).wait_for()
    assert page.locator("main img, main script").count() == 0


@pytest.mark.parametrize("width", [320, 360, 768, 1440])
def test_many_faces_and_long_names_fit(server: ScriptedServer, visit: Open, width: int) -> None:
    name = "unbelievablysurprised" * 4
    server.labels["labels"] = [*LABELS, name]
    server.status = run_status(source="rtsp://camera.example/" + "stream" * 30, limits=["x" * 300])
    page = visit(server.url, {"width": width, "height": 900})
    wait_until(page, lambda: len(server.clients) == 1)
    server.show(1, [face(number, name) for number in range(20)], picture())
    wait(page, "document.querySelectorAll('#people-rows tr').length === 20")
    assert page.evaluate("document.documentElement.scrollWidth - innerWidth") == 0
    assert page.locator("#people-count").inner_text() == "20 faces"


def test_a_lost_source_is_told_and_its_return_too(page: Any, server: ScriptedServer) -> None:
    server.send("status", run_status(state="reconnecting", source="rtsp://camera.example"))
    page.locator(NOTICE, has_text="The source is lost").wait_for()
    assert page.locator("#camera").inner_text().startswith("Camera lost")
    assert "reconnecting" in page.locator("#speed-facts").inner_text()
    assert page.locator("#screen").get_attribute("data-stale") == "true"
    server.send("status", run_status(source="rtsp://camera.example", reconnects=1))
    page.locator("#notice").wait_for(state="hidden")
    assert "Camera on" in page.locator("#camera").inner_text()


def test_a_run_that_ended_is_told(page: Any, server: ScriptedServer) -> None:
    server.show(1, [face(1)], picture())
    page.locator(ROWS).wait_for()
    server.send("status", run_status(state="ended", exit_reason="end of source"))
    page.locator(NOTICE, has_text="The run has ended (end of source).").wait_for()
    server.stop()
    page.locator(NOTICE, has_text="This page waits for the next one.").wait_for()


def test_a_lost_connection_is_told_and_comes_back(page: Any, server: ScriptedServer) -> None:
    server.show(1, [face(1, "happy")], picture())
    page.locator(ROWS, has_text="happy").wait_for()
    server.stop()
    page.locator(NOTICE, has_text="The connection to fer-edge is lost.").wait_for()
    assert "Connection lost" in page.locator("#camera").inner_text()
    server.start()
    page.locator("#notice").wait_for(state="hidden")
    server.show(2, [face(1, "sad")], picture())
    page.locator(ROWS, has_text="sad").wait_for()
    wait(page, "document.getElementById('picture').dataset.frame === '2'")


def test_a_server_that_ends_its_stream_is_asked_again(page: Any, server: ScriptedServer) -> None:
    server.end_streams()
    wait_until(page, lambda: server.requests["/api/v1/live"] == 2)
    page.locator("#notice").wait_for(state="hidden")


def test_the_sentence_of_a_refusal_is_shown(server: ScriptedServer, visit: Open) -> None:
    server.error = (503, "32 viewers watch already: close one")
    page = visit(server.url)
    page.locator(NOTICE, has_text="32 viewers watch already: close one.").wait_for()
    server.error = None
    page.locator("#retry").click()
    page.locator("#board").wait_for()


def test_the_pauses_between_attempts_grow(server: ScriptedServer, visit: Open) -> None:
    server.error = (500, "something broke")
    page = visit(server.url)
    page.locator(NOTICE).wait_for()
    pauses = page.evaluate(
        """async () => {
            const { Connection } = await import("/static/connection.js");
            const { State } = await import("/static/state.js");
            const connection = new Connection(new State(), { onChange: () => {} });
            const pauses = [];
            for (let attempt = 0; attempt < 7; attempt += 1) {
                pauses.push(connection.pauseS);
                connection.fail(new Error("no answer"));
            }
            connection.stop();
            return pauses;
        }"""
    )
    assert pauses == [1, 2, 4, 8, 15, 15, 15]


def test_the_next_source_starts_with_an_empty_board(page: Any, server: ScriptedServer) -> None:
    server.show(500, [face(1, "happy")], t=50.0)
    page.locator(ROWS, has_text="happy").wait_for()
    server.send("change", {"change": "appeared", "id": 1, "emotion": "happy", "before": None, "t": 50.0})
    page.locator("#change-rows li").wait_for()
    server.show(0, [face(9, "sad")], picture(), t=0.0)
    page.locator(ROWS, has_text="sad").wait_for()
    assert texts(page, "#people-rows th") == ["#9"]
    assert page.locator("#change-rows li").count() == 0
    wait(page, "document.getElementById('face-chart').getAttribute('aria-label').includes('face 9: sad')")
    assert "face 1" not in page.locator("#face-chart").get_attribute("aria-label")


def test_another_run_starts_with_an_empty_board(page: Any, server: ScriptedServer) -> None:
    server.show(1, [face(1, "happy")], picture())
    page.locator(ROWS, has_text="happy").wait_for()
    server.send("status", run_status(uptime_s=0.5, state="starting", source=None))
    page.locator("#people-empty", has_text="No result yet.").wait_for()
    assert page.locator(ROWS).count() == 0


def test_the_timeline_begins_with_what_the_server_remembers(server: ScriptedServer, visit: Open) -> None:
    server.history = {
        "step_s": 1,
        "from_t": 30,
        "faces": {"4": ["happy", "happy", None, "unsure"]},
        "group": [{"happy": 1.0}, {"happy": 1.0}, None, {"unsure": 1.0}],
        "count": [1, 1, 0, 1],
    }
    page = visit(server.url)
    wait(page, "document.getElementById('face-chart').getAttribute('aria-label').includes('happy, then unsure')")
    assert "happy 67 %, unsure 33 %" in page.locator("#group-chart").get_attribute("aria-label")


def test_an_aggregate_run_shows_counts_only(server: ScriptedServer, visit: Open) -> None:
    server.status = run_status(aggregate=True)
    page = visit(server.url)
    wait_until(page, lambda: len(server.clients) == 1)
    assert page.locator("#interval-empty").is_visible()
    server.send("interval", interval(0))
    server.send("interval", interval(10) | {"withheld": True})
    server.send("interval", interval(20, partial=True))
    wait(page, "document.querySelectorAll('#interval-rows tr').length === 3")
    rows = texts(page, "#interval-rows tr")
    assert rows[0].split("\t")[:3] == ["20 s to 30 s, partly watched", "3", "–"]
    assert "withheld: too few faces" in rows[1]
    assert "3.0 s" in rows[2]
    for hidden in ("live", "people", "timeline", "changes", "shares", "pause", "snapshot"):
        assert page.locator(f"#{hidden}").is_hidden()
    page.wait_for_timeout(300)
    assert {"/api/v1/history", "/api/v1/report"}.isdisjoint(server.requests)


def test_the_token_is_asked_for_and_checked(server: ScriptedServer, visit: Open) -> None:
    server.token = "right"
    page = visit(server.url)
    page.locator("#login").wait_for()
    assert page.locator("#board").is_hidden()
    page.keyboard.type("wrong")  # the field has the focus
    page.keyboard.press("Enter")
    page.locator("#login-error", has_text="This token is wrong.").wait_for()
    page.keyboard.type("right")  # and the wrong text is selected
    page.keyboard.press("Enter")
    page.locator("#board").wait_for()
    assert page.locator("#login").is_hidden()


def test_the_token_of_the_address_logs_in_and_disappears(server: ScriptedServer, visit: Open) -> None:
    server.token = "a b+%"
    page = visit(server.url + "#token=a%20b%2B%25")
    page.locator("#board").wait_for()
    assert page.url == server.url
    assert page.evaluate("history.length") <= 2


def test_a_session_that_ends_leads_to_the_form(page: Any, server: ScriptedServer) -> None:
    server.show(1, [face(1)], picture())
    page.locator(ROWS).wait_for()
    server.token = "right"
    server.end_streams()
    page.locator("#login").wait_for()
    assert page.locator("#board").is_hidden()
    page.keyboard.type("right")
    page.keyboard.press("Enter")
    page.locator("#board").wait_for()


def test_a_hidden_page_asks_for_nothing(page: Any, server: ScriptedServer) -> None:
    server.show(1, [face(1)], picture())
    page.locator(ROWS).wait_for()
    hide = """(hidden) => {
        Object.defineProperty(document, "hidden", { value: hidden, configurable: true });
        document.dispatchEvent(new Event("visibilitychange"));
    }"""
    page.evaluate(hide, True)
    wait_until(page, lambda: not server.clients, seconds=5)  # a page that stayed would miss the server after 10 s
    asked = server.requests.total()
    server.show(2, [face(1)], picture())
    page.wait_for_timeout(300)
    assert server.requests.total() == asked
    page.evaluate(hide, False)
    wait_until(page, lambda: len(server.clients) == 1)
    server.show(3, [face(1, "fear")], picture())
    page.locator(ROWS, has_text="fear").wait_for()


def test_a_page_holds_at_most_two_connections(server: ScriptedServer, visit: Open) -> None:
    server.delay_s = 0.3
    page = visit(server.url)
    wait_until(page, lambda: len(server.clients) == 1)
    for frame in range(30):
        server.show(frame, [face(1)], picture())
        page.wait_for_timeout(50)
    assert server.requests["/api/v1/report"] >= 1
    assert server.most_open == 2


def test_a_closed_page_leaves_nothing_open(page: Any, server: ScriptedServer) -> None:
    page.close()
    for _ in range(100):
        if not server.clients:
            break
        server.send("status", run_status())
        server._thread.join(0.05)
    assert not server.clients


def test_pause_freezes_the_view(page: Any, server: ScriptedServer) -> None:
    server.show(1, [face(1, "happy")], picture())
    wait(page, "document.getElementById('picture').dataset.frame === '1'")
    page.locator(ROWS, has_text="happy").wait_for()
    page.keyboard.press("p")
    page.locator("#chip-paused").wait_for()
    wait_until(page, lambda: server.pictures == "0" and len(server.clients) == 1)
    server.show(2, [face(1, "sad")], picture())
    page.wait_for_timeout(600)
    assert "happy" in page.locator(ROWS).inner_text()
    assert page.locator("#picture").get_attribute("data-frame") == "1"
    page.locator("#pause", has_text="Go on").click()
    page.locator(ROWS, has_text="sad").wait_for()
    wait(page, "document.getElementById('picture').dataset.frame === '2'")
    assert page.locator("#chip-paused").is_hidden()
    assert server.pictures == "10"


def test_a_snapshot_is_the_shown_frame_in_its_own_size(page: Any, server: ScriptedServer) -> None:
    server.show(1, [face(1, "happy", box=[100.0, 100.0, 200.0, 200.0])], picture())
    page.locator("#snapshot:enabled").wait_for()
    with page.expect_download() as downloading:
        page.keyboard.press("s")
    download = downloading.value
    image = cv2.imread(str(download.path()))
    assert image.shape == (SIZE[1], SIZE[0], 3)
    assert np.abs(image[200, 100].astype(int) - (44, 233, 255)).max() < 12  # the box in happy's color, B G R
    assert download.suggested_filename.startswith("fer-edge ")
    assert "Nothing was stored on the machine with the camera." in page.locator("#saved").inner_text()


@pytest.mark.parametrize(("blur", "words"), [("faces", "Faces blurred"), ("all", "Picture blurred")])
def test_blur_is_told(server: ScriptedServer, visit: Open, blur: str, words: str) -> None:
    server.status = run_status(blur=blur)
    page = visit(server.url)
    page.locator("#chip-blur", has_text=words).wait_for()


def test_the_theme_is_kept(page: Any) -> None:
    background = "getComputedStyle(document.body).backgroundColor"
    light = page.evaluate(background)
    page.locator("#theme").click()
    page.locator("#theme").click()
    assert page.locator("html").get_attribute("data-theme") == "dark"
    assert page.evaluate(background) != light
    page.reload()
    page.locator("#theme", has_text="dark").wait_for()
    assert page.evaluate(background) != light


def test_reduced_motion_stops_animations_and_asks_for_fewer_pictures(server: ScriptedServer, visit: Open) -> None:
    count = "document.getAnimations().length"
    moving = visit(server.url)
    wait(moving, f"{count} === 1")
    calm = visit(server.url, reduced_motion="reduce")
    calm.locator("#camera[data-tone=live]").wait_for()
    assert calm.evaluate(count) == 0
    wait_until(calm, lambda: server.pictures == "1")


def test_every_control_is_reached_by_keyboard(page: Any, server: ScriptedServer) -> None:
    server.show(1, [face(1)], picture())
    page.locator("#snapshot:enabled").wait_for()
    reached = []
    for _ in range(12):
        page.keyboard.press("Tab")
        reached.append(
            page.evaluate(
                """() => {
                    const at = document.activeElement;
                    const box = at.matches("input[type=radio]") ? at.nextElementSibling : at;
                    const outlined = getComputedStyle(box).outlineStyle !== "none";
                    return `${at.id || at.name || at.className || at.getAttribute("href")}${outlined ? "" : " unseen"}`;
                }"""
            )
        )
    buttons, regions = ["pause", "snapshot", "theme", "help"], ["people-scroll", "changes-scroll"]
    assert reached[:9] == ["skip", *buttons, *regions, "span", "#responsible"]


def test_the_help_opens_and_closes_by_keyboard(page: Any) -> None:
    page.keyboard.press("?")
    page.locator("#help-dialog[open]").wait_for()
    page.keyboard.press("p")  # shortcuts rest while it is open
    page.keyboard.press("Escape")
    page.locator("#help-dialog").wait_for(state="hidden")
    assert page.locator("#pause").get_attribute("aria-pressed") == "false"
    page.keyboard.press("1")
    assert page.locator("#span input[value='60']").is_checked()


def test_a_young_run_says_why_its_timeline_is_shorter_than_chosen(page: Any) -> None:
    page.get_by_text("Nothing is older than 1 min yet.").wait_for()
    page.keyboard.press("1")
    page.get_by_text("Nothing is older than 1 min yet.").wait_for(state="detached")


def test_shortcuts_can_be_switched_off(page: Any) -> None:
    page.locator("#help").click()
    page.locator("#shortcuts").uncheck()
    page.locator("#help-close").click()
    page.keyboard.press("p")
    assert page.locator("#pause").get_attribute("aria-pressed") == "false"
    page.reload()
    page.locator("#board").wait_for()
    page.keyboard.press("p")
    assert page.locator("#pause").get_attribute("aria-pressed") == "false"


def test_screen_readers_are_told_changes_at_most_every_five_seconds(page: Any) -> None:
    told = page.evaluate(
        """async (labels) => {
            const { People } = await import("/static/people.js");
            const { Palette } = await import("/static/palette.js");
            const { State } = await import("/static/state.js");
            const parts = new Map();
            const element = (id) => parts.get(id) ?? parts.set(id, document.createElement("p")).get(id);
            const people = new People(element);
            const palette = new Palette({ labels, colors: {}, unsure_color: "#646464" });
            const state = new State();
            const told = [];
            let now = 100000;
            performance.now = () => now;
            for (let frame = 0; frame < 12; frame += 1) {
                now += 1000;
                const emotion = labels[frame % labels.length];
                const face = { id: 1, box: [], emotion, confidence: 1, unsure: false };
                state.addResult({ frame, t: frame, faces: [face] });
                people.render(state, palette);
                const text = element("announcer").textContent;
                if (text !== told[told.length - 1]) told.push(text);
            }
            return told;
        }""",
        LABELS,
    )
    assert told == ["1 face: 1 angry.", "1 face: 1 surprise.", "1 face: 1 happy."]


def test_what_the_page_remembers_is_bounded(page: Any) -> None:
    sizes = page.evaluate(
        """async () => {
            const { State } = await import("/static/state.js");
            const state = new State();
            for (let frame = 0; frame < 50000; frame += 1) {
                const faces = [{ id: frame, box: [], emotion: "happy", confidence: 1, unsure: false }];
                state.addResult({ frame, t: frame / 10, faces });
                state.addChange({ change: "appeared" });
                state.addInterval({});
            }
            return [state.history.steps.size, state.changes.length, state.intervals.length];
        }"""
    )
    assert sizes == [600, 50, 120]


@pytest.mark.parametrize(
    ("labels", "letters"),
    [
        (LABELS, ["A", "D", "F", "H", "Sa", "Su", "N"]),
        (["sad", "sadness"], ["Sad", "Sad"]),  # no more than three letters: the pattern tells them apart
        (["x", "äh"], ["X", "Ä"]),
    ],
)
def test_labels_have_short_names(page: Any, labels: list[str], letters: list[str]) -> None:
    code = "async (labels) => [...(await import('/static/palette.js')).shortNames(labels).values()]"
    assert page.evaluate(code, labels) == letters


def findings(page: Any, axe: str) -> list[str]:
    """What axe-core calls serious or critical."""
    page.evaluate(axe)
    results = page.evaluate("() => axe.run(document, { resultTypes: ['violations'] })")
    return [
        f"{found['id']}: {json.dumps([node['html'][:120] for node in found['nodes']])}"
        for found in results["violations"]
        if found["impact"] in ("serious", "critical")
    ]


@pytest.mark.parametrize("viewport", [PHONE, None], ids=["phone", "desktop"])
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_axe_finds_nothing_serious(
    server: ScriptedServer, visit: Open, axe: str, theme: str, viewport: dict[str, int] | None
) -> None:
    options: dict[str, Any] = {"color_scheme": theme, "reduced_motion": "reduce"}
    if viewport:
        options["viewport"] = viewport
    server.token = "right"
    page = visit(server.url, **options)
    page.locator("#login").wait_for()
    page.locator("#token").fill("wrong")
    page.locator("#login-form button").click()
    page.locator("#login-error:not(:empty)").wait_for()
    found = {"login": findings(page, axe)}
    server.token = None
    page.reload()
    wait_until(page, lambda: len(server.clients) == 1)
    server.show(1, [face(number, LABELS[number % 7], unsure=number == 9) for number in range(20)], picture())
    server.send("change", {"change": "changed", "id": 1, "emotion": "sad", "before": "happy", "t": 0.2})
    wait(page, "document.querySelectorAll('#people-rows tr').length === 20")
    found["running"] = findings(page, axe)
    page.keyboard.press("?")
    page.locator("#help-dialog[open]").wait_for()
    found["help"] = findings(page, axe)
    page.keyboard.press("Escape")
    page.keyboard.press("p")
    server.send("status", run_status(state="reconnecting", blur="faces"))
    page.locator(NOTICE).wait_for()
    found["paused and reconnecting"] = findings(page, axe)
    server.send("status", run_status(state="ended", exit_reason="end of source"))
    page.locator(NOTICE, has_text="ended").wait_for()
    found["ended"] = findings(page, axe)
    server.status = run_status(aggregate=True)
    page.reload()
    wait_until(page, lambda: len(server.clients) >= 1)
    server.send("interval", interval(0))
    page.locator("#interval-rows tr").wait_for()
    found["aggregate"] = findings(page, axe)
    server.stop()
    page.locator(NOTICE, has_text="lost").wait_for()
    found["lost"] = findings(page, axe)
    assert {state: faults for state, faults in found.items() if faults} == {}
