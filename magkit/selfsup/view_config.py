"""How views of frames are drawn: crops, mirrors, colours, blur."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class ViewConfig:
    """The kinds of change and their ranges; the default is MoCo v2's (Chen et al., 2020).

    Pairs of probabilities are those of the first and of the second view, which differ in BYOL
    (Grill et al., NeurIPS 2020, appendix B).
    """

    size: int = field(default=96, metadata={"help": "side of the square views, pixels"})
    scale: tuple[float, float] = field(
        default=(0.2, 1.0), metadata={"help": "range of a crop's area over the frame's"}
    )
    ratio: tuple[float, float] = field(
        default=(3 / 4, 4 / 3), metadata={"help": "range of a crop's width over its height"}
    )
    flip: float = field(default=0.5, metadata={"help": "probability of mirroring left to right"})
    jitter: tuple[float, float] = field(
        default=(0.8, 0.8), metadata={"help": "probabilities of changing colours"}
    )
    brightness: float = field(default=0.4, metadata={"help": "greatest change of brightness"})
    contrast: float = field(default=0.4, metadata={"help": "greatest change of contrast"})
    saturation: float = field(default=0.4, metadata={"help": "greatest change of saturation"})
    hue: float = field(default=0.1, metadata={"help": "greatest change of hue, turns"})
    grey: tuple[float, float] = field(
        default=(0.2, 0.2), metadata={"help": "probabilities of taking all colour away"}
    )
    blur: tuple[float, float] = field(
        default=(0.5, 0.5), metadata={"help": "probabilities of Gaussian blur"}
    )
    sigma: tuple[float, float] = field(
        default=(0.1, 2.0),
        metadata={"help": "range of the blur's standard deviation, pixels of a view 224 wide"},
    )
    solarize: tuple[float, float] = field(
        default=(0.0, 0.0), metadata={"help": "probabilities of inverting bright values"}
    )

    def __post_init__(self) -> None:
        if not 8 <= self.size <= 4096:
            raise ValueError("size must be in [8, 4096] pixels")
        if not 0 < self.scale[0] <= self.scale[1] <= 1:
            raise ValueError("scale must satisfy 0 < low <= high <= 1")
        if not 0 < self.ratio[0] <= 1 <= self.ratio[1]:
            raise ValueError("ratio must satisfy 0 < low <= 1 <= high")
        if not 0 < self.sigma[0] <= self.sigma[1]:
            raise ValueError("sigma must satisfy 0 < low <= high")
        for name in ("brightness", "contrast", "saturation"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} must be in [0, 1]")
        if not 0 <= self.hue <= 0.5:
            raise ValueError("hue must be in [0, 0.5]")
        chances = (self.flip, *self.jitter, *self.grey, *self.blur, *self.solarize)
        if not all(0 <= chance <= 1 for chance in chances):
            raise ValueError("flip, jitter, grey, blur and solarize must be in [0, 1]")
