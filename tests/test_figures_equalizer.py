"""Figures of an equaliser draw what they are given, at the level of the source, and every word can be read."""

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pytest
from legible import check_panels

from sepnb.figures.plots_equalizer import equalizer_response, spectrum_match

mpl.use("agg")
CENTRES = 1000 * 10 ** (np.arange(-16, 13) / 10)
SOURCE = -30 - 10 * np.abs(np.log10(CENTRES / 500))
COUNTED = SOURCE > -41


@pytest.fixture(autouse=True)
def _close_figures():
    yield
    plt.close("all")


def test_spectra_are_laid_over_each_other_at_the_level_of_the_source():
    ax = spectrum_match(CENTRES, SOURCE, SOURCE + 3, SOURCE - 12, "vocals", counted=COUNTED)
    labelled = [line for line in ax.get_lines() if not line.get_label().startswith("_")]
    assert [line.get_label() for line in labelled] == ["target", "vocals before", "vocals after"]
    for line in labelled:
        np.testing.assert_allclose(line.get_ydata(), np.where(COUNTED, SOURCE, np.nan))
    check_panels(ax)


def test_silent_bands_leave_a_gap():
    source = SOURCE.copy()
    source[-3:] = -np.inf
    ax = spectrum_match(CENTRES, source, source, SOURCE, "bass")
    assert np.isfinite(ax.get_ylim()).all()
    check_panels(ax)


def test_the_curve_has_a_dot_for_each_band_and_lines_at_its_bound():
    frequencies = np.geomspace(20, 20_000, 200)
    response = 6 * np.sin(np.log(frequencies))
    places = [50.0, 1000.0, 8000.0]
    ax = equalizer_response(frequencies, response, places, limit=9.0)
    dots = next(line for line in ax.get_lines() if line.get_marker() == "o")
    np.testing.assert_array_equal(dots.get_xdata(), places)
    np.testing.assert_allclose(dots.get_ydata(), 6 * np.sin(np.log(places)), atol=0.02)
    bounds = {float(line.get_ydata()[0]) for line in ax.get_lines() if len(line.get_ydata()) == 2}
    assert {-9.0, 9.0} <= bounds
    check_panels(ax)
    check_panels(equalizer_response(frequencies, 0 * response))
