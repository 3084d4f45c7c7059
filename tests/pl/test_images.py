"""Images of SpatialData under the cells of a map."""

from __future__ import annotations

import numpy as np
import pytest
from _picture import GREY, LETTER, assert_like, blocks, draw, inside
from anndata import AnnData

import spatrace_sc as st

pytest.importorskip("spatialdata")
from spatialdata.models import Image2DModel
from spatialdata.transformations import Affine, Scale, Sequence, Translation

#: Micrometres of a pixel, and of the corner of the image.
PIXEL, CORNER = 0.5, (20.0, -30.0)
#: Pixels of a field of the letter.
FIELD = 16
TO_MICRONS = Sequence([Scale([PIXEL, PIXEL], ("x", "y")), Translation(list(CORNER), ("x", "y"))])
#: The same image after a turn by 90°: its first axis is the second of the slide.
TURNED = Sequence(
    [Affine([[0, 1, 0], [1, 0, 0], [0, 0, 1]], ("x", "y"), ("x", "y")), *TO_MICRONS.transformations]
)


def image(transformation, *, swapped: bool = False):
    """A letter in black on white."""
    pixels = 255 * np.kron(1 - LETTER, np.ones((FIELD, FIELD)))
    pixels = pixels.T if swapped else pixels
    colours = np.repeat(pixels[None], 3, axis=0).astype(np.uint8)
    return Image2DModel.parse(colours, dims="cyx", transformations={"um": transformation})


@pytest.fixture
def slide(result: AnnData) -> AnnData:
    """One slice whose cells are on the frame of the image, in micrometres."""
    adata = result.copy()
    adata.obs["sample"] = "s1"
    height, width = PIXEL * FIELD * np.array(LETTER.shape)
    random = np.random.default_rng(0).random(adata.n_obs)
    position = np.column_stack([random * width, np.where(random > 0.5, 0.0, height)])
    position[:4] = [(0, 0), (width, 0), (0, height), (width, height)]
    adata.obsm["spatial"] = position + CORNER
    return adata


@pytest.mark.filterwarnings("ignore:.*have cells of several values:UserWarning")
@pytest.mark.parametrize("invert_y", [True, False])
@pytest.mark.parametrize("turned", [False, True])
def test_an_image_lies_under_its_cells(slide: AnnData, invert_y: bool, turned: bool) -> None:
    element = image(TURNED if turned else TO_MICRONS, swapped=turned)
    ax = st.pl.spatial(
        slide,
        sample_key="sample",
        image=element,
        coordinate_system="um",
        invert_y=invert_y,
        size=0.1,
    )
    grey = inside(draw(ax.figure), ax) @ GREY
    margin = [round(0.02 * n) for n in grey.shape]  # the panel is 4 % wider than the slice
    inner = grey[margin[0] : -margin[0], margin[1] : -margin[1]]
    expected = 1 - (LETTER if invert_y else LETTER[::-1])
    assert_like(blocks(inner, LETTER.shape), expected)


def test_every_slice_has_its_image(result: AnnData) -> None:
    names = ["early_slice2", "body_slice2"]
    shown = {"sample_key": "sample", "sample": names}
    position = result.obsm["spatial"]
    side = float(np.ptp(position, axis=0).max()) / FIELD
    element = image(Scale([side, side], ("x", "y")))
    axes = st.pl.spatial(result, **shown, image={names[0]: element}, coordinate_system="um")
    with_image = {ax.get_title(): len(ax.images) for ax in axes}
    assert with_image == {names[0]: 1, names[1]: 0}
    plain = st.pl.spatial(result, **shown)
    small, large = (a[0].collections[1].get_sizes()[0] for a in (axes, plain))
    assert small < large
    assert axes[0].get_xlim() == plain[0].get_xlim()
    assert axes[0].get_ylim() == plain[0].get_ylim()


def test_wrong_images_are_refused(result: AnnData) -> None:
    element = image(TO_MICRONS)
    draw_one = {"sample_key": "sample", "sample": "early_slice2"}
    with pytest.raises(st.InvalidArgumentError, match=r"`image` must be an image.*ndarray"):
        st.pl.spatial(result, **draw_one, image=np.ones((3, 4, 4)))
    with pytest.raises(st.InvalidArgumentError, match=r"'early_slice'.*Did you mean"):
        st.pl.spatial(result, **draw_one, image={"early_slice": element})
    with pytest.raises(st.InvalidArgumentError, match=r"`coordinate_system='global'`.*'um'"):
        st.pl.spatial(result, **draw_one, image=element)
