"""The panel beside the scene: which robot, when, how far ahead, in what colours, which layers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum

import viser

from occworld_infer.viewer import camera_strip
from occworld_infer.viewer.panels import meanings, title

_SPEEDS = {"¼ x": 0.25, "½ x": 0.5, "1 x": 1.0, "2 x": 2.0, "4 x": 4.0}
_STRIP_WIDTH, _LARGE_WIDTH, _CONTROLS_WIDTH = 480, 480, 320  # pixels: beside each other on a tablet's 810


class Colouring(str, Enum):
    """What the colours of the voxels say."""

    CLASS = "class"
    HORIZON = "horizon"
    TRUTH = "forecast against truth"
    BESIDE = "forecast beside truth"

    @property
    def compares(self) -> bool:
        """Whether an earlier forecast is shown with what is seen now."""
        return self in (Colouring.TRUTH, Colouring.BESIDE)


@dataclass(frozen=True)
class Choice:
    """What the user has chosen to see.

    ahead: seconds; against truth and beside it, how long ago the forecast was made. split: where truth ends and the
    forecast begins, 0 at the left edge of the grid to 1 at the right.
    """

    robot: str
    ahead: float
    colouring: Colouring
    lidar: bool
    path: bool
    split: float = 0.5


class Controls:
    """Every widget, and what it says now. The slider of time counts seconds from the timeline's beginning."""

    def __init__(self, server: viser.ViserServer, robots: tuple[str, ...], horizons: tuple[float, ...], live: bool):
        gui, self._gui = server.gui, server.gui
        gui.configure_theme(dark_mode=True, show_logo=False, show_share_button=False, brand_color=(47, 111, 222))
        gui.main_panel.dock_right()
        gui.main_panel.set_width(_CONTROLS_WIDTH)
        self.playing, self._sought, self.touched = True, None, False
        gui.add_html(title())
        self._words = gui.add_html("")
        self._robot = gui.add_dropdown("robot", robots, initial_value=robots[0])
        marks = ((0.0, "now"), *((h, f"{h:g}") for h in horizons if h == round(h)))
        step = round(horizons[0], 3)
        self._ahead = gui.add_slider("s ahead", 0.0, horizons[-1], step, 0.0, marks=marks)
        self._colouring = gui.add_dropdown(
            "colours", tuple(c.value for c in Colouring), initial_value="class",
            hint="class: what it is. horizon: when it is forecast to be new. forecast against truth: an earlier"
            " forecast laid over what is seen now. forecast beside truth: what is seen now on the left, what had been"
            " forecast of it on the right",
        )  # fmt: skip
        self._split = gui.add_slider(
            "truth | forecast", 0, 100, 1, 50, visible=False, hint="where truth ends and the forecast begins"
        )
        self._legend = gui.add_html("")
        self._status = gui.add_markdown("")
        gui.add_html(meanings())
        self._grades = gui.add_html("")
        self._curves = gui.add_html("")
        with gui.add_folder("Time"):
            self._play = gui.add_button("Pause", icon=viser.Icon.PLAYER_PAUSE)
            self._time = gui.add_slider("s", 0.0, 1.0, 0.1, 0.0)
            self._speed = gui.add_dropdown("speed", tuple(_SPEEDS), initial_value="1 x", visible=not live)
        with gui.add_folder("Layers", expand_by_default=False):
            self.city = gui.add_checkbox("city", True)
            self.traffic = gui.add_checkbox("traffic", True)
            self._lidar = gui.add_checkbox("LiDAR", True)
            self._path = gui.add_checkbox("path", True)
            self._follow = gui.add_checkbox("follow the robot", True)
            self._turn = gui.add_checkbox("turn with it", True)
        self._pictures: Mapping[str, bytes] = {}
        self._enlarged = ""
        self._add_cameras()
        self._play.on_click(lambda _: self.play(not self.playing))
        self._time.on_update(self._seek)
        self._colouring.on_update(lambda _: self._name_slider())
        for widget in (self._robot, self._ahead, self._colouring):
            widget.on_update(self._touch)

    def _add_cameras(self) -> None:
        """A strip below the scene; a camera that is clicked is shown large in a panel above it."""
        gui = self._gui
        self._strip_panel, self._large_panel = gui.add_panel(visible=False), gui.add_panel(visible=False)
        with self._strip_panel.add_tab("Cameras", viser.Icon.CAMERA):
            self._strip = gui.add_html("")
            buttons = gui.add_button_group("enlarge", tuple(camera_strip.NAMES.values()))
        with self._large_panel.add_tab("Camera", viser.Icon.CAMERA):
            self._large = gui.add_html("")
            close = gui.add_button("Close")
        self._strip_panel.float(x=8, y=-8, width=_STRIP_WIDTH)
        self._large_panel.float(x=8, y=8, width=_LARGE_WIDTH)
        by_name = {name: camera for camera, name in camera_strip.NAMES.items()}
        buttons.on_click(lambda _: self.enlarge(by_name[buttons.value]))
        close.on_click(lambda _: self.enlarge(""))

    @property
    def choice(self) -> Choice:
        """What is chosen now."""
        return Choice(
            self._robot.value, float(self._ahead.value), Colouring(self._colouring.value),
            self._lidar.value, self._path.value, self._split.value / 100,
        )  # fmt: skip

    def choose(
        self, robot: str = "", ahead: float | None = None, colouring: Colouring | None = None,
        split: float | None = None,
    ) -> None:  # fmt: skip
        """Move the widgets, as a user would. ValueError for a robot that is not there."""
        self.touched = True
        if robot and robot not in self._robot.options:
            raise ValueError(f"no robot '{robot}' here, there are {', '.join(self._robot.options)}")
        self._robot.value = robot or self._robot.value
        self._ahead.value = self._ahead.value if ahead is None else ahead
        self._split.value = self._split.value if split is None else round(100 * split)
        self._colouring.value = (colouring or Colouring(self._colouring.value)).value

    def _touch(self, event: viser.GuiEvent) -> None:
        self.touched = self.touched or event.client is not None  # and not this program

    def _name_slider(self) -> None:
        chosen = Colouring(self._colouring.value)
        self._ahead.label = "made, s ago" if chosen.compares else "s ahead"
        self._split.visible = chosen is Colouring.BESIDE

    @property
    def speed(self) -> float:
        """Seconds of the recording that pass in one."""
        return _SPEEDS[self._speed.value]

    @property
    def follows(self) -> tuple[bool, bool]:
        """Whether the scene moves with the robot, and whether it turns with it."""
        return self._follow.value, self._turn.value

    def play(self, playing: bool) -> None:
        """Go on, or stand still."""
        self.playing = playing
        self._play.label = "Pause" if playing else "Play"
        self._play.icon = viser.Icon.PLAYER_PAUSE if playing else viser.Icon.PLAYER_PLAY

    def _seek(self, event: viser.GuiEvent) -> None:
        if event.client is not None:  # and not this program
            self.seek(self._time.value)

    def seek(self, seconds: float) -> None:
        """Go to a time of the timeline, and stand still there."""
        self._sought = seconds
        self.play(False)

    def sought(self) -> float | None:
        """Where the user has gone since this was asked last, seconds of the timeline; None: nowhere."""
        sought, self._sought = self._sought, None
        return sought

    def tell_time(self, seconds: float, of: float) -> None:
        """Move the slider of time to where the timeline is."""
        if (most := max(round(of, 1), 0.1)) != self._time.max:
            self._time.max = most
        if abs(self._time.value - seconds) >= 0.1:
            self._time.value = min(round(seconds, 1), most)

    def tell(
        self, status: str | None = None, legend: str | None = None, grades: str | None = None,
        curves: str | None = None, words: str | None = None,
    ) -> None:  # fmt: skip
        """Change what is written; the same again is not sent again."""
        written = (
            (self._status, status), (self._legend, legend), (self._grades, grades), (self._curves, curves),
            (self._words, words),
        )  # fmt: skip
        for handle, content in written:
            if content is not None and handle.content != content:
                handle.content = content

    def show_pictures(self, pictures: Mapping[str, bytes]) -> None:
        """JPEGs by camera, as `camera_strip.kept` gives them; without any the strip goes."""
        self._pictures = pictures
        if self._strip_panel.visible != bool(pictures):
            self._strip_panel.visible = bool(pictures)
        if pictures:
            self._strip.content = camera_strip.strip(pictures)
        self._show_large()

    def enlarge(self, camera: str) -> None:
        """Show a camera large; the one that is shown, or '': none any more."""
        self._enlarged = "" if camera == self._enlarged else camera
        self._show_large()

    def _show_large(self) -> None:
        shown = bool(self._enlarged and self._pictures)
        if shown:
            self._large.content = camera_strip.large(self._enlarged, self._pictures.get(self._enlarged))
        if self._large_panel.visible != shown:
            self._large_panel.visible = shown

    def on_change(self, call: Callable[[], None]) -> None:
        """Call where a layer is switched on or off."""
        for box in (self.city, self.traffic):
            box.on_update(lambda _: call())
