"""The least-squares filters that BSSEval fits: each estimate projected on delayed copies of the references."""

import torch
from torch import Tensor

from sepnb.metrics.correlations import correlations

# A pivot of this share of its diagonal entry, or less, is what rounding leaves of a zero.
ROUNDING = 1e-13
# What is then added to the diagonal, in shares of its entries: well above the rounding, well below 16-bit noise.
RIDGE = 1e-11


def distortion_filters(references: Tensor, estimates: Tensor, lags: int) -> tuple[Tensor, Tensor]:
    """Filters from reference channels to each estimate: the source's own channels, and those of all sources.

    `references`, `estimates`: (sources, channels, samples). Both results are (estimate channels, reference channels,
    lags) in float64, sources and channels counted as one, and zero where a reference takes no part. Where a source's
    own channels span all that the others span, the two are equal to the last bit.
    """
    sources, channels, _ = references.shape
    heard, given = references.flatten(0, 1), estimates.flatten(0, 1)
    inner = correlations(heard, [heard, given], lags)
    among, across = inner[:, : len(heard)], inner[:, len(heard) :]
    onto_all = torch.zeros(len(given), len(heard), lags, dtype=torch.float64, device=heard.device)
    onto_own = torch.zeros_like(onto_all)

    everything = range(len(given))
    spanning = spanning_channels(heard, among, list(everything))
    for source in range(sources):
        own = list(everything[source * channels : (source + 1) * channels])
        _fit(onto_own, among, across, own, spanning_channels(heard, among, own))
    if sources > 1:
        _fit(onto_all, among, across, list(everything), spanning)
    for source in range(sources):
        own = slice(source * channels, (source + 1) * channels)
        if len(spanning_channels(heard, among, list(everything[own]))) == len(spanning):
            onto_all[own] = onto_own[own]
    return onto_own, onto_all


def _fit(filters: Tensor, among: Tensor, across: Tensor, estimates: list[int], references: list[int]) -> None:
    # Fill in the filters that project these channels of the estimates on these of the references.
    if references:
        lags = filters.shape[-1]
        inner = across[references][:, estimates].transpose(1, 2).reshape(len(references) * lags, len(estimates))
        solved = solve_gram(gram_matrix(among[references][:, references]), inner)
        rows = torch.tensor(estimates, device=filters.device)[:, None]
        filters[rows, references] = solved.view(len(references), lags, len(estimates)).permute(2, 0, 1)


def spanning_channels(signals: Tensor, among: Tensor, candidates: list[int]) -> list[int]:
    """Those of the channels that no other repeats: silent ones and exact multiples of an earlier one left out.

    `signals`: (channels, samples), `among` their correlations (channels, channels, lags). A dual-mono source has two
    equal channels, one of which says it all; with both, the system has no single solution, although the projection has.
    """
    kept: list[int] = []
    energy = among[..., 0].diagonal()
    for channel in candidates:
        # The inner products rule most pairs out without another look at the samples.
        alike = among[channel, kept, 0] ** 2 >= (1 - 1e-9) * energy[channel] * energy[kept]
        suspects = [other for other, close in zip(kept, alike.tolist(), strict=True) if close]
        if energy[channel] > 0 and not any(_is_multiple(signals[channel], signals[other]) for other in suspects):
            kept.append(channel)
    return kept


def _is_multiple(signal: Tensor, other: Tensor) -> bool:
    peak = other.abs().argmax()
    return torch.equal(signal, other * (signal[peak] / other[peak]))


def gram_matrix(among: Tensor) -> Tensor:
    """The inner products of all delayed copies of the references: (channels · lags, channels · lags), symmetric.

    `among`: (channels, channels, lags), Σₙ xᵢ(n) · xⱼ(n + lag). Row i · lags + a is reference i delayed by a.
    """
    channels, _, lags = among.shape
    # Delays a of i and b of j meet at lag a − b of the pair; a negative one is a positive lag of the pair reversed.
    # Here lags fall from lags − 1 to 1 − lags, so that row a of a block is the stretch that begins at lags − 1 − a.
    falling = torch.cat([among.flip(-1), among.transpose(0, 1)[..., 1:]], -1)
    gram = among.new_empty(channels, lags, channels, lags)
    for row in range(channels):
        gram[row] = falling[row].unfold(-1, lags, 1).flip(1).transpose(0, 1)
    return gram.view(channels * lags, channels * lags)


def solve_gram(gram: Tensor, inner: Tensor) -> Tensor:
    """Solve gram · x = inner, one Cholesky factorisation for all columns; `gram` may be changed.

    References with nothing in a band (decoded from AAC, which ends at 16 kHz, or panned and rounded to float32) leave
    directions that hold rounding errors only. Cholesky fails there, or divides by such an error; an LU factorisation
    goes through and gives whatever the errors make of it. They are taken out with a ridge instead: white noise 110 dB
    below each reference, which decides where nothing else does.
    """
    diagonal, ridge = gram.diagonal().clone(), RIDGE
    factor, failed = torch.linalg.cholesky_ex(gram)
    while failed or (factor.diagonal() ** 2 < ROUNDING * diagonal).any():
        gram.diagonal().copy_(diagonal * (1 + ridge))
        factor, failed = torch.linalg.cholesky_ex(gram)
        ridge *= 10
    return torch.cholesky_solve(inner, factor)
