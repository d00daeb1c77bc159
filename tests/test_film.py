"""The film of a forecast beside what came: its figures, its voxels, its size, and the whole of it on a small city."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from pages import commands
from paths import ROOT
from PIL import Image, ImageSequence

from occ_core.classes import COLOURS, Semantic
from occ_core.grid import VoxelGrid
from occ_core.poses import Pose
from occworld_infer.viewer.snapshot import PlacedVoxels, PredictedFrame, Snapshot
from tokyo_occworld import film

GRID = VoxelGrid((-4.0, -4.0, 0.0), (4.0, 4.0, 4.0), (0.5, 0.5, 1.0))
SPEED = 2.0  # m/s: two voxels in each half second


def seen(stamp: float, *cells: tuple[int, int, int], forecast: dict[float, list] | None = None) -> Snapshot:
    """What a robot that drives along x sees: cells of its own grid."""
    place = Pose.from_xyz_rpy(np.array([SPEED * stamp, 0, 0]), np.zeros(3))

    def voxels(chosen: list) -> PlacedVoxels:
        classes = np.zeros(GRID.shape, np.uint8)
        for cell in chosen:
            classes[cell] = Semantic.CAR
        return PlacedVoxels.of_classes(GRID, classes, place)

    ahead = PredictedFrame(tuple(forecast), tuple(map(voxels, forecast.values()))) if forecast else None
    return Snapshot("rover_0", stamp, place, voxels(list(cells)), np.zeros((0, 3), np.float32), forecast=ahead)


def test_a_forecast_is_compared_with_what_came_beside_copy_and_warp() -> None:
    # A post that stands comes two cells nearer in each half second; one that drives ahead stays where it is.
    drive = [
        seen(0.0, (12, 8, 1), (9, 4, 1)),
        seen(0.5, (10, 8, 1), (9, 4, 1), forecast={1.0: [(6, 8, 1), (9, 4, 1), (0, 0, 0)]}),
        seen(1.0, (8, 8, 1), (9, 4, 1)),
        seen(1.5, (6, 8, 1), (9, 4, 1)),
    ]
    (found,) = film.compared(drive, ahead=1.0)
    assert found.came is drive[3]
    # Forecast: both and one too many. Copy: the driver alone of 3. Warp: the post alone, the driver two cells off.
    assert found.counts.tolist() == [[2, 3], [1, 3], [1, 3]]
    assert film.drive_ious([found, found]) == pytest.approx([2 / 3, 1 / 3, 1 / 3])
    assert film.compared(drive, ahead=0.5) == [], "nothing was forecast of half a second"


def test_each_voxel_is_a_cube_of_its_class_where_it_is() -> None:
    voxels = PlacedVoxels(GRID, Pose.identity(), np.array([0, 5]), np.array([Semantic.CAR, Semantic.ROAD], np.uint8))
    rows = film.voxel_mesh(voxels).reshape(2, 36, -1)
    assert np.allclose((rows[:, :, :3].min(axis=1) + rows[:, :, :3].max(axis=1)) / 2, voxels.centres, atol=1e-5)
    assert np.allclose(np.ptp(rows[:, :, :3], axis=1), 0.94 * np.array(GRID.voxel), atol=1e-5)
    assert np.allclose(255 * rows[:, 0, 6:9], 0.8 * COLOURS[voxels.labels])


def test_a_film_is_as_good_as_its_size_allows_and_no_larger(tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    frames = [Image.fromarray(rng.integers(0, 255, (120, 160, 3), np.uint8)) for _ in range(4)]
    best = film.save(frames, tmp_path / "best.webp", 100)
    less = film.save(frames, tmp_path / "less.webp", 100, largest=best - 1)
    assert (tmp_path / "less.webp").stat().st_size == less < best
    with pytest.raises(ValueError, match="at the lowest quality"):
        film.save(frames, tmp_path / "none.webp", 100, largest=1000)
    with Image.open(tmp_path / "best.webp") as made:
        assert made.n_frames == 4 and made.info["loop"] == 0


@pytest.mark.slow
def test_a_drive_is_recorded_forecast_and_filmed(
    city: Path, untrained_checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    out = tmp_path / "film.webp"
    options = ["--frames", "8", "--ahead", "1", "--checkpoint", str(untrained_checkpoint), "--robot", "rover"]
    assert film.main([str(city), str(out), *options]) == 0
    said = capsys.readouterr().out
    # Four frames of history, then two until the first has come true: frames 6 to 8.
    assert "1 s ahead: IoU of 3 forecasts: forecast " in said and f"{out}: 3 frames" in said
    with Image.open(out) as made:
        frames = [np.asarray(frame.convert("RGB")).astype(int) for frame in ImageSequence.Iterator(made)]
    assert len(frames) == 3 and np.abs(frames[0] - frames[1]).mean() > 1
    left, right = np.array_split(frames[1][40:420], [462], axis=1)
    assert np.ptp(left.reshape(-1, 3), axis=0).min() > 60, "a street is drawn"
    assert 1 < np.abs(left[:, :460] - right[:, 2:462]).mean() < 60, "both sides show one place, and differ"


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["nowhere", "film.webp"], "no imported city in nowhere"),
        (["CITY", "film.gif"], "film.gif: a film ends in .webp"),
        (["CITY", "film.webp", "--ahead", "0.7"], "--ahead 0.7: one of 0.5, 1, 1.5, 2, 2.5, 3 is wanted"),
        (["CITY", "film.webp", "--checkpoint", "none.pth"], "none.pth"),
    ],
)
def test_what_can_not_be_filmed_is_a_sentence(
    city: Path, capsys: pytest.CaptureFixture, options: list[str], words: str
) -> None:
    assert film.main([str(city) if option == "CITY" else option for option in options]) == 2
    error = capsys.readouterr().err
    assert words in error and error.count("\n") == 1


def test_the_readme_begins_with_the_film_that_its_command_makes() -> None:
    text = (ROOT / "README.md").read_text()
    first = re.search(r"!\[[^\]]*\]\(([^)]+)\)", text)
    assert first is not None
    (command,) = [c for c in commands(ROOT / "README.md") if c.words[:3] == ["python", "-m", "tokyo_occworld.film"]]
    assert command.words[4] == first[1], "what the command writes is what is shown"
    assert (ROOT / first[1]).stat().st_size <= film.LARGEST
    with Image.open(ROOT / first[1]) as shown:
        # 40 frames: four of history, and four until the first forecast of 2 s has come true.
        assert shown.n_frames == 33
