"""What ABX answers tell: could guessing have done as well?"""

import numpy as np
import pandas as pd
from scipy.stats import binom, binomtest

from sepnb.errors import SepnbError
from sepnb.listening.blind.bootstrap import CONFIDENCE
from sepnb.listening.blind.significance import holm
from sepnb.listening.blind.simulated import who

POOLED = "all pairs"
LEVEL = 0.05


def abx_results(answers: pd.DataFrame) -> pd.DataFrame:
    """Each pair of systems, and all together: a row each.

    `answers` as `read_answers` gives them. Columns: pair ("A against B", last "all pairs" where there are several), n,
    correct, share; p, one-sided: how often guessing is right as often or more (exact binomial test); p_holm, the same
    for being one pair of several (NaN of all pairs); low and high: 95 % interval of the share (Clopper and Pearson
    1934); needed: how many right answers of n have p < 0.05 (NaN below five trials, where not even all do); trials and
    unfinished: how many the test has for all its listeners, and how many of those have no answer yet (NaN where the
    answers do not say); listeners, and simulated: the part of them that are no people.

    While a test is unfinished, p, p_holm, low, high and needed are NaN: who looks again after every answer, and stops
    when p is small, will find something where there is nothing. Leave out the answers of a listener who gave up, as
    long as you have not seen them.

    A p above 0.05 does not say that nobody can hear it: see `trials_needed`. Answers of several listeners and items are
    taken as so many independent trials. Raises SepnbError where the answers are not those of an ABX test.
    """
    if not isinstance(answers, pd.DataFrame) or "correct" not in answers or answers.empty:
        raise SepnbError("these are not the answers of an ABX test: read_answers gives them")
    pairs = [" against ".join(sorted((a, b))) for a, b in zip(answers["a"], answers["b"], strict=True)]
    parts = list(answers.groupby(np.array(pairs, dtype=object), sort=False))
    rows = [_result(name, part, answers) for name, part in parts]
    for row, p in zip(rows, holm(np.array([row["p"] for row in rows])), strict=True):
        row["p_holm"] = p
    if len(rows) > 1:
        rows.append({**_result(POOLED, answers, answers), "p_holm": np.nan})
    order = ["pair", "n", "correct", "share", "p", "p_holm", "low", "high", "needed", "trials", "unfinished"]
    return pd.DataFrame(rows)[[*order, "listeners", "simulated"]]


def answers_needed(n: int, level: float = LEVEL) -> int | None:
    """How many right answers of `n` guessing gives in less than `level` of all tests; None where n is too small."""
    needed = int(binom.isf(level, n, 0.5)) + 1
    return needed if needed <= n else None


def trials_needed(share: float, power: float = 0.8, level: float = LEVEL) -> int:
    """Trials after which somebody who is right with probability `share` has p < `level`, with probability `power`.

    The least number from which on it is so (the power goes up and down a little with n). Raises SepnbError for a share
    of at most 0.5 (guessing is never found out) or above 1, and where more than 10,000 trials would be needed.
    """
    if not 0.5 < share <= 1:
        raise SepnbError(f"a share of {share} right answers is not above 0.5, where guessing is, and up to 1")
    counts = np.arange(1, 10_001)
    needed = binom.isf(level, counts, 0.5) + 1
    short = np.flatnonzero(binom.sf(needed - 1, counts, share) < power)
    if len(short) and short[-1] == len(counts) - 1:
        raise SepnbError(f"to tell a share of {share} from guessing takes more than {len(counts)} trials")
    return int(counts[short[-1] + 1]) if len(short) else 1


def _result(name: str, part: pd.DataFrame, answers: pd.DataFrame) -> dict[str, object]:
    n, correct = len(part), int(part["correct"].sum())
    trials, unfinished = _progress(part, answers)
    result = {"pair": name, "n": n, "correct": correct, "share": correct / n, "trials": trials}
    result |= {"unfinished": unfinished, **who(part)}
    if unfinished > 0:
        return {**result, **dict.fromkeys(("p", "low", "high", "needed"), np.nan)}
    bounds = binomtest(correct, n).proportion_ci(CONFIDENCE, method="exact")
    return {
        **result,
        "p": float(binomtest(correct, n, 0.5, alternative="greater").pvalue),
        "low": float(bounds.low),
        "high": float(bounds.high),
        "needed": answers_needed(n) or np.nan,
    }


def _progress(part: pd.DataFrame, answers: pd.DataFrame) -> tuple[float, float]:
    """Trials, and those without an answer, of everybody who takes the tests that `part` is of."""
    if "unfinished" not in answers:
        return np.nan, np.nan
    everybody = answers[answers["test"].isin(part["test"])].drop_duplicates(["test", "listener"])
    return int(everybody["trials"].sum()), int(everybody["unfinished"].sum())
