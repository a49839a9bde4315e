"""Figures for the report: one print style, plots that take and return axes, and a gallery that keeps them.

The names below load on first use, so importing this package needs no matplotlib and changes no setting.
"""

from sepnb.faces import on_first_use

_HOME_OF = {
    "Gallery": "gallery",
    "print_style": "style",
    "use_style": "style",
    "stem_color": "style",
    "subplots": "style",
    "waveforms": "plots_audio",
    "spectrogram": "plots_audio",
    "spectrogram_grid": "plots_audio",
    "excerpt_curve": "plots_audio",
    "level_bars": "plots_data",
    "long_term_spectra": "plots_data",
    "overlap_matrix": "plots_data",
    "measured_bars": "plots_data",
    "residuals": "plots_data",
    "mask_panels": "plots_masks",
    "loss_curve": "plots_curves",
    "sdr_curve": "plots_curves",
    "sdr_curves_by_stem": "plots_curves",
    "ladder_plot": "plots_ladder",
    "epoch_time": "plots_training",
    "model_sizes": "plots_training",
    "memory_bars": "plots_probing",
    "memory_curve": "plots_probing",
    "ways_out": "plots_probing",
    "sweep": "plots_sweep",
    "work_against_time": "plots_probing_time",
    "hours_an_epoch": "plots_probing_time",
    "predicted_against_measured": "plots_probing_time",
    "scores_by_stem": "plots_scores",
    "score_boxes": "plots_boxes",
    "score_boxes_by_stem": "plots_boxes",
    "sir_against_sar": "plots_scatter",
    "sir_against_sar_by_stem": "plots_scatter",
    "cost_against_quality": "plots_scatter",
    "paired_differences": "plots_paired",
    "verdict": "plots_paired",
    "estimate_spectrograms": "plots_estimates",
    "abx_against_chance": "plots_listening",
    "ratings_by_system": "plots_listening",
    "rating_differences": "plots_listening",
    "rating_against_metric": "plots_listening",
    "spectrum_match": "plots_equalizer",
    "equalizer_response": "plots_equalizer",
    "score_table": "tables",
    "latex_table": "tables",
    "markdown_table": "tables",
    "html_table": "tables",
}

__all__ = [*_HOME_OF]

__getattr__, __dir__ = on_first_use(__name__, _HOME_OF)
