# /// script
# requires-python = ">=3.11"
# dependencies = ["numpy==2.3.5", "pillow==12.0.0"]
# ///
"""Draw the sample app's pictures: ``uv run art/make_images.py``. They are committed; this shows where they come from."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

IMAGES = Path(__file__).parent.parent / "src" / "images"
WIDTH, HEIGHT = 960, 600
Colour = tuple[int, int, int]


@dataclass(frozen=True, slots=True)
class Scene:
    """A landscape: the dice, four colours, and how rough its ridges are."""

    seed: int
    sky_above: Colour
    sky_below: Colour
    far: Colour
    near: Colour
    rough: float


SCENES = {
    "harbour": Scene(11, (52, 84, 128), (242, 178, 120), (96, 110, 140), (24, 40, 62), 0.35),
    "heath": Scene(23, (120, 170, 214), (250, 226, 190), (190, 130, 140), (110, 44, 58), 0.45),
    "tarn": Scene(37, (70, 110, 130), (206, 222, 214), (120, 150, 148), (20, 48, 44), 0.9),
    "summit": Scene(41, (38, 74, 140), (226, 236, 246), (150, 172, 200), (52, 66, 84), 1.3),
}


def waves(rng: np.random.Generator, x: np.ndarray, rough: float) -> np.ndarray:
    """Sum octaves of sines into a ridge, about -1 to 1."""
    ridge = np.zeros_like(x)
    for octave in range(1, 8):
        ridge += np.sin(x * 2**octave * 1.7 + rng.uniform(0, 6.28)) * rough ** (octave * 0.35) / 1.9**octave
    return ridge


def landscape(scene: Scene) -> Image.Image:
    """Paint sky, sun and five ridges, each nearer and darker."""
    rng = np.random.default_rng(scene.seed)
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH].astype(float)
    share = (y / HEIGHT)[..., None]
    picture = np.array(scene.sky_above) * (1 - share) + np.array(scene.sky_below) * share
    sun = np.hypot(x - rng.uniform(0.2, 0.8) * WIDTH, y - 0.3 * HEIGHT)
    picture += np.clip(1.2 - sun / 90, 0, 1)[..., None] * 110
    across = np.linspace(0, 2, WIDTH)
    for step in range(5):
        depth = step / 4
        height = HEIGHT * (0.42 + 0.12 * step) - waves(rng, across, scene.rough) * HEIGHT * (0.13 - 0.012 * step)
        colour = np.array(scene.far) * (1 - depth) + np.array(scene.near) * depth
        inside = np.clip(y - height[None, :], 0, 1)[..., None]
        haze = np.clip((y - height[None, :]) / 260, 0, 1)[..., None] * 26
        picture = picture * (1 - inside) + (colour + haze) * inside
    grain = rng.normal(0, 2.4, picture.shape[:2])[..., None]
    return Image.fromarray(np.clip(picture + grain, 0, 255).astype(np.uint8))


def contours(size: int = 640) -> Image.Image:
    """Draw a contour map: smooth heights cut into bands, every fifth line bold."""
    rng = np.random.default_rng(7)
    y, x = np.mgrid[0:size, 0:size] / size
    heights = x * 0.9 - y * 0.7
    for _ in range(26):
        centre = rng.uniform(0, 1, 2)
        heights += rng.uniform(-0.4, 0.6) * np.exp(-((x - centre[0]) ** 2 + (y - centre[1]) ** 2) / rng.uniform(0.004, 0.05))
    bands = np.floor((heights - heights.min()) * 16).astype(int)
    edge = (np.diff(bands, axis=0, prepend=bands[:1]) != 0) | (np.diff(bands, axis=1, prepend=bands[:, :1]) != 0)
    low, high = np.array((206, 224, 196)), np.array((242, 232, 208))
    share = (bands / bands.max())[..., None]
    picture = low * (1 - share) + high * share
    picture[bands < 4] = (176, 208, 222)
    picture[edge] = (176, 146, 108)
    picture[edge & (bands % 5 == 0)] = (140, 104, 66)
    return Image.fromarray(picture.astype(np.uint8)).quantize(64)


def main() -> None:
    """Write all pictures."""
    IMAGES.mkdir(parents=True, exist_ok=True)
    for name, scene in SCENES.items():
        landscape(scene).save(IMAGES / f"{name}.jpg", quality=80, optimize=True)
    contours().save(IMAGES / "contours.png", optimize=True)


if __name__ == "__main__":
    main()
