import runpy
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner

from fer_edge.detectors import boxes as runtime
from fer_edge.errors import FerError, ModelError
from fer_train.cli import train
from fer_train.detection.loss import iou
from fer_train.detection.network import STRIDES, Luma, cell_grid, decode
from fer_train.detection.synthesis import pool
from fer_train.detection.synthesis.closeups import CloseUps, save_close_ups
from fer_train.detection.synthesis.scenes import MAX_FACES, SCENE_PX
from fer_train.detection.trainer import DetectorOptions, DetectorTrainer, load_detector, save_detector


def discs(count: int, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Scenes with one bright disc each, the "face": uint8 [N, S, S] and float32 [N, 1, 5]."""
    generator = np.random.default_rng(seed)
    y, x = np.mgrid[:SCENE_PX, :SCENE_PX]
    scenes, faces = np.empty((count, SCENE_PX, SCENE_PX), np.uint8), np.empty((count, 1, 5), np.float32)
    for scene, (face,) in zip(scenes, faces, strict=True):
        radius, (a, b) = generator.uniform(20, 60), generator.uniform(80, 240, 2)
        scene[:] = np.where((x - a) ** 2 + (y - b) ** 2 < radius**2, 220, 60)
        face[:] = [a - radius, b - radius, 2 * radius, 2 * radius, 1]
    return torch.from_numpy(scenes), torch.from_numpy(faces)


def test_training_and_runtime_decode_outputs_alike() -> None:
    grid = cell_grid(96, 160)
    assert np.array_equal(grid.numpy(), runtime.cell_grid(96, 160, STRIDES))
    outputs = torch.randn(1, 5, len(grid), generator=torch.Generator().manual_seed(0))
    ours = runtime.decode(outputs[0].numpy(), grid.numpy(), 4.0)
    assert np.allclose(decode(outputs, grid)[0].numpy(), ours, atol=1e-3)


@pytest.mark.parametrize("shape", [(32, 32), (64, 96), (256, 320)])
def test_the_network_has_an_output_for_every_cell(shape: tuple[int, int]) -> None:
    outputs = Luma().eval()(torch.zeros(2, 1, *shape))
    assert outputs.shape == (2, 5, len(cell_grid(*shape)))


def test_the_network_is_small_enough_for_its_int8_file() -> None:
    assert Luma().num_parameters() < 180_000


def options(steps: int, **others: object) -> DetectorOptions:
    return DetectorOptions(steps=steps, batch_size=8, size=96, warm_up=5, amp=False, **others)  # type: ignore[arg-type]


def test_a_few_steps_find_bright_discs(tmp_path: Path) -> None:
    scenes, faces = discs(200, 0)
    trainer = DetectorTrainer(scenes, faces, options(200, ema_decay=0.9), tmp_path)
    trainer.run(lambda _step: None, lambda _record: None)
    network, trained = load_detector(tmp_path / "detector.pt")
    assert (trained["step"], trained["dataset"]) == (200, "composed scenes and mosaics of photographs")
    tests, truth = discs(20, 1)
    with torch.no_grad():
        outputs = network((tests[:, None].float() - 128) / 64)
    best = outputs[:, 0].argmax(dim=1)
    found = decode(outputs, cell_grid(SCENE_PX, SCENE_PX))[torch.arange(20), best]
    wanted = torch.cat([truth[:, 0, :2], truth[:, 0, :2] + truth[:, 0, 2:4]], dim=1)
    assert iou(found, wanted).mean() > 0.5


def test_a_resumed_run_equals_an_uninterrupted_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fer_train.detection.trainer.STEPS_PER_RECORD", 3)
    scenes, faces = discs(20, 0)
    for name, stops in (("whole", (6,)), ("broken", (3, 6))):
        (tmp_path / name).mkdir()
        for part, _stop in enumerate(stops):
            trainer = DetectorTrainer(scenes, faces, options(6), tmp_path / name)
            if part:
                trainer.resume()
            left = stops[part] - trainer.step
            for _ in range(left):
                trainer.train_step()
            trainer.save()
    whole, broken = (load_detector(tmp_path / name / "detector.pt")[0].state_dict() for name in ("whole", "broken"))
    assert all(torch.equal(whole[name], broken[name]) for name in whole)


def test_close_ups_are_pasted_during_training(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where no scene shows a face, only close-ups give a box loss."""
    monkeypatch.setattr("fer_train.detection.synthesis.closeups.SHARE", 1.1)
    scenes, background = torch.full((20, SCENE_PX, SCENE_PX), 90, dtype=torch.uint8), torch.zeros(20, 1, 5)
    faces = CloseUps(np.full((2, 48, 48), 200, np.uint8), np.tile(np.float32([0.1, 0, 0.8, 1]), (2, 1)), np.ones(2))
    losses = []
    for close_ups in (None, faces):
        trainer = DetectorTrainer(scenes, background, options(1), tmp_path, close_ups)
        losses.append(float(trainer.train_step()[1]))
    assert losses[0] == 0 < losses[1]


def test_a_run_starts_with_the_weights_of_another(tmp_path: Path) -> None:
    scenes, faces = discs(20, 0)
    first = DetectorTrainer(scenes, faces, options(1), tmp_path)
    first.save()
    second = DetectorTrainer(scenes, faces, options(1, seed=1), tmp_path)
    before = first.network.state_dict()["head.weight"]
    assert not torch.equal(second.network.state_dict()["head.weight"], before)
    second.start_from(load_detector(tmp_path / "detector.pt")[0])
    assert torch.equal(second.network.state_dict()["head.weight"], before)
    assert second.step == 0


def test_detectors_are_averaged(tmp_path: Path) -> None:
    networks = []
    for seed in range(3):
        torch.manual_seed(seed)
        networks.append(Luma())
        save_detector(networks[-1], tmp_path / f"{seed}.pt", {"step": 10 + seed})
    recipe = Path(__file__).parents[3] / "train" / "recipes" / "average_detectors.py"
    files = [str(tmp_path / name) for name in ("0.pt", "1.pt", "2.pt", "mean.pt")]
    ran = CliRunner().invoke(runpy.run_path(str(recipe))["main"], files, catch_exceptions=False)
    assert ran.exit_code == 0
    mean, options = load_detector(tmp_path / "mean.pt")
    assert options == {"step": 12, "averaged_with_steps": [10, 11]}
    wanted = torch.stack([network.head.weight for network in networks]).mean(0)
    assert torch.allclose(mean.head.weight, wanted, atol=1e-6)


def test_a_loss_that_is_not_finite_ends_the_run(tmp_path: Path) -> None:
    scenes, faces = discs(20, 0)
    trainer = DetectorTrainer(scenes, faces, options(2), tmp_path)
    torch.nn.init.constant_(trainer.network.head.weight, float("nan"))
    with pytest.raises(ModelError, match="--lr"):
        trainer.run(lambda _step: None, lambda _record: None)
    assert not (tmp_path / "detector.pt").exists()


def test_files_of_another_kind_are_refused(tmp_path: Path) -> None:
    torch.save({"schema": 1}, tmp_path / "other.pt")
    for name in ("other.pt", "missing.pt"):
        with pytest.raises(ModelError, match=r"detector\.pt"):
            load_detector(tmp_path / name)
    torch.save({"schema": 1, "detector": "luma", "state_dict": {}, "options": {}}, tmp_path / "empty.pt")
    with pytest.raises(ModelError, match="the weights are not those of luma"):
        load_detector(tmp_path / "empty.pt")


def test_the_command_trains_on_a_pool_and_names_the_next_step(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pool, "SHARD_SIZE", 20)
    scenes, faces = discs(20, 0)
    (tmp_path / "pool").mkdir()
    np.save(tmp_path / "pool" / "scenes_000.npy", scenes.numpy())
    padded = np.zeros((20, MAX_FACES, 5), np.float32)
    padded[:, :1] = faces.numpy()
    np.save(tmp_path / "pool" / "faces_000.npy", padded)
    command = ["detector", "--scenes", str(tmp_path / "pool"), "--out", str(tmp_path / "run"), "--steps", "2",
               "--batch-size", "2", "--size", "64", "--device", "cpu", "--no-amp"]  # fmt: skip
    ran = CliRunner().invoke(train, command, catch_exceptions=False)
    assert ran.exit_code == 0, ran.output
    assert "fer-export detector" in ran.output
    assert (tmp_path / "run" / "history.csv").read_text().count("\n") == 2
    again = CliRunner().invoke(train, command)
    assert isinstance(again.exception, FerError)
    assert "--resume" in str(again.exception)
    before = load_detector(tmp_path / "run" / "detector.pt")[1]["step"]
    own = [*command, "--overwrite", "--steps", "1", "--init-weights", str(tmp_path / "run" / "detector.pt")]
    assert CliRunner().invoke(train, own, catch_exceptions=False).exit_code == 0
    assert (before, load_detector(tmp_path / "run" / "detector.pt")[1]["step"]) == (2, 1)
    assert "leave --init-weights out" in CliRunner().invoke(train, [*command, "--resume", "--init-weights", "x"]).output
    mosaics = CliRunner().invoke(
        train, [*command, "--overwrite", "--steps", "1", "--mosaics-only"], catch_exceptions=False
    )
    assert "10 mosaics of" in mosaics.output
    assert not load_detector(tmp_path / "run" / "detector.pt")[1]["close_ups"]
    gray = np.full((5, 48, 48), 90, np.uint8)
    some = CloseUps(gray, np.tile(np.float32([0.1, 0, 0.8, 1]), (5, 1)), np.ones(5))
    save_close_ups([some], tmp_path / "pool" / pool.CLOSE_UPS)
    with_some = CliRunner().invoke(train, [*command, "--overwrite", "--steps", "1"], catch_exceptions=False)
    assert "20 scenes and 5 close-ups of" in with_some.output
    assert load_detector(tmp_path / "run" / "detector.pt")[1]["close_ups"]
    assert "multiple of 32" in CliRunner().invoke(train, [*command, "--size", "70"]).output


@pytest.mark.parametrize("mode", [[], ["--overwrite"]])
def test_a_folder_without_scenes_changes_nothing(tmp_path: Path, mode: list[str]) -> None:
    out = tmp_path / "run"
    if mode:
        out.mkdir()
        (out / "detector.pt").write_bytes(b"hours of work")
    ran = CliRunner().invoke(train, ["detector", "--scenes", str(tmp_path / "none"), "--out", str(out), *mode])
    assert isinstance(ran.exception, FerError)
    assert "holds no scenes" in str(ran.exception)
    assert [path.name for path in tmp_path.rglob("*")] == (["run", "detector.pt"] if mode else [])
