"""HDR10 static metadata: mastering display (SMPTE ST 2086) and light levels (CTA-861.3)."""

from __future__ import annotations

import math
from dataclasses import dataclass

from vs_gainmap.color.primaries import PRIMARIES, Primaries, PrimariesName
from vs_gainmap.color.transfer import PQ_PEAK_NITS
from vs_gainmap.errors import MetadataError

# ST 2086 and H.265 D.2.28: chromaticities in steps of 0.00002, luminance of 0.0001 cd/m2.
CHROMATICITY_STEPS = 50_000
LUMINANCE_STEPS = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class MasteringDisplay:
    """The display that a master is meant for (SMPTE ST 2086:2018).

    Luminance in cd/m2. The usual HDR10 container is BT.2020 with a P3-D65 display.

    Raises:
        MetadataError: a luminance is negative, above 10000, or the minimum is not the smaller.
    """

    primaries: Primaries = PRIMARIES["p3d65"]
    min_nits: float = 0.0001
    max_nits: float = 1000.0

    def __post_init__(self) -> None:
        if not 0 <= self.min_nits < self.max_nits <= 10_000:
            raise MetadataError(
                "mastering display: needs 0 <= minimum < maximum <= 10000 cd/m2, "
                f"got {self.min_nits:g} and {self.max_nits:g}"
            )

    @classmethod
    def named(
        cls, primaries: PrimariesName, *, max_nits: float, min_nits: float = 0.0001
    ) -> MasteringDisplay:
        """Build one from a name of `color.PRIMARIES`."""
        return cls(primaries=PRIMARIES[primaries], min_nits=min_nits, max_nits=max_nits)

    def steps(self) -> tuple[int, ...]:
        """Return the coded integers in H.265's order: G, B, R, white (x, y), max, min."""
        p = self.primaries
        points = (p.green, p.blue, p.red, p.white)
        coded = [round(c * CHROMATICITY_STEPS) for point in points for c in point]
        levels = [round(v * LUMINANCE_STEPS) for v in (self.max_nits, self.min_nits)]
        return (*coded, *levels)

    def x265(self) -> str:
        """Return the value of x265's ``master-display``."""
        gx, gy, bx, by, rx, ry, wx, wy, high, low = self.steps()
        return f"G({gx},{gy})B({bx},{by})R({rx},{ry})WP({wx},{wy})L({high},{low})"

    def svtav1(self) -> str:
        """Return the value of SVT-AV1's ``mastering-display``: the same, in real numbers."""
        p = self.primaries
        points = zip("GBR", (p.green, p.blue, p.red), strict=True)
        text = "".join(f"{name}({x:.5f},{y:.5f})" for name, (x, y) in points)
        white = f"WP({p.white[0]:.5f},{p.white[1]:.5f})"
        return f"{text}{white}L({self.max_nits:.4f},{self.min_nits:.4f})"


@dataclass(frozen=True, slots=True, kw_only=True)
class ContentLight:
    """MaxCLL and MaxFALL in whole cd/m2 (CTA-861.3-A, annex P); 16 bit as coded.

    Raises:
        MetadataError: a value is out of range, or MaxFALL is above MaxCLL.
    """

    max_cll: int
    max_fall: int

    def __post_init__(self) -> None:
        if not 0 <= self.max_fall <= self.max_cll <= 65_535:
            raise MetadataError(
                "content light: needs 0 <= MaxFALL <= MaxCLL <= 65535 cd/m2, "
                f"got MaxCLL {self.max_cll} and MaxFALL {self.max_fall}"
            )

    @classmethod
    def measured(cls, max_nits: float, max_frame_average_nits: float) -> ContentLight:
        """Round measured levels up, so that no pixel is above the promise."""
        cll = min(math.ceil(max_nits), 65_535)
        return cls(max_cll=cll, max_fall=min(math.ceil(max_frame_average_nits), cll))

    def text(self) -> str:
        """Return ``MaxCLL,MaxFALL``, as x265's ``max-cll`` and SVT-AV1's ``content-light`` want."""
        return f"{self.max_cll},{self.max_fall}"


class LightMeter:
    """MaxCLL and MaxFALL of a title, frame by frame (CTA-861.3-A, annex P).

    Black bars are no part of the picture that MaxFALL averages over. They are what is black in
    every frame of the title, so that neither a fade nor a night scene counts as bars, and a
    film that opens its format for some scenes has none there. A frame's average over the rest
    follows from that over the whole, since bars add no light.

    Args:
        width: of the frames.
        height: of the frames.
    """

    def __init__(self, width: int, height: int) -> None:
        self._size = width, height
        self._area: tuple[int, int, int, int] | None = None
        self._max_nits = self._average_nits = 0.0
        self.frames = 0

    def add(
        self, max_nits: float, average_nits: float, area: tuple[int, int, int, int] | None
    ) -> None:
        """Take a frame in.

        Args:
            max_nits: of max(R, G, B).
            average_nits: its mean over the whole frame.
            area: left, top, right, bottom of what isn't black; None is the whole frame, all 0
                nothing.
        """
        # Sharpened edges may overshoot the signal's range, but no display goes along.
        self._max_nits = max(self._max_nits, min(max_nits, PQ_PEAK_NITS))
        self._average_nits = max(self._average_nits, min(average_nits, PQ_PEAK_NITS))
        self.frames += 1
        one = (0, 0, *self._size) if area is None else area
        if one[2] <= one[0]:
            return
        area = self._area or one
        self._area = (
            min(area[0], one[0]),
            min(area[1], one[1]),
            max(area[2], one[2]),
            max(area[3], one[3]),
        )

    @property
    def active_area(self) -> tuple[int, int, int, int]:
        """Return left, top, right, bottom of the picture without bars."""
        return self._area or (0, 0, *self._size)

    def result(self) -> ContentLight:
        """Return the levels of the frames so far."""
        left, top, right, bottom = self.active_area
        width, height = self._size
        whole = width * height / ((right - left) * (bottom - top))
        return ContentLight.measured(
            self._max_nits, min(self._average_nits * whole, self._max_nits)
        )
